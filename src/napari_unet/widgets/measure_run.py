"""Measuring as the *Measure objects* widget shows it. No Qt here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.measure.table import ObjectTable
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.runs import EngineRun, in_words

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


@dataclass(frozen=True)
class MeasuredImage:
    """An image for brightness, as the engine takes it."""

    array: Any
    axes: str
    """The labels' axes, with C before or behind them."""
    channels: tuple[str, ...]
    """A name for each channel."""


@dataclass(frozen=True)
class MeasureRequest:
    """All that measuring needs, frozen when the button was pressed."""

    labels: ImageSnapshot
    images: Sequence[MeasuredImage] = ()
    classes: Any = None
    class_names: Mapping[int, str] | None = None
    solidity: bool = True

    def params(self) -> dict[str, Any]:
        """What the engine has to know, as plain values."""
        return {
            **self.labels.params(),
            "image_axes": [image.axes for image in self.images],
            "channels": [name for image in self.images for name in image.channels],
            "class_names": [list(pair) for pair in (self.class_names or {}).items()],
            "solidity": self.solidity,
        }

    def inputs(self) -> dict[str, Any]:
        """Arrays by name."""
        arrays = {f"image{k}": image.array for k, image in enumerate(self.images)}
        arrays["labels"] = self.labels.arrays[0]
        if self.classes is not None:
            arrays["classes"] = self.classes
        return arrays


class MeasureRun(EngineRun):
    """Measures the objects of one layer in the engine."""

    task = "measure"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.table: ObjectTable | None = None
        self.request: MeasureRequest | None = None
        """What the table was, or is being, made from."""
        self._parts: list[dict[str, Any]] = []
        self._began = 0.0

    def start(self, request: MeasureRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.request = request
        self._parts = []
        self._began = time.monotonic()
        self._submit(request.params(), request.inputs(), {})

    def _on_task_event(self, event: dict[str, Any]) -> None:
        if event.get("event") == "TableRows":
            self._parts.append(event["columns"])
        elif event.get("event") == "BlockDone":
            done, total = int(event["done"]), max(int(event["total"]), 1)
            self.progress = done / total
            if self.state == "running":
                used = time.monotonic() - self._began
                left = used / max(done, 1) * (total - done)
                self.message = f"Block {done:,} of {total:,}: {in_words(left)} left"

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, parts = self.request, self._parts
        if request is None or stopped or not parts:
            return "Stopped: nothing was measured."
        columns = {name: _joined([part[name] for part in parts]) for name in parts[0]}
        source = request.labels.source
        self.table = ObjectTable(columns, source.spatial, source.unit)
        count = len(self.table)
        if not count:
            return "There are no objects: every value of these labels is 0."
        seconds = time.monotonic() - self._began
        # In a time-lapse, an object has a row in every frame.
        noun = "row" if source.sample_axes else "object"
        return (
            f"Measured in {seconds:.1f} seconds: {count:,} {noun}{'s' * (count > 1)}."
        )


def _joined(parts: Sequence[Any]) -> NDArray[Any]:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return np.array([value for part in parts for value in part], dtype=object)
