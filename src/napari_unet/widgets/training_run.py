"""A training run as the *Train U-Net* widget shows it. No Qt here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.config import TrainingConfig
from napari_unet.data.classes import ClassInfo
from napari_unet.models.library import free_path, model_name
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.runs import EngineRun, copied, in_words
from napari_unet.widgets.session import Session

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


@dataclass(frozen=True)
class TrainingRequest:
    """All that a training run needs, frozen when Train was pressed."""

    image: ImageSnapshot
    annotation: Any
    """Labels along the image's axes but C."""
    config: TrainingConfig
    classes: list[ClassInfo] | None
    name: str
    """Name of the model to be."""
    start: dict[str, Any] = field(default_factory=lambda: {"kind": "scratch"})
    """``{"kind": "scratch"}``, ``{"kind": "model", "path": …}`` or, for a live run,
    ``{"kind": "auto"}``: the first weights."""


@dataclass
class Curve:
    """Loss and validation score over the steps of a run."""

    steps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    score_steps: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: int | None = None
    """Index of the best score."""


class TrainingRun(EngineRun):
    """Trains a model in the engine and announces it when it is saved."""

    task = "train"

    def __init__(self, engine: Engine, session: Session) -> None:
        super().__init__(engine)
        self._session = session
        self.curve = Curve()
        self.device = ""
        self.model_path: Path | None = None
        """The model of the last run that ended well."""
        self._saved: str | None = None
        self._last = ""

    def start(self, request: TrainingRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.curve = Curve()
        self.model_path = None
        self._saved = None
        self._last = ""
        self._submit(
            self._params(request), self._inputs(request), self._outputs(request)
        )

    def _params(self, request: TrainingRequest) -> dict[str, Any]:
        path = free_path(request.name)
        return {
            **request.image.params(),
            "config": request.config.model_dump(mode="json"),
            "classes": None
            if request.classes is None
            else plain_classes(request.classes),
            "start": request.start,
            "model_path": str(path),
            "model_name": model_name(path),
        }

    def _inputs(self, request: TrainingRequest) -> dict[str, Any]:
        return {**request.image.inputs(), "annotation": copied(request.annotation)}

    def _outputs(
        self, request: TrainingRequest
    ) -> dict[str, tuple[tuple[int, ...], str]]:
        return {}

    def _on_task_event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "Started":
            self.device = str(event["device"])
            for note in event.get("notes", ()):
                self._notice(str(note))
        elif kind == "StepDone":
            self.curve.steps.append(int(event["step"]))
            self.curve.losses.append(float(event["loss"]))
            self._on_step(event)
        elif kind == "Validated":
            self.curve.score_steps.append(int(event["step"]))
            self.curve.scores.append(float(event["score"]))
            if event["best"]:
                self.curve.best = len(self.curve.scores) - 1
        elif kind == "Saved":
            self._saved = str(event["path"])
        elif kind == "Finished":
            self._last = _why(event)

    def _on_step(self, event: dict[str, Any]) -> None:
        self.progress = min(max(float(event["progress"]), 0.0), 1.0)
        if self.state == "running":
            left = in_words(float(event["seconds_left"]))
            self.message = f"Step {event['step']:,}: {left} left at most"

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        where = result.get("model_path") or self._saved
        if not where:
            return "The training ended without a model: try again."
        self.model_path = Path(where)
        self._session.model_saved.emit(self.model_path)
        begin = f"The model {model_name(self.model_path)!r} is saved"
        return f"{begin}{self._last}." if self._last else f"{begin}."

    def _on_lost(self, sentence: str) -> str:
        if self._saved is None:
            return sentence
        self.model_path = Path(self._saved)
        self._session.model_saved.emit(self.model_path)
        return f"{sentence} The best model so far is {model_name(self.model_path)!r}."


def plain_classes(classes: Sequence[ClassInfo]) -> list[dict[str, Any]]:
    """Classes as plain values, for the engine."""
    return [c.model_dump(mode="json") for c in classes]


def _why(event: dict[str, Any]) -> str:
    reason = str(event["reason"]).rstrip(".")
    score = event.get("score")
    seconds = in_words(float(event["seconds"]))
    text = f" ({reason} after {seconds}"
    return f"{text}, score {score:.2f})" if score is not None else f"{text})"
