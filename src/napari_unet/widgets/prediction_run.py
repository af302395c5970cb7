"""A prediction as the *Predict U-Net* widget shows it. No Qt here."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.models.info import ModelInfo
from napari_unet.models.library import model_name
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.placement import shifted
from napari_unet.widgets.runs import EngineRun, in_words

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PredictionRequest:
    """All that a prediction needs, frozen when Predict was pressed."""

    image: ImageSnapshot
    model_path: Path
    info: ModelInfo
    box: Box | None = None
    """Start and stop along each labels axis; the whole image by default."""
    probabilities: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the labels along the image's labels axes."""
        if self.box is None:
            return self.image.source.labels_shape
        return tuple(stop - start for start, stop in self.box)

    def samples(self) -> list[int] | None:
        """Flat indices of the samples inside the box."""
        if self.box is None:
            return None
        source = self.image.source
        ranges = [
            range(*bounds)
            for letter, bounds in zip(source.labels_axes, self.box, strict=True)
            if letter in source.sample_axes
        ]
        if not ranges:
            return [0]
        grid = np.meshgrid(*ranges, indexing="ij")
        flat = np.ravel_multi_index([g.ravel() for g in grid], source.sample_shape)
        return [int(i) for i in flat]

    def region(self) -> list[list[int]] | None:
        """Start and stop along the axes that the network sees."""
        if self.box is None:
            return None
        source = self.image.source
        bounds = dict(zip(source.labels_axes, self.box, strict=True))
        return [list(bounds[letter]) for letter in source.spatial]

    def engine_shape(self) -> tuple[int, ...]:
        """Shape of the labels as the engine writes them."""
        samples, region = self.samples(), self.region()
        if samples is None or region is None:
            return self.shape
        return (len(samples), *(stop - start for start, stop in region))

    def in_layer_order(self, array: NDArray[Any]) -> NDArray[Any]:
        """What the engine wrote, along the image's labels axes."""
        if self.box is None:
            return array
        source = self.image.source
        written = source.sample_axes + source.spatial
        length = dict(zip(source.labels_axes, self.shape, strict=True))
        full = array.reshape([length[a] for a in written])
        return full.transpose([written.index(a) for a in source.labels_axes])

    def placement(self) -> Mapping[str, Any]:
        """Where the result lies."""
        if self.box is None:
            return self.image.placement
        return shifted(self.image.placement, [start for start, _ in self.box])


@dataclass(frozen=True)
class PredictionResult:
    """Labels, where they belong, and what they mean."""

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float16] | None
    """First axis K, one map each as named by :attr:`ModelInfo.maps`."""
    placement: Mapping[str, Any]
    info: ModelInfo
    name: str
    """Name for the layer: image and model."""
    box: Box
    """Where the labels lie in the image, along each labels axis."""
    shape: tuple[int, ...]
    """Shape of labels of the whole image."""


class PredictionRun(EngineRun):
    """Segments one image in the engine."""

    task = "predict"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.result: PredictionResult | None = None
        self._request: PredictionRequest | None = None
        self._began = 0.0

    def start(self, request: PredictionRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.result = None
        self._request = request
        self._began = time.monotonic()
        shape = request.engine_shape()
        outputs: dict[str, tuple[tuple[int, ...], str]] = {"labels": (shape, "int32")}
        if request.probabilities:
            outputs["probabilities"] = (
                (len(request.info.maps), *shape),
                "float16",
            )
        self._submit(
            {
                **request.image.params(),
                "model_path": str(request.model_path),
                "samples": request.samples(),
                "region": request.region(),
                "probabilities": request.probabilities,
            },
            request.image.inputs(),
            outputs,
        )

    def _on_task_event(self, event: dict[str, Any]) -> None:
        if event.get("event") != "TileDone":
            return
        done, total = int(event["done"]), max(int(event["total"]), 1)
        self.progress = done / total
        if self.state == "running":
            used = time.monotonic() - self._began
            left = used / max(done, 1) * (total - done)
            self.message = f"Tile {done:,} of {total:,}: {in_words(left)} left"

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, job = self._request, self._job
        if request is None or job is None or stopped:
            return "Stopped: no labels were made."
        labels = np.array(request.in_layer_order(job.outputs["labels"]), np.int32)
        maps = None
        if request.probabilities:
            maps = np.stack(
                [request.in_layer_order(m) for m in job.outputs["probabilities"]]
            )
        self.result = PredictionResult(
            labels=labels,
            probabilities=maps,
            placement=request.placement(),
            info=request.info,
            name=result_name(request.image.name, model_name(request.model_path)),
            box=request.box or tuple((0, n) for n in request.shape),
            shape=request.image.source.labels_shape,
        )
        return _summary(result, request.info)


def _summary(result: dict[str, Any], info: ModelInfo) -> str:
    seconds = result.get("seconds")
    took = (
        f" in {seconds:.1f} seconds"
        if isinstance(seconds, int | float) and math.isfinite(seconds)
        else ""
    )
    objects = result.get("objects")
    if objects is None or info.task != "objects":
        return f"Segmented{took}: the labels can be edited."
    word = "object" if objects == 1 else "objects"
    return f"Found {objects:,} {word}{took}: the labels can be edited."


def result_name(image: str, model: str) -> str:
    """Name of a layer of labels: image and model, but nothing said twice."""
    return model if model.startswith(image) else f"{image} {model}"
