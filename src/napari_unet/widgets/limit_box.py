"""A rectangle in a Shapes layer that limits work to a part of the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QObject, QTimer

from napari_unet.data.source import Box
from napari_unet.widgets.placement import displayed_box, placement
from napari_unet.widgets.readings import Reading, layer_shape

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels, Shapes

SUFFIX = " limit"
REST_MS = 150
"""The box is told when the rectangle has not moved for so long."""

HAIR = 1e-3

_MARGIN = 0.12
"""Part of the view, on each side, outside the first rectangle: it can be grabbed."""

_COLOR = "#ffd75f"


class LimitBox(QObject):
    """Finds the box that a Shapes layer marks in another layer.

    Only the last two axes are limited, Y and X; along the others the box holds all.
    """

    changed = Signal(object)
    """The box, or ``None``: another one than before."""

    def __init__(self, viewer: napari.Viewer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._target: Image | Labels | None = None
        self._channels_first = False
        self.layer: Shapes | None = None
        """The layer with the rectangle."""
        self.box: Box | None = None
        """Start and stop along every labels axis, in voxels; ``None``: no limit."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self.look)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of viewer and layer; the layer stays."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._watch(None)

    def set_target(
        self, layer: Image | Labels | None, *, channels_first: bool = False
    ) -> None:
        """Say in which layer the box is looked for.

        With `channels_first`, the box lacks the layer's first axis.
        """
        self._target, self._channels_first = layer, channels_first
        self.look()

    def draw(self) -> None:
        """Take the rectangle that is there, or draw one over the view."""
        self._draw(None)

    def mark(self, box: Box) -> None:
        """Draw the rectangle of a box; only its last two axes count."""
        self._draw(box)
        layer = self.layer
        if layer is not None and self.box is not None and self.box[-2:] != box[-2:]:
            layer.data = [_corners(box)]
            self.look()

    def _draw(self, box: Box | None) -> None:
        target, layers = self._target, self._viewer.layers
        if target is None:
            return
        name = str(target.name).removesuffix(" annotation") + SUFFIX
        if name in layers and _holds_shapes(layers[name]):
            self._watch(layers[name])
        else:
            self._watch(self._add(name, target, box))
        layers.selection.active = self.layer
        self.look()

    def lift(self) -> None:
        """Remove the rectangle with its layer."""
        layer = self.layer
        self._watch(None)
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)
        self.look()

    def look(self) -> None:
        """Look where the rectangle is now."""
        self._timer.stop()
        box = self._find()
        if box != self.box:
            self.box = box
            self.changed.emit(box)

    def _add(self, name: str, target: Image | Labels, box: Box | None) -> Shapes:
        from napari.layers import Shapes

        (top, bottom), (left, right) = self._visible(target)
        if box is None:
            dy, dx = _MARGIN * (bottom - top), _MARGIN * (right - left)
            box = (
                (round(top + dy), round(bottom - dy)),
                (round(left + dx), round(right - dx)),
            )
        made = Shapes(
            [_corners(box)],
            shape_type="rectangle",
            name=name,
            face_color="transparent",
            edge_color=_COLOR,
            edge_width=max(1.0, (bottom - top) / 200),
            **_flat(placement(target)),
        )
        self._viewer.add_layer(made)
        made.mode = "select"
        made.selected_data = {0}
        return made

    def _visible(self, target: Image | Labels) -> Box:
        """What the canvas shows along Y and X; all of it in other views."""
        dims = self._viewer.dims
        if set(dims.displayed) == {dims.ndim - 2, dims.ndim - 1}:
            return displayed_box(target, Reading("YX", 2), dims)[-2:]
        return tuple((0, length) for length in layer_shape(target)[-2:])

    def _find(self) -> Box | None:
        layer, target = self.layer, self._target
        if layer is None or target is None or not len(layer.data):
            return None
        corners = np.array(
            [
                self._in_target(layer.data_to_world(corner), target)
                for shape in layer.data
                for corner in shape
            ]
        )
        # A voxel reaches half a voxel to each side; a hair's breadth is no voxel.
        first = np.floor(corners.min(axis=0) + 0.5 + HAIR).astype(int)
        last = np.ceil(corners.max(axis=0) + 0.5 - HAIR).astype(int)
        box = [(0, length) for length in layer_shape(target)]
        for axis, low, high in zip((-2, -1), first, last, strict=True):
            length = box[axis][1]
            box[axis] = (max(0, int(low)), min(length, int(high)))
            if box[axis][0] >= box[axis][1]:
                return None  # beside the image
        return tuple(box[1:] if self._channels_first else box)

    def _in_target(self, corner: Any, target: Image | Labels) -> Any:
        """A corner, given in world coordinates, as Y X of the target's voxels."""
        point = np.array(self._viewer.dims.point, float)
        n = min(len(point), len(corner))
        point[len(point) - n :] = np.asarray(corner, float)[len(corner) - n :]
        return target.world_to_data(point)[-2:]

    def _watch(self, layer: Shapes | None) -> None:
        if layer is self.layer:
            return
        for emitter in self._emitters():
            emitter.disconnect(self._on_moved)
        self.layer = layer
        for emitter in self._emitters():
            emitter.connect(self._on_moved)

    def _emitters(self) -> Sequence[Any]:
        if self.layer is None:
            return []
        events = self.layer.events
        return [events.data, events.set_data]

    def _on_moved(self, _: Any = None) -> None:
        self._timer.start()

    def _on_removed(self, event: Any) -> None:
        if self.layer is not None and event.value is self.layer:
            self._watch(None)
            self.look()


def _corners(box: Box) -> NDArray[np.float64]:
    """Corners of the rectangle around the pixels of a box, along Y and X."""
    (top, bottom), (left, right) = box[-2:]
    y0, y1, x0, x1 = top - 0.5, bottom - 0.5, left - 0.5, right - 0.5
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])


def _flat(place: Any) -> dict[str, Any]:
    """Arguments that place a layer of Y X alone over one with more axes."""
    cut = dict(place)
    for name in ("scale", "translate", "units", "axis_labels"):
        if name in cut:
            cut[name] = cut[name][-2:]
    cut["rotate"] = np.asarray(cut["rotate"])[-2:, -2:]
    shear = np.asarray(cut["shear"])
    cut["shear"] = shear[-1:] if shear.ndim == 1 else shear[-2:, -2:]
    cut["affine"] = np.asarray(cut["affine"])[-3:, -3:]
    return cut


def _holds_shapes(layer: Any) -> bool:
    from napari.layers import Shapes

    return isinstance(layer, Shapes) and bool(len(layer.data))
