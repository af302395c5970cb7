"""A live run as *Train U-Net* shows it: it learns while the person paints. No Qt here.

The run holds no layer. What it shares with the engine (:attr:`LiveRun.shared`) is
filled by whoever watches the annotation layer, who then calls :meth:`LiveRun.painted`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_unet.data.classes import ClassInfo
from napari_unet.live.messages import (
    PREVIEW_VOXELS,
    Classes,
    Continue,
    FindNext,
    Hint,
    LabelsBox,
    Limit,
    LiveMode,
    Pause,
    Preview,
    StartAfresh,
    Strokes,
    View,
    ViewerMessage,
    to_plain,
)
from napari_unet.widgets.session import Session
from napari_unet.widgets.training_run import (
    Curve,
    TrainingRequest,
    TrainingRun,
    plain_classes,
)

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

READING = "Reading your strokes…"


@dataclass(frozen=True)
class LiveRequest(TrainingRequest):
    """All that a live run needs to begin; `annotation` tells shape and dtype."""

    project: str | None = None
    """Folder where annotation and state are kept."""
    painted: bool = False
    """Whether there are strokes enough to begin with."""


class LiveRun(TrainingRun):
    """Trains in the engine while strokes come and previews go back."""

    task = "live"

    ready = Signal()
    """The engine has begun: :attr:`shared` is there and wants the annotation."""
    previewed = Signal()
    """A preview waits to be taken."""
    classes_told = Signal()
    """The engine was told other classes, names or colours."""
    region_found = Signal(object)
    """The box where annotation would help most, or ``None``."""

    def __init__(self, engine: Engine, session: Session) -> None:
        super().__init__(engine, session)
        self._limit: Limit | None = None
        self._painted = False
        self._clear()

    def _clear(self) -> None:
        self.mode: LiveMode | None = None
        """What the engine is doing; ``None`` until it has said so."""
        self.score_text = ""
        self.hints: tuple[Hint, ...] = ()
        self.serial = 0
        """Number of the last strokes that were sent."""
        self.preview: Preview | None = None
        """The last preview, whether or not it was taken."""
        self.classes: list[ClassInfo] | None = None
        """The classes that the engine knows; ``None`` for objects."""
        self.shared: dict[str, NDArray[Any]] = {}
        """``annotation``, ``preview`` and ``map``, while the engine has them."""
        self._view: View | None = None
        self._untaken: Preview | None = None
        self._learnt = 0.0
        self._since: float | None = None

    # To the engine ---------------------------------------------------------------

    def start(self, request: TrainingRequest) -> None:
        if not isinstance(request, LiveRequest):
            raise TypeError("a live run is started with a LiveRequest")
        self._clear()
        self.classes = request.classes
        self._painted = request.painted
        super().start(request)
        if self._limit is not None:
            self._send(self._limit)

    def note(self, sentence: str) -> None:
        """Show a sentence beside what the engine says."""
        if sentence not in self.notices:
            self._notice(sentence)
            self.changed.emit()

    def painted(self, box: LabelsBox) -> None:
        """Tell that pixels in `box` changed; they are in the shared array."""
        self.serial += 1
        self._send(Strokes(box, self.serial))

    def tell_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Tell what the classes are, where that is news."""
        if self.classes is not None and list(classes) != self.classes:
            self.classes = list(classes)
            self._send(Classes(plain_classes(classes)))
            self.classes_told.emit()

    def look_at(self, box: LabelsBox, show: str = "", channel: int = 0) -> None:
        """Ask for previews of `box`; told only if it is another one."""
        view = View(box, show, channel)
        if self.active and view != self._view:
            self._view = view
            self._send(view)

    def pause(self) -> None:
        """Let the run rest; previews go on."""
        self._send(Pause())

    def go_on(self) -> None:
        """Go on after a pause, or although nothing improves any more."""
        self._send(Continue())

    def start_afresh(self) -> None:
        """Forget what was learnt; the strokes stay."""
        self._learnt = 0.0
        self._since = None if self._since is None else time.monotonic()
        self.curve = Curve()
        self.score_text = ""
        self._send(StartAfresh())
        self.changed.emit()

    def find_next(self) -> None:
        """Ask where to annotate; `region_found` answers."""
        self._send(FindNext())

    def limit(self, box: LabelsBox | None) -> None:
        """Learn and preview only inside `box`, in this run and the next ones."""
        self._limit = None if box is None else Limit(box)
        self._send(Limit(box))

    def _send(self, message: ViewerMessage) -> None:
        if self._job is not None and self.active:
            self._job.send(to_plain(message))

    # From the engine -------------------------------------------------------------

    @property
    def paused(self) -> bool:
        return self.mode == "paused"

    @property
    def seconds_learnt(self) -> float:
        """Time spent learning since the last fresh start."""
        now = 0.0 if self._since is None else time.monotonic() - self._since
        return self._learnt + now

    def take_preview(self) -> Preview | None:
        """The newest preview that was not taken yet.

        Its `rows` span all that changed since the last one that was taken.
        """
        taken, self._untaken = self._untaken, None
        return taken

    def _params(self, request: TrainingRequest) -> dict[str, Any]:
        params = super()._params(request)
        if isinstance(request, LiveRequest):
            params["project"] = request.project
        return params

    def _inputs(self, request: TrainingRequest) -> dict[str, Any]:
        return request.image.inputs()

    def _outputs(
        self, request: TrainingRequest
    ) -> dict[str, tuple[tuple[int, ...], str]]:
        labels = request.annotation
        dtype = np.dtype(labels.dtype).newbyteorder("=")
        return {
            "annotation": (tuple(int(n) for n in labels.shape), dtype.str),
            "preview": ((PREVIEW_VOXELS,), "int32"),
            "map": ((PREVIEW_VOXELS,), "uint8"),
        }

    def _on_state(self, event: dict[str, Any]) -> None:
        if event["state"] == "running" and self._job is not None:
            self.shared = dict(self._job.outputs)
            self.ready.emit()
        super()._on_state(event)

    def _on_step(self, event: dict[str, Any]) -> None:
        # There is no end to count down to. Steps that go back are those of other
        # weights, which need a curve of their own.
        steps = self.curve.steps
        if len(steps) > 1 and steps[-1] < steps[-2]:
            self.curve = Curve(steps[-1:], self.curve.losses[-1:])

    def _on_task_event(self, event: dict[str, Any]) -> None:
        listen = self._listeners().get(str(event.get("event")))
        if listen is None:
            super()._on_task_event(event)
        else:
            listen(event)

    def _listeners(self) -> dict[str, Callable[[dict[str, Any]], None]]:
        return {
            "ModeChanged": self._on_mode,
            "Preview": self._on_preview,
            "LiveScore": self._on_score,
            "NextRegion": self._on_region,
            "Advice": self._on_advice,
        }

    def _on_mode(self, event: dict[str, Any]) -> None:
        if self._since is not None:
            self._learnt += time.monotonic() - self._since
        first, self.mode = self.mode is None, event["mode"]
        self._since = time.monotonic() if self.mode == "learning" else None
        if self.state == "running":
            # What it says first, it says before it looked at the strokes.
            unread = first and self._painted and self.mode == "waiting"
            self.message = READING if unread else str(event["text"])

    def _on_preview(self, event: dict[str, Any]) -> None:
        preview = Preview(
            box=labels_box(event["box"]),
            serial=int(event["serial"]),
            step=int(event["step"]),
            source=event["source"],
            show=str(event["show"]),
            rows=(int(event["rows"][0]), int(event["rows"][1])),
        )
        self.preview = preview
        before = self._untaken
        if before is not None and before.box == preview.box:
            first = min(before.rows[0], preview.rows[0])
            last = max(before.rows[1], preview.rows[1])
            preview = replace(preview, rows=(first, last))
        self._untaken = preview
        self.previewed.emit()

    def _on_score(self, event: dict[str, Any]) -> None:
        self.score_text = str(event["text"])
        score = event["score"]
        if score is not None and math.isfinite(score):
            self.curve.score_steps.append(int(event["step"]))
            self.curve.scores.append(float(score))

    def _on_region(self, event: dict[str, Any]) -> None:
        box = event["box"]
        if box is None:
            self._notice("No place is left where annotation would help.")
        self.region_found.emit(None if box is None else labels_box(box))

    def _on_advice(self, event: dict[str, Any]) -> None:
        self.hints = tuple(Hint(**hint) for hint in event["hints"])

    def _end(self, state: Any, message: str) -> None:
        self.mode = None
        self._since = None
        self.hints = ()
        self._view = None
        self._untaken = None
        self.shared = {}
        super()._end(state, message)


def labels_box(plain: Sequence[Sequence[int]]) -> LabelsBox:
    """A box as it comes out of JSON, as one."""
    return tuple((int(start), int(stop)) for start, stop in plain)
