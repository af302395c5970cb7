"""A live run: strokes come, a network learns, previews go, all between two steps."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.source import ImageSource
from napari_unet.device import (
    describe,
    is_out_of_memory,
    pick_device,
    pick_precision,
    release_memory,
)
from napari_unet.errors import DataError, UserError
from napari_unet.live.advice import Learning, advise
from napari_unet.live.judge import NO_VERDICT, Verdict, judge
from napari_unet.live.learner import LiveLearner
from napari_unet.live.messages import (
    Advice,
    Classes,
    Continue,
    FindNext,
    Hint,
    LabelsBox,
    Limit,
    LiveEvent,
    LiveMode,
    LiveScore,
    ModeChanged,
    NextRegion,
    Pause,
    Preview,
    StartAfresh,
    Strokes,
    View,
    ViewerMessage,
)
from napari_unet.live.preview import uncertainty
from napari_unet.live.project import Project
from napari_unet.live.result import live_model, smallest_object
from napari_unet.live.starters import try_starter
from napari_unet.live.strokes import StrokeBook
from napari_unet.live.survey import Survey
from napari_unet.live.window import Window
from napari_unet.models.model import Model
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.stopping import never
from napari_unet.training.checkpoint import Checkpoint
from napari_unet.training.events import (
    Finished,
    Notice,
    Saved,
    Started,
    StepDone,
    TrainingEvent,
)

SECONDS_BETWEEN_PREVIEWS = 1.0
PREVIEW_SHARE = 0.25
"""Share of the time that previews may take while nothing on screen changes."""
STRIP_VOXELS = {"cpu": 2**18, "gpu": 2**22}
"""Voxels of a preview that are computed at a time: the newest stroke wants to be seen,
and the person may look elsewhere."""
MIN_STRIP_SHARE = 2**-6
"""Of that, as little is tried where memory runs out."""
SECONDS_BETWEEN_STEPS_TOLD = 0.25
SECONDS_BETWEEN_VERDICTS = 5.0
SECONDS_BETWEEN_ADVICE = 10.0
SECONDS_BETWEEN_SAVES = 30.0
SECONDS_BETWEEN_PROJECTS = 60.0
PATIENCE_STEPS = 500
"""Steps without a better verdict after which the run rests."""
PATIENCE_SECONDS = 120.0
"""The same where there is no verdict: learning time since the last strokes."""
IDLE_SECONDS = 0.03
MAX_DIVERGED = 3
"""After so many times without `STEADY_STEPS` in between, learning is given up."""
STEADY_STEPS = 50

MODES: dict[LiveMode, str] = {
    "waiting": "Paint a few strokes of two classes or more: then learning begins.",
    "learning": "Learning: paint where the preview is wrong.",
    "resting": "It no longer improves: paint where it is wrong, or press Stop to keep "
    "the model.",
    "paused": "Paused.",
}

Event = LiveEvent | TrainingEvent


def nothing() -> Sequence[ViewerMessage]:
    """No messages."""
    return ()


@dataclass
class Shared:
    """Arrays that the viewer sees, too: see :mod:`napari_unet.live.messages`."""

    preview: NDArray[np.int32]
    map: NDArray[np.uint8]


@dataclass
class _Clock:
    """When something was done last, in seconds of a monotonic clock."""

    done: dict[str, float] = field(default_factory=dict)

    def due(self, what: str, seconds: float) -> bool:
        """Whether it is time again; if so, it counts as done now."""
        now = time.monotonic()
        if now - self.done.get(what, -math.inf) < seconds:
            return False
        self.done[what] = now
        return True


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
        stop: Callable[[], bool] = never,
        autosave: Path | None = None,
        project: Project | None = None,
        start: Model | None = None,
        starter: bool = True,
    ) -> None:
        self.source: ImageSource = annotation.source
        self.annotation, self.config = annotation, config
        self.shared, self.name = shared, name
        self.device = pick_device(config.device)
        self.precision = pick_precision(
            self.device, config.precision, ndim=self.source.ndim
        )
        self.intensity = measure_range(self.source, NormalizationInfo())
        self.book = StrokeBook(
            annotation, config.task, classes, hold_out=config.validation_fraction > 0
        )
        self.survey = Survey(self.source, self.book, config.seed)
        self.learner: LiveLearner | None = None
        self.verdict: Verdict = NO_VERDICT
        self.learning_seconds = 0.0
        self._inbox, self._stop = inbox, stop
        self._autosave, self._project, self._start = autosave, project, start
        self._unopened = project
        self._starter = starter
        self._mode: LiveMode = "waiting"
        self._view: View | None = None
        self._serial = 0
        self._known_serial = 0
        self._stale = True
        self._shown: LabelsBox | None = None
        self._new_strokes = False
        self._stroke_row = 0
        self._resume: Checkpoint | None = None
        self._changes = 0
        self._saved: dict[str, int] = {}
        """How many changes were there when something was saved last."""
        self._diverged = self._steady = 0
        self._strip_share = 1.0
        self._preview_seconds = 0.0
        self._waited_seconds = 0.0
        self._best_loss = math.inf
        self._best_step = 0
        self._losses: deque[float] = deque(maxlen=10)
        self._hints: tuple[Hint, ...] = ()
        self._clock = _Clock()

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
        yield ModeChanged(self._mode, MODES[self._mode])
        while not self._stop():
            yield from self._listen()
            if self._new_strokes:
                yield from self._learn_strokes()
            yield from self._show()
            if self._new_strokes:
                continue  # heard in between: nothing may be left to learn from
            learner = self.learner
            if learner is None or self._mode != "learning":
                yield from self._save()
                time.sleep(IDLE_SECONDS)
                continue
            begun = time.monotonic()
            loss = learner.step()
            if not math.isfinite(loss):
                yield from self._begin_again()
                continue
            self._changes += 1
            self._steady += 1
            taken = time.monotonic() - begun
            self.learning_seconds += taken
            self._waited_seconds += taken
            self._losses.append(loss)
            yield from self._tell(learner)
        yield from self._save(final=True)
        model = self.model()
        steps = 0 if self.learner is None else self.learner.step_count
        yield Finished(steps, "stopped", self.verdict.score, self.learning_seconds)
        return model

    def _tell(self, learner: LiveLearner) -> Iterator[Event]:
        """What is told, judged and saved now and then while it learns."""
        if learner.memory_note:
            note, learner.memory_note = learner.memory_note, ""
            yield Notice(note)
        if self._clock.due("step", SECONDS_BETWEEN_STEPS_TOLD):
            loss = float(np.mean(self._losses))
            yield StepDone(learner.step_count, loss, 0.0, math.inf)
        if self._clock.due("verdict", SECONDS_BETWEEN_VERDICTS):
            yield from self._judge(learner)
        if self._clock.due("advice", SECONDS_BETWEEN_ADVICE):
            yield from self._advise(learner)
        yield from self._save()

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
        if mode != self._mode:
            self._mode = mode
            yield ModeChanged(mode, MODES[mode])

    # What the viewer says ------------------------------------------------------------

    def _listen(self) -> Iterator[Event]:
        for message in self._inbox():
            if isinstance(message, Strokes):
                self._read_strokes(message)
            elif isinstance(message, View):
                self._stale |= message != self._view
                self._view = message
            elif isinstance(message, Pause):
                yield from self._set_mode("paused")
            elif isinstance(message, Continue):
                self._best_step = self.learner.step_count if self.learner else 0
                self._best_loss, self._waited_seconds = math.inf, 0.0
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
        window = Window(self.source, message.box)
        low, high = window.spatial[-2]
        self._stroke_row = (low + high) // 2
        for sample, _ in window.samples():
            if self.book.update(sample, window.spatial):
                self._new_strokes = True
                self._changes += 1
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
        self._changes += 1
        self._stale = True

    # Learning ------------------------------------------------------------------------

    def _learn_strokes(self) -> Iterator[Event]:
        self._new_strokes = False
        if not self.book.can_teach:
            self._known_serial = self._serial
            self._stale = True
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
        self._stale = True
        self._waited_seconds = 0.0
        # What counts as an improvement is measured with the new strokes, too.
        self._best_loss = math.inf
        if self.learner is not None:
            self._best_step = self.learner.step_count
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
        if keep is not None:
            self.learner.adopt(keep.average.network.state_dict(), keep.step_count)
        elif self._start is not None:
            self.learner.adopt(dict(self._start.network.state_dict()), 0)
        elif self._starter:
            try_starter(self.learner)
        self.verdict = NO_VERDICT
        self._best_loss, self._best_step = math.inf, self.learner.step_count
        self._waited_seconds = 0.0
        self._losses.clear()
        self._stale = True

    def _judge(self, learner: LiveLearner) -> Iterator[Event]:
        self.verdict = verdict = judge(learner, self.book)
        yield self._score(learner)
        if verdict.loss is None:
            if self._waited_seconds >= PATIENCE_SECONDS:
                yield from self._rest(learner)
            return
        if verdict.loss < self._best_loss - 1e-3:
            self._best_loss, self._best_step = verdict.loss, learner.step_count
            learner.remember_best()
        elif learner.step_count - self._best_step >= PATIENCE_STEPS:
            learner.return_to_best()
            self.verdict = judge(learner, self.book)
            yield self._score(learner)
            yield from self._rest(learner)

    def _score(self, learner: LiveLearner) -> LiveScore:
        v = self.verdict
        return LiveScore(learner.step_count, v.score, v.low, v.high, v.text)

    def _rest(self, learner: LiveLearner) -> Iterator[Event]:
        self._stale = True
        yield from self._advise(learner)
        yield from self._set_mode("resting")

    def _advise(self, learner: LiveLearner) -> Iterator[Event]:
        hints = advise(
            Learning(
                book=self.book,
                learner=learner,
                verdict=self.verdict,
                best_loss=self._best_loss,
                view=None
                if self._view is None
                else Window(self.source, self._view.box),
            )
        )
        if hints != self._hints:
            self._hints = hints
            yield Advice(hints)

    def _find_next(self) -> Iterator[Event]:
        if self.learner is None:
            yield NextRegion(None)
            return
        here = None
        if self._view is not None:
            window = Window(self.source, self._view.box)
            here = (next(window.samples())[0], window.spatial)
        found = self.survey.next_region(self.learner, here)
        box = None if found is None else Window.around(self.source, *found)
        yield NextRegion(box)

    # Showing -------------------------------------------------------------------------

    def _show(self) -> Iterator[Event]:
        if self.learner is None or self._view is None:
            return
        pause = max(
            SECONDS_BETWEEN_PREVIEWS,
            self._preview_seconds * (1 / PREVIEW_SHARE - 1),
        )
        learning = self._mode == "learning"
        since = time.monotonic() - self._clock.done.get("preview", -math.inf)
        if not self._stale and not (learning and since >= pause):
            return
        begun = time.monotonic()
        self._stale = False
        try:
            yield from self._preview(self.learner, self._view)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self._strip_share <= MIN_STRIP_SHARE:
                raise
            release_memory(self.device)
            self._strip_share /= 2
            self._stale = True
            yield Notice("Memory ran out: previews come in smaller pieces.")
        self._clock.done["preview"] = time.monotonic()
        self._preview_seconds = time.monotonic() - begun

    def _preview(self, learner: LiveLearner, view: View) -> Iterator[Event]:
        window = Window(self.source, view.box)
        previewer = learner.previewer()
        labels = window.arranged(self.shared.preview)
        shown = window.arranged(self.shared.map)
        if view.box != self._shown:
            # The viewer copies all of a new box, of which only a strip is there yet.
            labels[...], shown[...] = 0, 0
            self._shown = view.box
        tell = partial(
            Preview,
            box=view.box,
            serial=self._known_serial,
            step=learner.step_count,
            source="network" if learner.step_count else "first answer",
            show=view.show,
        )
        # Objects are told apart in the whole box, never in a strip of it.
        whole = self.config.task == "objects"
        for sample, position in window.samples():
            for rows in self._strips(window.spatial, whole=whole):
                first = window.spatial[-2][0]
                box = (
                    *window.spatial[:-2],
                    (first + rows[0], first + rows[1]),
                    window.spatial[-1],
                )
                maps = previewer.maps(learner.patches, sample, box)
                key: Any = (*position, ..., slice(*rows), slice(None))
                labels[key] = self._labels(maps, sample, box)
                if view.show:
                    shown[key] = self._map(maps, view)
                yield tell(rows=rows)
                # Whoever looks elsewhere by now need not see the rest.
                yield from self._listen()
                if self._stop() or self._view != view or self.learner is not learner:
                    return
                if self._new_strokes:
                    self._stale = True
                    return

    def _strips(self, box: Any, *, whole: bool) -> Iterator[tuple[int, int]]:
        """Rows along Y, counted from the box, that are computed together.

        Those around the newest stroke come first: the person waits for them.
        """
        sizes = [b - a for a, b in box]
        kind = "cpu" if self.device.type == "cpu" else "gpu"
        row = math.prod(sizes) // sizes[-2]
        voxels = int(STRIP_VOXELS[kind] * self._strip_share)
        step = sizes[-2] if whole else max(64, voxels // max(1, row))
        middle = self._stroke_row - box[-2][0]
        starts = range(0, sizes[-2], step)
        for start in sorted(starts, key=lambda s: abs(s + step // 2 - middle)):
            yield start, min(sizes[-2], start + step)

    def _labels(
        self, maps: NDArray[np.float32], sample: int, box: Any
    ) -> NDArray[np.int32]:
        if self.config.task == "objects":
            return decode_objects(maps[0], maps[1], self._decoder())
        results = np.array([c.result_value for c in self.book.classes], np.int32)
        labels: NDArray[np.int32] = results[maps.argmax(axis=0)]
        known = self.book.samples.get(sample)
        if known is not None:
            # What a person painted is so, whatever the network says.
            painted = known.index[tuple(slice(*b) for b in box)]
            labels = np.where(painted >= 0, results[painted], labels)
        return labels

    def _decoder(self) -> DecoderInfo:
        return DecoderInfo(min_size=smallest_object(self.book))

    def _map(self, maps: NDArray[np.float32], view: View) -> NDArray[np.uint8]:
        if view.show == "uncertainty":
            values = uncertainty(maps, self.config.task)
        else:
            values = maps[min(view.channel, len(maps) - 1)]
        found: NDArray[np.uint8] = np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)
        return found

    # Keeping -------------------------------------------------------------------------

    def model(self) -> Model | None:
        """The network as it is now, as a model."""
        if self.learner is None:
            return None
        return live_model(
            self.learner, self.book, self.verdict, self.name, self.learning_seconds
        )

    def _save(self, *, final: bool = False) -> Iterator[Event]:
        """Keep what is new, now and then; while it learns, a full disk is no end."""
        try:
            if self._due("model", SECONDS_BETWEEN_SAVES, final=final):
                yield from self._save_model()
                self._saved["model"] = self._changes
            if self._due("project", SECONDS_BETWEEN_PROJECTS, final=final):
                yield from self._save_project()
                self._saved["project"] = self._changes
        except (UserError, OSError) as error:
            if final:
                raise
            yield Notice(f"The work could not be saved ({error}): make room on disk.")

    def _due(self, what: str, seconds: float, *, final: bool) -> bool:
        if self._saved.get(what, 0) == self._changes:
            return False
        return self._clock.due(what, 0.0 if final else seconds)

    def _save_model(self) -> Iterator[Event]:
        model = self.model()
        if self._autosave is None or model is None:
            return
        model.save(self._autosave)
        yield Saved(model.info.training.steps, str(self._autosave))

    def _save_project(self) -> Iterator[Event]:
        if self._project is None or not self._serial:
            return  # without strokes the shared annotation may still be empty
        self._project.save(self)
        steps = 0 if self.learner is None else self.learner.step_count
        yield Saved(steps, str(self._project.folder))

    def keep_annotation(self) -> None:
        """Keep the annotation at once, from any thread: the viewer is gone."""
        if self._project is not None and self._serial:
            self._project.save_annotation(self)

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
            self.learning_seconds = float(state.plain["learning_seconds"])
            yield StepDone(self.learner.step_count, 0.0, 0.0, math.inf)
