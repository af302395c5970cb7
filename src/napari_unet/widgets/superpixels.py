"""Painting whole superpixels in an annotation layer. No Qt here.

:func:`divide` may run on a thread; everything else belongs to the viewer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import Box, ImageSource
from napari_unet.errors import DataError
from napari_unet.segmentation.superpixels import superpixels
from napari_unet.widgets.annotation_layer import set_pixels

if TYPE_CHECKING:
    from napari.layers import Labels

LEFT_BUTTON = 1


@dataclass(frozen=True)
class SuperpixelMap:
    """Superpixels of a part of one plane.

    Parameters
    ----------
    pieces : array of int32
        Numbers from 1, along the two axes of the plane.
    box : Box
        Where they lie: start and stop along every labels axis, in voxels. Axes that are
        not in the plane have length 1.
    plane : tuple of int
        Positions of the plane's axes among the labels axes.
    """

    pieces: NDArray[np.int32]
    box: Box
    plane: tuple[int, int]

    def index(self, point: Sequence[float]) -> tuple[int, int] | None:
        """Where a voxel of the labels lies in `pieces`; ``None`` outside."""
        voxel = [round(float(p)) for p in point]
        inside = all(a <= v < b for v, (a, b) in zip(voxel, self.box, strict=True))
        if not inside:
            return None
        y, x = (voxel[axis] - self.box[axis][0] for axis in self.plane)
        return y, x

    def between(self, start: Sequence[float], stop: Sequence[float]) -> set[int]:
        """Numbers of the pieces that a straight line from `start` to `stop` meets."""
        begin, end = np.asarray(start, float), np.asarray(stop, float)
        steps = int(np.abs(end - begin).max(initial=0)) + 1
        points = (begin + (end - begin) * step / steps for step in range(steps + 1))
        places = (self.index(point) for point in points)
        return {int(self.pieces[place]) for place in places if place is not None}

    def voxels(self, numbers: set[int]) -> tuple[NDArray[np.intp], ...]:
        """Indices along every labels axis of the voxels of some pieces."""
        chosen = np.zeros(int(self.pieces.max()) + 1, bool)
        chosen[list(numbers)] = True
        found = np.nonzero(chosen[self.pieces])
        indices = [np.full(found[0].size, start, np.intp) for start, _ in self.box]
        for axis, places in zip(self.plane, found, strict=True):
            indices[axis] += places
        return tuple(indices)


def divide(
    source: ImageSource, box: Box, plane: tuple[int, int], size: int
) -> SuperpixelMap:
    """Read a part of a plane of an image and divide it into superpixels.

    Parameters
    ----------
    source : ImageSource
    box : Box
        Start and stop along every labels axis of the image, in voxels; axes that are
        not in the plane have length 1.
    plane : tuple of int
        Positions of the plane's axes among the labels axes.
    size : int
        Side in pixels of a superpixel.
    """
    pixels = read_plane(source, box, plane)
    return SuperpixelMap(superpixels(pixels, size), box, plane)


def read_plane(source: ImageSource, box: Box, plane: tuple[int, int]) -> NDArray[Any]:
    """Pixels of a part of a plane with all channels, C and the axes of the plane.

    Raises
    ------
    DataError
        If the image cannot be read.
    """
    letters = source.labels_axes
    wanted = {letter: slice(*part) for letter, part in zip(letters, box, strict=True)}
    key = tuple(wanted.get(letter, slice(None)) for letter in source.axes)
    shape = [box[axis][1] - box[axis][0] for axis in plane]
    parts = []
    for array in source.arrays:
        try:
            pixels = np.asarray(array[key])
        except Exception as error:
            # Lazy images come from anywhere, and each kind fails in its own way.
            raise DataError(
                f"The image {source.name!r} could not be read here: {error}"
            ) from error
        if "C" in source.axes:
            pixels = np.moveaxis(pixels, source.axes.index("C"), 0)
        parts.append(pixels.reshape(-1, *shape))  # the other axes have length 1
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


class SuperpixelTool:
    """Makes the fill tool of a Labels layer fill superpixels instead.

    All other tools stay as they are, and so does holding Space to move the view.

    Parameters
    ----------
    layer : Labels
    """

    def __init__(self, layer: Labels) -> None:
        self.layer = layer
        self.map: SuperpixelMap | None = None
        """What a click fills; ``None`` while there is nothing for this plane."""
        self._mode_before = str(layer.mode)
        self._fill: Callable[..., Any] | None = None
        self._erased = int(layer.selected_label)
        layer.events.mode.connect(self._on_mode)
        layer.events.selected_label.connect(self._on_label)
        if layer.mode == "fill":  # so that the event tells of it
            self._mode_before = "fill"
            layer.mode = "pan_zoom"
        layer.mode = "fill"

    def close(self) -> None:
        """Give the layer back as it was."""
        layer = self.layer
        layer.events.mode.disconnect(self._on_mode)
        layer.events.selected_label.disconnect(self._on_label)
        if self._fill is not None:
            self._release()
            layer.mode = "pan_zoom"
            layer.mode = self._mode_before

    def _on_mode(self, _: Any = None) -> None:
        # napari has exchanged its callbacks by now; the tool's own is the last one.
        callbacks = self.layer.mouse_drag_callbacks
        if self.layer.mode != "fill":
            self._release()
        elif self._fill is None and callbacks:
            self._fill = callbacks[-1]
            callbacks[-1] = self._drag

    def _release(self) -> None:
        self._fill = None
        if self._drag in self.layer.mouse_drag_callbacks:
            self.layer.mouse_drag_callbacks.remove(self._drag)

    def _on_label(self, _: Any = None) -> None:
        if self.layer.selected_label:
            self._erased = int(self.layer.selected_label)

    def _drag(self, layer: Labels, event: Any) -> Iterator[None]:
        """Fill what the mouse comes across; one step for undo."""
        if event.button != LEFT_BUTTON:
            return
        with layer.block_history():
            last = self._fill_between(None, event)
            yield
            while event.type == "mouse_move":
                last = self._fill_between(last, event)
                yield

    def _fill_between(self, last: Any, event: Any) -> Any:
        if self.map is None or len(event.dims_displayed) != 2:
            return None
        point = self.layer.world_to_data(event.position)
        self.fill(point if last is None else last, point)
        return point

    def fill(self, start: Sequence[float], stop: Sequence[float]) -> None:
        """Give the superpixels between two voxels the selected label."""
        if self.map is None:
            return
        layer, value = self.layer, int(self.layer.selected_label)
        numbers = self.map.between(start, stop)
        if not numbers:
            return
        voxels = self.map.voxels(numbers)
        if layer.preserve_labels:
            # As napari's own tools: paint on nothing, or erase one label only.
            open_to_change = np.asarray(layer.data[voxels]) == (
                0 if value else self._erased
            )
            voxels = tuple(axis[open_to_change] for axis in voxels)
        if voxels[0].size:
            set_pixels(layer, voxels, value)
