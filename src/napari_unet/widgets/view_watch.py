"""Tells what the canvas shows of an image, whenever that is something else."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unet.live.messages import PREVIEW_VOXELS
from napari_unet.widgets.navigation import camera_of
from napari_unet.widgets.readings import layer_shape

if TYPE_CHECKING:
    import napari
    from napari.components import Dims
    from napari.layers import Layer

Box = tuple[tuple[int, int], ...]

SETTLE_MS = 100
"""Pause in panning and zooming after which the view is told."""
AGAIN_MS = 1000
"""How often to look for what no event tells, such as a window of another size."""
MAX_EDGE = 2048
"""Longest edge of a box, in voxels."""


class ViewWatch:
    """Follows pan, zoom and sliders of a viewer.

    Parameters
    ----------
    viewer : napari.Viewer
    shown : callable
        Gives the box in voxels that the canvas shows now, or ``None`` if it cannot be
        told.
    """

    moved = Signal(object)
    """The canvas shows this box now, cut to what a preview may hold."""

    def __init__(self, viewer: napari.Viewer, shown: Callable[[], Box | None]) -> None:
        self._viewer = viewer
        self._shown = shown
        self._box: Box | None = None
        self._settle = QTimer()
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(lambda: self.look())
        # A canvas that is drawn late knows its corners late, and a window that is
        # made larger sends no event of the viewer.
        self._again = QTimer()
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(lambda: self.look())
        self._again.start()
        for emitter in self._emitters():
            emitter.connect(self._on_moved)

    def _emitters(self) -> list[Any]:
        camera, dims = camera_of(self._viewer).events, self._viewer.dims.events
        return [
            camera.center,
            camera.zoom,
            dims.current_step,
            dims.ndisplay,
            dims.order,
        ]

    def close(self) -> None:
        """Follow no longer."""
        for emitter in self._emitters():
            emitter.disconnect(self._on_moved)
        self._settle.stop()
        self._again.stop()

    def look(self, *, again: bool = False) -> None:
        """Tell the view now, if it is another one than before, or if asked `again`."""
        box = self._shown()
        if box is None:
            return
        box = clipped(box)
        if again or box != self._box:
            self._box = box
            self.moved.emit(box)

    def _on_moved(self, _: Any = None) -> None:
        self._settle.start()


def clipped(box: Box, most: int = PREVIEW_VOXELS, max_edge: int = MAX_EDGE) -> Box:
    """The middle of a box that is too large, with at most `most` voxels.

    The longest edges give way first, so that flat boxes stay as deep as they are.
    """
    lengths = [stop - start for start, stop in box]
    low, high = 1, min(max(lengths), max_edge)
    while low < high:
        edge = (low + high + 1) // 2
        if math.prod(min(length, edge) for length in lengths) <= most:
            low = edge
        else:
            high = edge - 1
    sizes = [min(length, low) for length in lengths]
    return tuple(
        (start + (stop - start - size) // 2, start + (stop - start - size) // 2 + size)
        for (start, stop), size in zip(box, sizes, strict=True)
    )


def shown_planes(layer: Layer, dims: Dims) -> Box:
    """The planes of a layer that are on screen, in whole."""
    shape = layer_shape(layer)
    offset = dims.ndim - layer.ndim
    shown = {axis - offset for axis in dims.displayed}
    at = layer.world_to_data(dims.point)
    return tuple(
        (0, n) if axis in shown else _plane(at[axis], n) for axis, n in enumerate(shape)
    )


def _plane(position: float, length: int) -> tuple[int, int]:
    start = int(np.clip(np.round(position), 0, length - 1))
    return start, start + 1
