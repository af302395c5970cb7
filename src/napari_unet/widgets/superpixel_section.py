"""The switch *Paint superpixels* and their size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt.utils import create_worker

from napari_unet.data.source import Box, ImageSource
from napari_unet.errors import DataError, UserError
from napari_unet.segmentation.superpixels import MAX_SIZE, MIN_SIZE, window
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.navigation import camera_of
from napari_unet.widgets.placement import displayed_box
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.shortcuts import with_key
from napari_unet.widgets.style import Colors, Message
from napari_unet.widgets.superpixel_outlines import OutlineLayer
from napari_unet.widgets.superpixels import SuperpixelMap, SuperpixelTool, divide

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

REST_MS = 200
"""Slider and plane have to rest this long before superpixels are made anew."""

DEFAULT_SIZE = 14


class SuperpixelSection(QWidget):
    """Makes the superpixels of the plane on screen, and the tool that paints them.

    Parameters
    ----------
    viewer : napari.Viewer
    image : callable
        Gives the image that the annotation belongs to, or raises a `UserError`.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        image: Callable[[], ImageSnapshot] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.image = image
        self._layer: Labels | None = None
        self._tool: SuperpixelTool | None = None
        self._asked: Any = None
        """What was asked for last, to ask for nothing twice."""
        self._window: Box | None = None
        self._busy = False
        self._outlines: OutlineLayer | None = None
        self.switch = QCheckBox("Paint superpixels")
        hint = (
            "Divide the plane along its edges. A click or drag with the fill tool "
            "paints whole pieces with the selected label"
        )
        self.switch.setToolTip(with_key(hint, "superpixels"))
        self.side = QSlider(Qt.Orientation.Horizontal)
        self.side.setRange(MIN_SIZE, MAX_SIZE)
        self.side.setValue(DEFAULT_SIZE)
        self.side.setToolTip("Side of a superpixel in pixels")
        self._number = QLabel()
        self.message = Message("quiet")
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self.refresh)
        self.switch.toggled.connect(self._on_switch)
        self.side.valueChanged.connect(self._on_size)
        self._on_size()
        self.setVisible(False)

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.switch)
        row.addWidget(self.side, 1)
        row.addWidget(self._number)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.message)

    @property
    def found(self) -> SuperpixelMap | None:
        """The superpixels that a click would paint."""
        return None if self._tool is None else self._tool.map

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.message.set_colors(colors)

    def show_for(self, layer: Labels | None) -> None:
        """Offer superpixels for an annotation layer, or nothing without one."""
        if layer is not self._layer:
            self.switch.setChecked(False)
            self._layer = layer
        self.setVisible(layer is not None)
        if self.switch.isChecked():
            self._soon()  # the image may be another one

    def toggle(self) -> None:
        """Switch on or off, where there is a layer to paint in."""
        if self._layer is not None:
            self.switch.toggle()

    def close_layer(self) -> None:
        """Give the layer back; the Qt objects may be gone already."""
        self._switch_off()
        self._layer = None

    # On and off ------------------------------------------------------------------

    def _on_switch(self, on: bool) -> None:
        self.side.setEnabled(on)
        if not on:
            self._switch_off()
            self.message.say("")
        elif self._layer in self._viewer.layers:
            self._switch_on(self._layer)
        else:
            # It was removed a moment ago, and the widget has not looked again yet.
            self.switch.setChecked(False)

    def _switch_on(self, layer: Labels) -> None:
        self._outlines = OutlineLayer(self._viewer)
        self._outlines.removed.connect(self._on_removed)
        for emitter in self._emitters():
            emitter.connect(self._soon)
        self._viewer.layers.selection.active = layer
        self._tool = SuperpixelTool(layer)
        self.refresh()

    def _switch_off(self) -> None:
        if self._tool is None or self._outlines is None:
            return
        for emitter in self._emitters():
            emitter.disconnect(self._soon)
        self._tool.close()
        self._outlines.close()
        self._tool = self._outlines = None
        self._asked = self._window = None

    def _emitters(self) -> list[Any]:
        dims, camera = self._viewer.dims.events, camera_of(self._viewer).events
        return [
            dims.current_step,
            dims.order,
            dims.ndisplay,
            camera.center,
            camera.zoom,
        ]

    def _on_removed(self) -> None:
        self.switch.setChecked(False)

    def _on_size(self, _: Any = None) -> None:
        self._number.setText(f"{self.side.value()} px")
        self.side.setEnabled(self.switch.isChecked())
        self._soon()

    def _soon(self, _: Any = None) -> None:
        if self._tool is not None:
            self._timer.start()

    # Making superpixels ----------------------------------------------------------

    def refresh(self) -> None:
        """Make the superpixels of the plane on screen, where there are none yet."""
        if self._tool is None or self._layer is None or self._busy:
            return
        try:
            image, box, plane = self._wanted(self._layer)
        except UserError as error:
            self._asked = None
            self._show_problem(error)
            return
        size = self.side.value()
        asked = (tuple(map(id, image.arrays)), image.reading, box, plane, size)
        if asked == self._asked:
            return
        self._asked = asked
        self._busy = True
        if self._tool.map is None:
            self.message.say("Looking for edges …", "quiet")
        worker = create_worker(_divide, asked, image.source, box, plane, size)
        worker.returned.connect(self._on_divided)
        worker.errored.connect(self._on_defect)
        worker.start()

    def _wanted(self, layer: Labels) -> tuple[ImageSnapshot, Box, tuple[int, int]]:
        """The image, the part of it to divide, and which axes are on screen."""
        dims = self._viewer.dims
        if self.image is None:
            raise DataError("There is no image: open one and choose it.")
        image = self.image()
        if tuple(layer.data.shape) != image.source.labels_shape:
            raise DataError("The annotation does not fit the image: choose another.")
        offset = dims.ndim - layer.ndim
        shown = sorted(axis - offset for axis in dims.displayed)
        if len(shown) != 2:
            raise DataError("Superpixels need the 2D view: press the cube to go back.")
        if shown[0] < 0:
            raise DataError("Superpixels need a view along the axes of the image.")
        plane = (shown[0], shown[1])
        visible = displayed_box(layer, Reading(image.source.labels_axes, 2), dims)
        self._window = window(
            [layer.data.shape[axis] for axis in plane],
            tuple(visible[axis] for axis in plane),
            self._window,
        )
        box = list(visible)
        for axis, part in zip(plane, self._window, strict=True):
            box[axis] = part
        return image, tuple(box), plane

    def _on_divided(self, answer: tuple[Any, SuperpixelMap | UserError]) -> None:
        asked, found = answer
        self._busy = False
        if self._tool is None or self._outlines is None or self._layer is None:
            return
        if asked == self._asked and isinstance(found, SuperpixelMap):
            self._tool.map = found
            self._outlines.show(found, self._layer)
            self.message.say("")
        elif asked == self._asked:
            self._show_problem(found)
        self.refresh()

    def _show_problem(self, error: Any) -> None:
        if self._tool is not None and self._outlines is not None:
            self._tool.map = None
            self._outlines.hide()
            self.message.say(str(error), "problem")

    def _on_defect(self, _: Exception) -> None:
        self._busy = False  # napari shows what went wrong


def _divide(
    asked: Any, source: ImageSource, box: Box, plane: tuple[int, int], size: int
) -> tuple[Any, SuperpixelMap | UserError]:
    try:
        return asked, divide(source, box, plane, size)
    except UserError as error:
        return asked, error
