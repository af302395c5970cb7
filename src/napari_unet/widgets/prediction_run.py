"""A prediction as the *Predict U-Net* widget shows it. No Qt here."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_unet.data.source import ImageSource
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import model_folder, model_name, short
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.placement import shifted
from napari_unet.widgets.runs import EngineRun, in_words

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

Box = tuple[tuple[int, int], ...]

IN_MEMORY_VOXELS = 2**28
"""Labels of more voxels go to disk."""
LARGEST_PLANE = 8000
"""… and those with longer planes, in pixels."""


@dataclass(frozen=True)
class PredictionRequest:
    """All that a prediction needs, frozen when Predict was pressed."""

    image: ImageSnapshot
    model_path: Path
    info: ModelInfo
    box: Box | None = None
    """Start and stop along each labels axis; the whole image by default."""
    probabilities: bool = False
    views: bool = False
    """Average over flips and quarter turns."""
    store_folder: Path | None = None
    """Folder in which a result is kept that is too large for memory."""
    store_group: Path | None = None
    """OME-Zarr image into whose group of labels it goes instead."""
    resample: bool = False
    """Predict at the pixel size that the model knows."""
    objects: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `ObjectSettings`: what to change of how objects are told apart."""
    mask: Any = None
    """Array along the labels axes: where it is 0, nothing is found."""
    allow_code: bool = False
    """Whether the person let the model run code that comes with it."""
    layers: tuple[Any, ...] = ()
    """What was chosen: the image, further channels, and the mask or None."""

    @property
    def shown_layer(self) -> Any:
        """The layer over which the result will lie."""
        return self.layers[0] if self.layers else None

    @property
    def place(self) -> Path | None:
        """Where on disk the result goes; None for memory."""
        if self.store_group is not None:
            return self.store_group / "labels"
        return self.store_folder

    @property
    def name(self) -> str:
        """Name for the layer of the result."""
        return result_name(self.image.name, model_name(self.model_path))

    @property
    def dtype(self) -> str:
        """Of the labels, or of the values that take their place."""
        return "float32" if self.info.task == "regression" else "int32"

    @property
    def n_maps(self) -> int:
        """Number of maps that come with the labels, where they are wanted."""
        return len(self.info.maps) + self.views

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

    def params(self) -> dict[str, Any]:
        """What the engine has to know, as plain values."""
        return {
            **self.image.params(),
            "model_path": str(self.model_path),
            "allow_code": self.allow_code,
            "samples": self.samples(),
            "region": self.region(),
            "views": self.views,
            "resample": self.resample,
            "objects": dict(self.objects),
        }

    def inputs(self) -> dict[str, Any]:
        """Arrays for the engine by name."""
        mask = {} if self.mask is None else {"mask": self.mask}
        return {**self.image.inputs(), **mask}

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


@dataclass(frozen=True)
class StoredResult:
    """Labels on disk, which may be written still."""

    path: Path
    """What to show: objects of single blocks lie elsewhere until they are stitched."""
    result: Path
    """Where the finished labels are, or will be."""
    placement: Mapping[str, Any]
    info: ModelInfo
    name: str


class PredictionRun(EngineRun):
    """Segments one image in the engine."""

    task = "predict"

    store_ready = Signal()
    """There is a store to look at: :attr:`stored`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.result: PredictionResult | None = None
        self.stored: StoredResult | None = None
        self._request: PredictionRequest | None = None
        self._began = 0.0

    def start(self, request: PredictionRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.result = None
        self.stored = None
        self._request = request
        self._began = time.monotonic()
        shape = request.engine_shape()
        outputs: dict[str, tuple[tuple[int, ...], str]] = {}
        if request.store_folder is None:
            outputs["labels"] = (shape, request.dtype)
            if request.probabilities:
                outputs["probabilities"] = ((request.n_maps, *shape), "float16")
        self._submit(
            {
                **request.params(),
                "probabilities": request.probabilities,
                "store_folder": str(request.store_folder or ""),
                "store_name": file_name(request.name),
                "store_group": str(request.store_group or ""),
                "label_name": file_name(model_name(request.model_path)),
            },
            request.inputs(),
            outputs,
        )

    def so_far(self) -> PredictionResult | None:
        """Labels that fill in while the engine works; they must not be changed."""
        request, job = self._request, self._job
        if request is None or job is None or "labels" not in job.outputs:
            return None
        return self._made(request, request.in_layer_order(job.outputs["labels"]), None)

    def _on_task_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "StoreReady" and self._request is not None:
            shown, result = Path(event["shown"]), Path(event["path"])
            self._show_store(self._request, shown, result)
        if event.get("event") != "TileDone":
            return
        done, total = int(event["done"]), max(int(event["total"]), 1)
        self.progress = done / total
        if self.state == "running":
            used = time.monotonic() - self._began
            left = used / max(done, 1) * (total - done)
            self.message = f"Tile {done:,} of {total:,}: {in_words(left)} left"

    def _show_store(self, request: PredictionRequest, path: Path, result: Path) -> None:
        self.stored = StoredResult(
            path, result, request.placement(), request.info, request.name
        )
        self.store_ready.emit()

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, job = self._request, self._job
        if request is None or job is None:
            return "Stopped: no labels were made."
        if request.store_folder is not None:
            if stopped or not result.get("complete"):
                return "Stopped: what was made is kept. Predict goes on from there."
            path = Path(result["store"])
            self._show_store(request, path, path)
            where = f" The result is in {result['store']}."
            if result.get("maps"):
                where += f" The probabilities are in {result['maps']}."
            return _summary(result, request.info).partition(":")[0] + "." + where
        if stopped and (self.progress is None or request.info.task == "objects"):
            return "Stopped: no labels were made."
        labels = np.array(request.in_layer_order(job.outputs["labels"]), request.dtype)
        maps = None
        if request.probabilities:
            maps = np.stack(
                [request.in_layer_order(m) for m in job.outputs["probabilities"]]
            )
        self.result = self._made(request, labels, maps)
        if stopped:
            return "Stopped: what was segmented until now is kept."
        return _summary(result, request.info)

    def _made(
        self,
        request: PredictionRequest,
        labels: NDArray[np.int32],
        maps: NDArray[np.float16] | None,
    ) -> PredictionResult:
        return PredictionResult(
            labels=labels,
            probabilities=maps,
            placement=request.placement(),
            info=request.info,
            name=request.name,
            box=request.box or tuple((0, n) for n in request.shape),
            shape=request.image.source.labels_shape,
        )


def _summary(result: dict[str, Any], info: ModelInfo) -> str:
    seconds = result.get("seconds")
    took = (
        f" in {seconds:.1f} seconds"
        if isinstance(seconds, int | float) and math.isfinite(seconds)
        else ""
    )
    if info.task == "regression":
        return f"Predicted{took}: the values are a layer of their own."
    objects = result.get("objects")
    if objects is None or info.task != "objects":
        return f"Segmented{took}: the labels can be edited."
    word = "object" if objects == 1 else "objects"
    return f"Found {objects:,} {word}{took}: the labels can be edited."


def result_name(image: str, model: str) -> str:
    """Name of a layer of labels: image and model, but nothing said twice."""
    return model if model.startswith(image) else f"{image} {model}"


def file_name(name: str) -> str:
    """`name` without what some file system refuses, and no longer than it takes."""
    return short(re.sub(r"[^\w\-. ()]+", "_", name).strip(" .")) or "result"


def results_folder() -> Path:
    """Where large results go if nobody chooses: beside the models."""
    return model_folder().with_name("results")


def too_large_for_memory(source: ImageSource) -> bool:
    """Whether labels of an image are better kept on disk and shown with copies.

    Planes of such a size cannot be edited fluently in one piece, either.
    """
    return (
        math.prod(source.labels_shape) > IN_MEMORY_VOXELS
        or max(source.spatial_shape[-2:]) > LARGEST_PLANE
    )
