"""Labels made from a layer in the engine, without a network. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.runs import EngineRun

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


@dataclass(frozen=True)
class LabelsRequest:
    """A layer, and what to make of it."""

    layer: ImageSnapshot
    settings: Mapping[str, Any]
    dtype: str
    """Of the labels that are made."""
    ending: str
    """What the new layer's name has more than the old one's."""


@dataclass(frozen=True)
class MadeLabels:
    """Labels, and the layer that they become."""

    labels: NDArray[Any]
    name: str
    placement: Mapping[str, Any]


class LabelsRun(EngineRun):
    """Makes labels of the shape of a layer in the engine."""

    key: ClassVar[str]
    """What the task calls the layer."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.result: MadeLabels | None = None
        self._request: LabelsRequest | None = None

    def start(self, request: LabelsRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.result = None
        self._request = request
        self._submit(
            {**request.layer.params(), **request.settings},
            {self.key: request.layer.arrays[0]},
            {"labels": (request.layer.source.labels_shape, request.dtype)},
        )

    def _on_task_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "BlockDone":
            done, total = int(event["done"]), max(int(event["total"]), 1)
            self.progress = done / total
            if self.state == "running":
                self.message = f"Image {done:,} of {total:,}"

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, job = self._request, self._job
        if request is None or job is None or stopped:
            return "Stopped: no layer was made."
        self.result = MadeLabels(
            labels=np.array(job.outputs["labels"]),
            name=f"{request.layer.name} {request.ending}",
            placement=request.layer.placement,
        )
        return f"Made the layer {self.result.name!r}."


class BoundariesRun(LabelsRun):
    """Makes boundaries of labels."""

    task = "boundaries"
    key = "labels"


class SuperpixelsRun(LabelsRun):
    """Makes superpixels of a map."""

    task = "superpixels"
    key = "image"
