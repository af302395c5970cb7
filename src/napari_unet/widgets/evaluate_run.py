"""An evaluation as the *Evaluate* widget shows it. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.runs import EngineRun, copied

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


@dataclass(frozen=True)
class LayersCompared:
    """Two layers, as they were when the button was pressed."""

    truth: ImageSnapshot
    prediction: Any
    prediction_name: str
    image: Any = None
    image_axes: str = ""

    @property
    def title(self) -> str:
        return f"{self.prediction_name} against {self.truth.name}"


@dataclass(frozen=True)
class FoldersCompared:
    """Two folders whose files have the same names."""

    predictions: Path
    labels: Path
    images: Path | None = None

    @property
    def title(self) -> str:
        return f"{self.predictions.name} against {self.labels.name}"


@dataclass(frozen=True)
class EvaluationRequest:
    """All that an evaluation needs."""

    compared: LayersCompared | FoldersCompared
    settings: Mapping[str, Any]
    report: Path | None = None

    def params(self) -> dict[str, Any]:
        """What the engine has to know, as plain values."""
        some: dict[str, Any] = {
            "settings": dict(self.settings),
            "title": self.compared.title,
            "report": None if self.report is None else str(self.report),
        }
        if isinstance(self.compared, FoldersCompared):
            images = self.compared.images
            return {
                **some,
                "predictions": str(self.compared.predictions),
                "labels": str(self.compared.labels),
                "images": None if images is None else str(images),
            }
        return {
            **some,
            **self.compared.truth.params(),
            "image_axes": self.compared.image_axes,
        }

    def inputs(self) -> dict[str, Any]:
        """Arrays by name."""
        if isinstance(self.compared, FoldersCompared):
            return {}
        arrays = {
            "truth": self.compared.truth.arrays[0],
            "prediction": self.compared.prediction,
        }
        if self.compared.image is not None:
            arrays["image"] = self.compared.image
        return arrays

    def frozen(self) -> EvaluationRequest:
        """The same with labels that painting on does not change."""
        some = self.compared
        if isinstance(some, FoldersCompared):
            return self
        truth = replace(some.truth, arrays=tuple(copied(a) for a in some.truth.arrays))
        compared = replace(some, truth=truth, prediction=copied(some.prediction))
        return replace(self, compared=compared)

    def outputs(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """The error map, unless it is only the report that is wanted."""
        if isinstance(self.compared, FoldersCompared) or self.report is not None:
            return {}
        return {"errors": (self.compared.truth.source.labels_shape, "uint8")}


@dataclass(frozen=True)
class EvaluationResult:
    """What came of an evaluation."""

    request: EvaluationRequest
    scores: list[list[str]]
    """Rows of score, value and interval, as text."""
    level: float
    counts: dict[str, int]
    """Errors by kind."""
    mistakes: list[dict[str, Any]]
    """The largest ones, as :meth:`.Mistake.as_dict` writes them."""
    csv: str
    images: int
    errors: NDArray[np.uint8] | None = None
    notices: list[str] = field(default_factory=list)


class EvaluationRun(EngineRun):
    """Compares layers or folders in the engine."""

    task = "evaluate"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.result: EvaluationResult | None = None
        """Of the newest evaluation; a report leaves it alone."""
        self._request: EvaluationRequest | None = None

    def start(self, request: EvaluationRequest) -> None:
        """Send a request to the engine; returns at once."""
        if request.report is None:
            self.result = None
            request = request.frozen()
        self._request = request
        self._submit(request.params(), request.inputs(), request.outputs())

    def write_report(self, path: Path) -> None:
        """Compare again what was compared last, as it was then, and write a page."""
        if self.result is not None:
            self.start(replace(self.result.request, report=path))

    @property
    def writes_report(self) -> bool:
        """Whether the newest run is for a report."""
        return self._request is not None and self._request.report is not None

    def _on_task_event(self, event: dict[str, Any]) -> None:
        if event.get("event") != "ImageScored":
            return
        done, total = int(event["done"]), max(int(event["total"]), 1)
        self.progress = done / total
        if self.state == "running" and total > 1:
            self.message = f"{done:,} of {total:,} images compared"

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, job = self._request, self._job
        if request is None or job is None or stopped:
            return "Stopped: nothing was compared."
        if request.report is not None:
            return f"The report is in {request.report}."
        errors = job.outputs.get("errors")
        self.result = EvaluationResult(
            request=request,
            scores=result["scores"],
            level=result["level"],
            counts=result["counts"],
            mistakes=result["mistakes"],
            csv=result["csv"],
            images=result["images"],
            errors=None if errors is None else np.array(errors),
            notices=result["notices"],
        )
        self.notices = list(result["notices"])
        many = result["images"]
        what = "1 image" if many == 1 else f"{many:,} images"
        return f"Compared {what}: {sum(self.result.counts.values()):,} errors."
