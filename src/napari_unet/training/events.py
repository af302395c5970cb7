"""What a training run tells while it goes on.

Plain values only: every event crosses to another process as JSON (:func:`as_message`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@dataclass(frozen=True, slots=True)
class Started:
    """The plan is made and the first step is about to run."""

    device: str
    """The device in words, such as "CPU, 2 threads, bfloat16"."""
    plan: dict[str, Any]
    """The resolved plan, for showing and logging."""
    notes: list[str] = field(default_factory=list)
    """Sentences worth knowing: no held-out part, few annotations, and so on."""
    recipe: list[dict[str, str]] = field(default_factory=list)
    """What was chosen and why: the fields of each :class:`~.recipe.Choice`."""


@dataclass(frozen=True, slots=True)
class StepDone:
    """One optimiser step."""

    step: int
    loss: float
    progress: float
    """Share of the budget used, 0 to 1."""
    seconds_left: float
    """Estimate in seconds; the run may end sooner when it no longer improves."""


@dataclass(frozen=True, slots=True)
class Validated:
    """The held-out part was segmented and scored."""

    step: int
    loss: float
    score: float
    """Mean Dice (task `classes`) or mean AP at IoU 0.5 … 0.9 (task `objects`)."""
    best: bool
    """Whether this is the best score so far; its weights are kept."""


@dataclass(frozen=True, slots=True)
class Saved:
    """The best weights so far, or the checkpoint, reached the disk."""

    step: int
    path: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user while the run goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended; the generator's return value is the model."""

    step: int
    reason: str
    """Why, in words: "time is up", "stopped", "no longer improving", …"""
    score: float | None
    """Score of the kept weights on the held-out part; ``None`` without one."""
    seconds: float
    failed: bool = False
    """Whether the loss became infinite or NaN, so that the run could not go on."""


TrainingEvent = Started | StepDone | Validated | Saved | Notice | Finished


def as_message(event: DataclassInstance) -> dict[str, Any]:
    """The event as plain values, with its class name under ``"event"``."""
    return {"event": type(event).__name__, **asdict(event)}
