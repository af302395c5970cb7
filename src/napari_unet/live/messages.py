"""What the viewer and a live run tell each other.

Plain values only: both directions cross processes as JSON. Pixels do not: the
annotation and the preview lie in memory that both share. No torch here.

The task's outputs, made by the viewer when it submits the task:

``annotation``
    Same shape and dtype as the annotation layer. The viewer copies the whole layer into
    it once the task runs and sends `Strokes` for it; later it copies only the box that
    changed.
``preview``
    int32, flat, :data:`PREVIEW_VOXELS` long: labels of the box that `Preview` names, in
    the order of that box.
``map``
    uint8, likewise: what :attr:`View.show` asked for, 0 … 255 for 0 … 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

PREVIEW_VOXELS = 2**22
"""Most voxels of a preview."""

LabelsBox = tuple[tuple[int, int], ...]
"""Start and stop along every axis of the annotation layer."""


# From the viewer ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Strokes:
    """Pixels of the annotation changed; they are in the shared array already."""

    box: LabelsBox
    serial: int
    """Counts up; a `Preview` says which strokes it knows."""


@dataclass(frozen=True, slots=True)
class View:
    """What the person looks at: previews follow it.

    A box with at most `PREVIEW_VOXELS` voxels; the viewer clips it around the middle
    of what is shown.
    """

    box: LabelsBox
    show: str = ""
    """Nothing more, ``"uncertainty"``, or ``"probability"`` of class `channel`."""
    channel: int = 0
    """Position in the model's classes; for task ``objects`` 0 is the foreground."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Rest until `Continue`; previews go on."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on after `Pause`, or although nothing improves any more."""


@dataclass(frozen=True, slots=True)
class StartAfresh:
    """Forget the weights, keep the strokes and what is held out."""


@dataclass(frozen=True, slots=True)
class FindNext:
    """Ask for the most uncertain region without annotation; `NextRegion` answers."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Learn and preview only inside a box; ``None`` lifts the limit."""

    box: LabelsBox | None


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes are others now: one was painted for the first time, or renamed.

    Comes before the `Strokes` of a new class. Their order stays; new ones come last.
    """

    classes: list[dict[str, Any]]
    """Fields of :class:`~napari_unet.data.classes.ClassInfo`."""


ViewerMessage = (
    Strokes | View | Pause | Continue | StartAfresh | FindNext | Limit | Classes
)

_MESSAGES: dict[str, type[ViewerMessage]] = {
    kind.__name__: kind
    for kind in (
        Strokes,
        View,
        Pause,
        Continue,
        StartAfresh,
        FindNext,
        Limit,
        Classes,
    )
}


def to_plain(message: ViewerMessage) -> dict[str, Any]:
    """A message as plain values, for ``Job.send``."""
    return {"message": type(message).__name__, **asdict(message)}


def from_plain(plain: Mapping[str, Any]) -> ViewerMessage:
    """The message that :func:`to_plain` made."""
    values = {k: v for k, v in plain.items() if k != "message"}
    if values.get("box") is not None:
        values["box"] = tuple((int(a), int(b)) for a, b in values["box"])
    return _MESSAGES[plain["message"]](**values)


# From the live run -------------------------------------------------------------------
# Beside these, a live run tells `Started`, `StepDone` (a few a second at most), `Saved`
# and `Notice` of napari_unet.training.events; they have the same form.

LiveMode = Literal["waiting", "learning", "resting", "paused"]


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """What the run is doing.

    ``waiting`` for annotation that can be learnt from, ``learning``, ``resting`` since
    nothing improves (new strokes wake it), or ``paused``.
    """

    mode: LiveMode
    text: str
    """The same in a sentence."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The shared arrays hold a new preview."""

    box: LabelsBox
    serial: int
    """Of the last strokes that it knows."""
    step: int
    source: Literal["first answer", "network"]
    """Whether the quick first answer made it, or the network."""
    show: str
    """What ``map`` holds, as in `View`; empty: nothing."""
    rows: tuple[int, int]
    """Rows of the preview, along Y of the box, that changed since the last one."""


@dataclass(frozen=True, slots=True)
class LiveScore:
    """How good the network is on held-out strokes."""

    step: int
    score: float | None
    """Mean Dice; ``None`` where there is too little to tell."""
    low: float | None
    high: float | None
    """Interval of 95 %."""
    text: str
    """The same in words, such as "0.87 (0.80 to 0.92) on 6 held-out strokes"."""


@dataclass(frozen=True, slots=True)
class NextRegion:
    """Where annotation would help most."""

    box: LabelsBox | None
    """``None`` if nothing is left to annotate."""


AdviceAction = Literal[
    "", "paint", "next", "afresh", "rescale", "go_to", "longer", "resume"
]


@dataclass(frozen=True, slots=True)
class Hint:
    """One piece of advice."""

    kind: str
    """Machine-readable: "few strokes", "contradiction", "overfitting", …"""
    text: str
    """A sentence: what is wrong and what to do."""
    action: AdviceAction = ""
    """What a button beside it would do; empty: no button."""
    value: dict[str, Any] = field(default_factory=dict)
    """What the action needs: ``{"class": 3}``, ``{"box": …}``."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Everything that is worth saying now; replaces earlier advice."""

    hints: tuple[Hint, ...]


LiveEvent = ModeChanged | Preview | LiveScore | NextRegion | Advice
