"""Objects of the current view, cut anew as settings move. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_unet.errors import DataError
from napari_unet.widgets.prediction_run import Box, PredictionRequest
from napari_unet.widgets.runs import EngineRun

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

LARGEST = {2: 1536, 3: 256}
"""Longest edge in voxels of a view whose objects are cut anew: it has to be quick."""


def view_request(request: PredictionRequest, box: Box) -> PredictionRequest:
    """What is asked for the objects of a view.

    Parameters
    ----------
    request : PredictionRequest
    box : Box
        What the canvas shows, along each labels axis.

    Raises
    ------
    DataError
        If the view holds more than one plane of a stack that a model sees in planes.
    """
    source = request.image.source
    largest = LARGEST[source.ndim]
    smaller = []
    for letter, (start, stop) in zip(source.labels_axes, box, strict=True):
        if letter not in source.spatial and stop - start > 1:
            raise DataError(
                "Objects can be adjusted in one plane: switch the viewer to 2D."
            )
        cut = max(0, stop - start - largest)
        smaller.append((start + cut // 2, stop - (cut - cut // 2)))
    return replace(request, box=tuple(smaller), probabilities=False, store_folder=None)


@dataclass(frozen=True)
class TunedView:
    """Objects of a view, and where they lie."""

    labels: NDArray[np.int32]
    placement: Mapping[str, Any]
    objects: int
    seconds: float


class TuningRun(EngineRun):
    """Keeps the maps of one view in the engine, and asks for objects of them.

    Of settings that come while others are at work, only the last ones are sent.
    """

    task = "tune"

    decoded = Signal()
    """There are new objects: :attr:`view`."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.view: TunedView | None = None
        self.refused = ""
        """What is wrong with the last settings, in a sentence."""
        self.request: PredictionRequest | None = None
        self._ready = False
        self._serial = 0
        self._asked = False
        self._next: dict[str, Any] | None = None

    def start(self, request: PredictionRequest, settings: Mapping[str, Any]) -> None:
        """Have the maps of a view made, and cut objects from them."""
        self.request, self.view, self.refused = request, None, ""
        self._ready, self._asked = False, False
        self._next = dict(settings)
        self._submit(
            request.params(),
            request.inputs(),
            {"labels": (request.engine_shape()[1:], "int32")},
        )

    def ask(self, settings: Mapping[str, Any]) -> None:
        """Have objects cut with these settings, as soon as the last ones are done."""
        self._next = dict(settings)
        self._send()

    def _send(self) -> None:
        if self._next is None or self._asked or not self._ready or self._job is None:
            return
        self._serial += 1
        self._asked = True
        settings, self._next = self._next, None
        self._job.send({"serial": self._serial, "settings": settings})

    def _on_task_event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "TileDone":
            self.progress = int(event["done"]) / max(int(event["total"]), 1)
            self.message = "Looking at the view…"
        elif kind == "MapsReady":
            self._ready = True
            self._send()
        elif kind in ("Decoded", "Refused") and event["serial"] == self._serial:
            self._asked = False
            self.refused = str(event.get("text", ""))
            if kind == "Decoded":
                self._take(event)
            self._send()

    def _take(self, event: dict[str, Any]) -> None:
        request, job = self.request, self._job
        if request is None or job is None:
            return
        # A copy: the engine writes the next ones into the same memory.
        labels = request.in_layer_order(np.array(job.outputs["labels"]))
        count, seconds = int(event["objects"]), float(event["seconds"])
        self.view = TunedView(labels, request.placement(), count, seconds)
        word = "object" if count == 1 else "objects"
        self.message = f"{count:,} {word} in view"
        self.decoded.emit()

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        return ""

    def _on_lost(self, sentence: str) -> str:
        return "" if sentence == "Stopped." else sentence


class KeepRun(EngineRun):
    """Writes settings of objects into a model file."""

    task = "keep_settings"

    def start(
        self, path: Path, settings: Mapping[str, Any], request: PredictionRequest
    ) -> None:
        """Send them to the engine; sizes are those of the image of `request`."""
        params = {"model_path": str(path), "settings": dict(settings)}
        self._submit({**request.image.params(), **params}, {}, {})

    def _on_task_event(self, event: dict[str, Any]) -> None:
        """It tells nothing while it runs."""

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        return "The model has these settings now."
