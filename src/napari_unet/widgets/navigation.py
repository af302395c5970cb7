"""Moving a viewer to a place in an image, and showing where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer

from napari_unet.widgets.box_layer import PREVIEW_METADATA, insert_quietly

if TYPE_CHECKING:
    import napari
    from napari.components import Camera
    from napari.layers import Layer

Box = tuple[tuple[int, int], ...]

FLASH_MS = 1500
"""How long a place is framed."""
ROOM = 4.0
"""The canvas shows at least this many times the edges of the place."""
CLOSE = 12.0
"""… and at most this many times."""


def move_to(viewer: napari.Viewer, layer: Layer, box: Box) -> None:
    """Show a box of a layer on its middle plane, as near to the middle as it can be.

    The zoom stays where the place can be seen with its surroundings, and the canvas is
    not left half empty for a place at the border of the layer.
    """
    dims = viewer.dims
    offset = dims.ndim - layer.ndim
    middle = np.array([(start + stop - 1) / 2 for start, stop in box])
    at = np.asarray(layer.data_to_world(middle), float)
    for axis in range(layer.ndim):
        if axis + offset not in dims.displayed:
            dims.set_point(axis + offset, at[axis])
    shown = [axis for axis in range(layer.ndim) if axis + offset in dims.displayed]
    canvas, wanted = _canvas(layer, box, shown)
    if canvas > 0:
        low, high = (np.asarray(end, float) for end in layer.extent.data)
        for axis in shown:
            edge = min(wanted, high[axis] - low[axis]) / 2
            middle[axis] = np.clip(middle[axis], low[axis] + edge, high[axis] - edge)
    point = np.zeros(dims.ndim)
    point[offset:] = layer.data_to_world(middle)
    centre = [point[axis] for axis in dims.displayed]
    camera_of(viewer).center = (*([0.0] * (3 - len(centre))), *centre)
    if dims.ndisplay == 2 and canvas > 0:
        camera_of(viewer).zoom *= canvas / wanted


def _canvas(layer: Layer, box: Box, shown: Sequence[int]) -> tuple[float, float]:
    """Voxels along the shorter edge of the canvas, now and for the box with its room.

    The first is 0 where the layer was never drawn.
    """
    corners = np.asarray(layer.corner_pixels, float)
    if getattr(layer, "multiscale", False):
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    canvas = min(float(corners[1, axis] - corners[0, axis]) for axis in shown)
    edge = max(box[axis][1] - box[axis][0] for axis in shown)
    return canvas, min(max(canvas, ROOM * edge), CLOSE * edge)


def camera_of(viewer: napari.Viewer) -> Camera:
    """The camera, which lives in the viewer's scene since napari 0.9."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


class Flash:
    """Frames a box for a moment."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._frame: Layer | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(FLASH_MS)
        self._timer.timeout.connect(self._take_away)

    def close(self) -> None:
        """Forget the frame; the viewer may be closing, too."""
        self._timer.stop()

    def show(self, place: Mapping[str, Any], box: Box) -> None:
        """Frame a box.

        Parameters
        ----------
        place : mapping
            Arguments that put a layer over the image.
        box : Box
            In voxels of the image.
        """
        from napari.layers import Shapes

        self._take_away()
        viewer = self._viewer
        offset = viewer.dims.ndim - len(box)
        shown = [axis - offset for axis in viewer.dims.displayed][-2:]
        if min(shown) < 0:
            return
        edge = max(box[axis][1] - box[axis][0] for axis in shown)
        self._frame = Shapes(
            [_rectangle(box, shown)],
            shape_type="polygon",
            edge_color="yellow",
            face_color="transparent",
            edge_width=max(1.0, edge / 60),
            name="look here",
            metadata=dict(PREVIEW_METADATA),
            **place,
        )
        insert_quietly(viewer, self._frame, len(viewer.layers))
        self._timer.start()

    def _take_away(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None and frame in self._viewer.layers:
            self._viewer.layers.remove(frame)


def _rectangle(box: Box, shown: Sequence[int]) -> np.ndarray[Any, np.dtype[Any]]:
    """Corners of a box in the plane of two axes, at its middle along the others."""
    corners = np.tile([(start + stop - 1) / 2 for start, stop in box], (4, 1))
    first, second = shown
    low = [start - 0.5 for start, _ in box]
    high = [stop - 0.5 for _, stop in box]
    corners[:, first] = [low[first], low[first], high[first], high[first]]
    corners[:, second] = [low[second], high[second], high[second], low[second]]
    return corners
