"""A live run: strokes come, a network learns, previews go, all between two steps."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.source import ImageSource
from napari_unet.device import (
    describe,
    device_for,
    pick_precision,
)
from napari_unet.errors import DataError
from napari_unet.live.clock import Clock
from napari_unet.live.judge import Verdict
from napari_unet.live.keeper import Keeper
from napari_unet.live.learner import LiveLearner
from napari_unet.live.messages import (
    Classes,
    Continue,
    FindNext,
    Limit,
    LiveMode,
    ModeChanged,
    NextRegion,
    Pause,
    StartAfresh,
    Strokes,
    View,
    ViewerMessage,
)
from napari_unet.live.progress import Progress
from napari_unet.live.project import Project
from napari_unet.live.result import live_model
from napari_unet.live.screen import Event, Screen, Shared
from napari_unet.live.starters import STARTER_STEPS, try_starter
from napari_unet.live.strokes import StrokeBook
from napari_unet.live.survey import Survey
from napari_unet.live.waiting import what_is_missing
from napari_unet.live.window import Window
from napari_unet.models.model import Model
from napari_unet.networks.catalogue import operations_of
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.training.checkpoint import Checkpoint
from napari_unet.training.events import (
    Finished,
    Notice,
    Started,
    StepDone,
)
from napari_unet.training.transfer import in_words, transfer_model

SECONDS_BETWEEN_STEPS_TOLD = 0.25
IDLE_SECONDS = 0.03
MAX_DIVERGED = 3
"""After so many times without `STEADY_STEPS` in between, learning is given up."""
STEADY_STEPS = 50

MODES = {
    "learning": "Learning: paint where the preview is wrong.",
    "resting": "It no longer improves: paint where it is wrong, or press Stop to keep "
    "the model.",
    "paused": "Paused.",
}


def nothing() -> Sequence[ViewerMessage]:
    """No messages."""
    return ()


class LiveSession:
    """One live run.

    Parameters
    ----------
    annotation : Annotation
        Sparse; its array changes while the run goes on, and `Strokes` say where.
    config : TrainingConfig
    classes : sequence of ClassInfo
        In order; task ``objects`` has background and one object class.
    shared : Shared
    name : str
        Of the model.
    inbox : callable
        What the viewer sent since the last call.
    stop : callable
        Whether the run shall end.
    autosave : Path, optional
        Where the model is kept while it learns.
    project : Project, optional
        Where everything is kept that is needed to go on another day.
    start : Model, optional
        Its weights are taken as far as they fit.
    starter : bool
        Whether the starter that ships with the package is tried, where no `start` is
        given; it is used only where it tells the first strokes apart.

    Raises
    ------
    ConfigError
        If the settings do not fit the image.
    """

    def __init__(
        self,
        annotation: Annotation,
        config: TrainingConfig,
        classes: Sequence[ClassInfo],
        shared: Shared,
        *,
        name: str = "model",
        inbox: Callable[[], Sequence[ViewerMessage]] = nothing,
        stop: Stop = never,
        autosave: Path | None = None,
        project: Project | None = None,
        start: Model | None = None,
        starter: bool = True,
    ) -> None:
        self.source: ImageSource = annotation.source
        self.annotation, self.config = annotation, config
        self.name = name
        operations = operations_of("pixel_unet", training=True)
        self.device, note = device_for(config.device, self.source.ndim, operations)
        self.precision = pick_precision(
            self.device, config.precision, ndim=self.source.ndim
        )
        self.intensity = measure_range(
            self.source,
            NormalizationInfo(low=config.low_percentile, high=config.high_percentile),
        )
        self.book = StrokeBook(
            annotation, config.task, classes, hold_out=config.validation_fraction
        )
        self.survey = Survey(self.source, self.book, config.seed)
        self.screen = Screen(self.book, shared, self.device)
        self.progress = Progress(self.book)
        self.keeper = Keeper(autosave, project)
        self.learner: LiveLearner | None = None
        self.learning_seconds = 0.0
        self._inbox, self._stop = inbox, stop
        self._start, self._starter = start, starter
        self._unopened = project
        self._resume: Checkpoint | None = None
        self._mode: LiveMode = "waiting"
        self._told = ModeChanged("waiting", what_is_missing(self.book))
        self._serial = 0
        """Of the last strokes that came."""
        self._known_serial = 0
        """Of the last strokes that were learnt."""
        self._new_strokes = False
        self._diverged = self._steady = 0
        self._notes: list[str] = [note] if note else []
        """What is to be told."""
        self._losses: deque[float] = deque(maxlen=10)
        self._clock = Clock()

    @property
    def verdict(self) -> Verdict:
        """What the held-out strokes said last."""
        return self.progress.verdict

    @property
    def steps(self) -> int:
        """Steps that were made for this image."""
        return 0 if self.learner is None else self.progress.steps(self.learner)

    # The loop ------------------------------------------------------------------------

    def run(self) -> Generator[Event, None, Model | None]:
        """Go on until the viewer says stop.

        Returns
        -------
        Model or None
            ``None`` if there was never enough annotation to learn from.
        """
        words = describe(self.device, self.precision)
        yield Started(words, {"live": True})
        yield self._told
        while not self._stop():
            yield from self._listen()
            while self._notes:
                yield Notice(self._notes.pop(0))
            if self._new_strokes:
                yield from self._learn_strokes()
            yield from self._show()
            if self._new_strokes:
                continue  # heard in between: nothing may be left to learn from
            learner = self.learner
            if learner is None or self._mode != "learning":
                yield from self.keeper.save(self)
                time.sleep(IDLE_SECONDS)
                continue
            begun = time.monotonic()
            loss = learner.step()
            if not math.isfinite(loss):
                yield from self._begin_again()
                continue
            self.keeper.changes += 1
            self._steady += 1
            taken = time.monotonic() - begun
            self.learning_seconds += taken
            self.progress.waited_seconds += taken
            self._losses.append(loss)
            yield from self._tell(learner)
        yield from self.keeper.save(self, final=True)
        model = self.model()
        yield Finished(self.steps, "stopped", self.verdict.score, self.learning_seconds)
        return model

    def _tell(self, learner: LiveLearner) -> Iterator[Event]:
        """What is told, judged and saved now and then while it learns."""
        if learner.memory_note:
            note, learner.memory_note = learner.memory_note, ""
            yield Notice(note)
        if self._clock.due("step", SECONDS_BETWEEN_STEPS_TOLD):
            loss = float(np.mean(self._losses))
            yield StepDone(self.steps, loss, 0.0, math.inf)
        rests = yield from self.progress.look(learner, self.screen.window)
        if rests:
            self.screen.stale = True
            yield from self._set_mode("resting")
        yield from self.keeper.save(self)

    def _begin_again(self) -> Iterator[Event]:
        """The loss is no number: other weights are needed."""
        self._diverged = 1 if self._steady >= STEADY_STEPS else self._diverged + 1
        self._steady = 0
        self._make_learner()
        if self._diverged < MAX_DIVERGED:
            yield Notice("The loss became infinite: learning starts afresh.")
            return
        self._diverged = 0
        yield Notice(
            "The loss became infinite again and again: look for strange values in the "
            "image, or set a smaller learning rate."
        )
        yield from self._set_mode("paused")

    def _set_mode(self, mode: LiveMode) -> Iterator[Event]:
        self._mode = mode
        text = MODES.get(mode) or what_is_missing(self.book)
        if (told := ModeChanged(mode, text)) != self._told:
            self._told = told
            yield told

    # What the viewer says ------------------------------------------------------------

    def _listen(self) -> Iterator[Event]:
        for message in self._inbox():
            if isinstance(message, Strokes):
                self._read_strokes(message)
            elif isinstance(message, View):
                self.screen.look(message)
            elif isinstance(message, Pause):
                yield from self._set_mode("paused")
            elif isinstance(message, Continue):
                self.progress.be_patient(self.learner)
                yield from self._set_mode(self._working_mode())
            elif isinstance(message, StartAfresh):
                yield from self._start_afresh()
            elif isinstance(message, FindNext):
                yield from self._find_next()
            elif isinstance(message, Limit):
                box = message.box
                limit = None if box is None else Window(self.source, box).spatial
                self.book.set_limit(limit)
                self._new_strokes = True
            elif isinstance(message, Classes):
                self._take_classes([ClassInfo(**c) for c in message.classes])

    def _working_mode(self) -> LiveMode:
        ready = self.learner is not None and self.book.can_teach
        return "learning" if ready else "waiting"

    def _start_afresh(self) -> Iterator[Event]:
        self._start, self._starter, self._resume = None, False, None
        if self.learner is None:
            return
        self.learner = None
        if not self.book.can_teach:
            yield from self._set_mode("waiting")
            return
        self._make_learner()
        if self._mode != "paused":
            yield from self._set_mode("learning")

    def _read_strokes(self, message: Strokes) -> None:
        self._open_project()
        self.keeper.painted(message.box)
        window = Window(self.source, message.box)
        low, high = window.spatial[-2]
        self.screen.stroke_row = (low + high) // 2
        for sample, _ in window.samples():
            if self.book.update(sample, window.spatial):
                self._new_strokes = True
                self.keeper.changes += 1
        self._serial = message.serial
        if not self._new_strokes:
            self._known_serial = self._serial

    def _take_classes(self, classes: list[ClassInfo]) -> None:
        same = [c.value for c in classes] == [c.value for c in self.book.classes]
        self.book.set_classes(classes)
        if not same and self.config.task == "classes":
            before, self.learner = self.learner, None
            if before is not None and self.book.can_teach:
                self._make_learner(keep=before)
            else:
                # Strokes of two classes may be gone, or there again.
                self._new_strokes = True
        self.keeper.changes += 1
        self.screen.stale = True

    # Learning ------------------------------------------------------------------------

    def _learn_strokes(self) -> Iterator[Event]:
        self._new_strokes = False
        if not self.book.can_teach:
            self._known_serial = self._serial
            self.screen.stale = True
            if self._mode != "paused":
                yield from self._set_mode("waiting")
            return
        if self.learner is None:
            self._make_learner()
            if self._resume is not None:
                yield from self._go_on(self._resume)
        else:
            self.learner.learn_strokes()
        self._known_serial = self._serial
        self.screen.stale = True
        # What counts as an improvement is measured with the new strokes, too.
        self.progress.be_patient(self.learner)
        if self._mode != "paused":
            yield from self._set_mode("learning")

    def _make_learner(self, keep: LiveLearner | None = None) -> None:
        self.learner = LiveLearner(
            self.source,
            self.intensity,
            self.book,
            self.config,
            self.device,
            self.precision,
        )
        head_start = 0
        if keep is not None:
            head_start = self.progress.head_start
            self.learner.adopt(keep.average.network.state_dict(), keep.step_count)
        elif self._start is not None:
            self._adopt(self.learner, self._start)
        elif self._starter:
            head_start = STARTER_STEPS if try_starter(self.learner) else 0
        self.progress.begin(self.learner, head_start)
        self._losses.clear()
        self.screen.stale = True

    def _adopt(self, learner: LiveLearner, start: Model) -> None:
        """Begin with a model's weights as far as they fit; what did not is told."""
        names = [c.name for c in self.book.classes]
        n_channels, ndim = self.source.n_channels, self.source.ndim
        found = transfer_model(
            learner.network, start, self.config.task, names, n_channels
        )
        learner.adopt(found.weights, 0)
        if found.incomplete:
            self._notes.append(in_words(found, start.info, ndim, n_channels))

    def _find_next(self) -> Iterator[Event]:
        if self.learner is None:
            yield NextRegion(None)
            return
        here = None
        window = self.screen.window
        if window is not None:
            here = (next(window.samples())[0], window.spatial)
        try:
            found = self.survey.next_region(self.learner, here, self._stop)
        except Stopped:
            return  # nobody waits for the answer any more
        box = None if found is None else Window.around(self.source, *found)
        yield NextRegion(box)

    # Showing -------------------------------------------------------------------------

    def _show(self) -> Iterator[Event]:
        learner = self.learner
        if learner is None or not self.screen.due(learning=self._mode == "learning"):
            return
        yield from self.screen.draw(learner, self._known_serial, self._hear_meanwhile)

    def _hear_meanwhile(self) -> Generator[Event, None, bool]:
        """Listen between two strips; whether the rest of the preview is wanted."""
        learner, view = self.learner, self.screen.view
        yield from self._listen()
        if self._stop() or self.screen.view != view or self.learner is not learner:
            return False
        if self._new_strokes:
            self.screen.stale = True
        return not self._new_strokes

    # Keeping -------------------------------------------------------------------------

    def model(self) -> Model | None:
        """The network as it is now, as a model."""
        if self.learner is None:
            return None
        return live_model(
            self.learner,
            self.book,
            self.verdict,
            self.name,
            self.steps,
            self.learning_seconds,
        )

    def keep_annotation(self) -> None:
        """Keep the annotation at once, from any thread: the viewer is gone."""
        self.keeper.keep_annotation(self)

    @property
    def has_strokes(self) -> bool:
        """Whether strokes came; until then the shared annotation may be empty."""
        return self._serial > 0

    def _open_project(self) -> None:
        """What an earlier run held out, before the first strokes are read.

        Not earlier: until then the shared annotation is empty.
        """
        project, self._unopened = self._unopened, None
        if project is not None and project.can_continue:
            self._resume = project.load(self)
            self._new_strokes = True

    def _go_on(self, state: Checkpoint) -> Iterator[Event]:
        """Take over the weights of an earlier run."""
        self._resume = None
        if self.learner is not None:
            try:
                self.learner.resume(state)
            except DataError:
                self._make_learner()
                yield Notice(
                    "The settings, channels or classes are others than before: "
                    "learning starts afresh from your strokes."
                )
                return
            self.progress.head_start = int(state.plain.get("head_start", 0))
            self.learning_seconds = float(state.plain["learning_seconds"])
            yield StepDone(self.steps, 0.0, 0.0, math.inf)
