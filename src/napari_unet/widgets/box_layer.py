"""A layer over a piece of an image that is redrawn in place, many times.

New layers, and new data of another shape, cost the viewer far more time than new
values in the array that it already shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_unet.widgets.placement import shifted

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

Box = tuple[tuple[int, int], ...]

_KEY = "napari_unet"
_PREVIEW = "preview"
PREVIEW_METADATA: Mapping[str, Any] = {_KEY: {_PREVIEW: True}}
"""Metadata of layers that show previews, errors and such; see :func:`is_preview`."""


def is_preview(layer: Layer) -> bool:
    """Whether a layer only shows; it is never an image or annotation to choose."""
    memory = layer.metadata.get(_KEY)
    return isinstance(memory, dict) and bool(memory.get(_PREVIEW))


def insert_quietly(viewer: napari.Viewer, layer: Layer, index: int) -> None:
    """Insert a layer; what is selected, and painted in, stays selected."""
    selection = viewer.layers.selection
    selected, active = set(selection), selection.active
    try:
        viewer.layers.insert(index, layer)
    finally:
        # Others listen to insertions, too, and may fail after it is inserted.
        selection.clear()
        selection.update(selected)
        if active is not None:
            selection.active = active


class BoxLayer:
    """Shows boxes of an image in one layer.

    Parameters
    ----------
    viewer : napari.Viewer
    make : callable
        Makes the layer from an array and the arguments that place it.
    """

    removed = Signal()
    """The user deleted the layer; it comes back when :meth:`show` is called."""

    def __init__(self, viewer: napari.Viewer, make: Callable[..., Layer]) -> None:
        self._viewer = viewer
        self._make = make
        self.layer: Layer | None = None
        self.box: Box | None = None
        """The box that is shown."""
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Leave the layer to the user."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def show(
        self,
        pixels: NDArray[Any],
        box: Box,
        place: Mapping[str, Any],
        *,
        below: Layer | None = None,
        rows: slice = slice(None),
        row_axis: int = -2,
    ) -> None:
        """Show the pixels of a box.

        Parameters
        ----------
        pixels : ndarray
            Of the shape of `box`, in the dtype to show; it is copied.
        box : Box
            In voxels of the image.
        place : mapping
            Arguments that put a layer over the whole image.
        below : Layer, optional
            A new layer is put below this one, else on top.
        rows : slice
            Only these rows, along `row_axis`, differ from what is shown.
        row_axis : int
        """
        layer = self.layer
        # Anybody's script may have given it other pixels.
        alike = layer is not None and (layer.data.shape, layer.data.dtype) == (
            pixels.shape,
            pixels.dtype,
        )
        if layer is None:
            self._add(np.array(pixels), shifted(place, _starts(box)), below)
        elif alike and box == self.box:
            key = [slice(None)] * pixels.ndim
            key[row_axis] = rows
            layer.data[tuple(key)] = pixels[tuple(key)]
            _redraw(layer)
        else:
            if alike:
                layer.data[...] = pixels
                _redraw(layer)
            else:
                layer.data = np.array(pixels)
                layer.editable = False  # new data made it editable
            layer.translate = shifted(place, _starts(box))["translate"]
        self.box = box

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.layer = self.layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _add(
        self, data: NDArray[Any], place: Mapping[str, Any], below: Layer | None
    ) -> None:
        layer = self._make(data, metadata=dict(PREVIEW_METADATA), **place)
        layer.editable = False
        layers = self._viewer.layers
        index = layers.index(below) if below in layers else len(layers)
        try:
            insert_quietly(self._viewer, layer, index)
        finally:
            # It is there even if others who listened failed: it is not added again.
            self.layer = layer if layer in layers else None

    def _on_removed(self, event: Any) -> None:
        if self.layer is not None and event.value is self.layer:
            self.layer = None
            self.box = None
            self.removed.emit()


def _redraw(layer: Layer) -> None:
    layer.refresh(thumbnail=False, highlight=False, extent=False)


def _starts(box: Box) -> list[int]:
    return [start for start, _ in box]
