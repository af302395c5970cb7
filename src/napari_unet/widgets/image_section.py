"""Choosing an image: one layer, or several as channels, and what its axes are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QMenu, QToolButton, QWidget

from napari_unet.errors import DataError
from napari_unet.widgets.annotation_layer import same_image
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.layers import ImageSnapshot, snapshot
from napari_unet.widgets.readings import Reading, layer_shape, readings
from napari_unet.widgets.style import narrow, show_row

if TYPE_CHECKING:
    import napari
    from napari.layers import Image


class ImageSection:
    """Rows of a form: the image layer, more channels, and the meaning of its axes."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, form: QFormLayout) -> None:
        self._viewer = viewer
        self._more: list[Image] = []
        self._readings: list[Reading] = []
        self._network: tuple[int, int] | None = None
        self.image = ComboBox(
            choices=[], tooltip="The image layer to learn from or to segment"
        )
        self.channels = QToolButton()
        self.channels.setText("+ channels")
        self.channels.setToolTip(
            "Use more image layers of the same shape as further channels"
        )
        self.channels.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        # The theme draws the menu's arrow over the text.
        self.channels.setStyleSheet(
            "QToolButton { padding: 3px 6px; }"
            "QToolButton::menu-indicator { image: none; width: 0; }"
        )
        self._menu = QMenu(self.channels)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.channels.setMenu(self._menu)
        self.reading = ComboBox(choices=[], tooltip="What the axes of the image are")
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.image.native, 1)
        layout.addWidget(self.channels)
        narrow(self.image.native)
        narrow(self.reading.native)
        form.addRow("Image", row)
        form.addRow("Axes", self.reading.native)
        self._form = form
        self.image.changed.connect(self._on_image)
        self.reading.changed.connect(self._on_reading)
        self.refresh()

    def refresh(self) -> None:
        """Offer the image layers that the viewer has now."""
        from napari.layers import Image

        images = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image) and not is_preview(layer)
        ]
        before = self.image.value
        new = [layer for layer in images if layer not in self.image.choices]
        self._more = [layer for layer in self._more if layer in images]
        with self.image.changed.blocked():
            self.image.choices = [(layer.name, layer) for layer in images]
            if before is None and images:
                self._choose_first(self._active_image() or images[-1], images)
            elif before in images:
                self._more += _channels(before, new)
        self._on_image()

    def _choose_first(self, layer: Image, images: list[Image]) -> None:
        """Choose a layer, with the others that are known to be its channels."""
        self.image.value, *self._more = _channels(layer, images) or [layer]

    def layers(self) -> list[Image]:
        """The chosen layers, channels in order."""
        first: Image | None = self.image.value
        return [] if first is None else [first, *self._more]

    def set_layers(self, layers: list[Image]) -> None:
        """Choose layers from code; the first is the one whose place results take."""
        self.refresh()
        self._more = list(layers[1:])
        self.image.value = layers[0]
        self._on_image()

    def read_as(self, reading: Reading) -> None:
        """Choose what the axes are, from code.

        Raises
        ------
        DataError
            If the chosen image cannot be read like that.
        """
        if reading not in self._readings:
            raise DataError(
                f"The axes of the image can no longer be read as {reading.axes}: "
                "choose them under Axes, and press Train."
            )
        self.reading.value = reading

    def for_model(self, ndim: int, n_channels: int) -> None:
        """Offer only what a model of `ndim` axes and `n_channels` can take."""
        if self._network != (ndim, n_channels):
            self._network = (ndim, n_channels)
            self._offer_readings()
            self.changed.emit()

    def snapshot(self) -> ImageSnapshot:
        """What the chosen layers hold now.

        Raises
        ------
        DataError
            If they cannot be used.
        """
        reading: Reading | None = self.reading.value
        if reading is not None and self._network is not None:
            reading = replace(reading, ndim=self._network[0])
        return snapshot(self.layers(), reading)

    def _active_image(self) -> Image | None:
        from napari.layers import Image

        active = self._viewer.layers.selection.active
        usable = isinstance(active, Image) and not is_preview(active)
        return active if usable else None

    def candidates(self) -> list[Image]:
        """Layers that can be further channels of the chosen image."""
        from napari.layers import Image

        first = self.image.value
        if first is None or first.rgb:
            return []
        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image)
            and layer is not first
            and not is_preview(layer)
            and not layer.rgb
            and layer_shape(layer) == layer_shape(first)
        ]

    def _on_image(self, _: Any = None) -> None:
        offered = self.candidates()
        self._more = [layer for layer in self._more if layer in offered]
        self.channels.setEnabled(bool(offered))
        count = len(self.layers())
        self.channels.setText(f"{count} channels" if count > 1 else "+ channels")
        self._offer_readings()
        self.changed.emit()

    def _offer_readings(self) -> None:
        first = self.image.value
        try:
            found = [] if first is None else readings(first)
        except DataError:
            found = []  # the snapshot raises it again, and the widget shows it
        if len(self.layers()) > 1:
            found = [r for r in found if "C" not in r.axes] or found
        if first is not None and self._network is not None:
            found = fitting(found, layer_shape(first), *self._network)
        if found != self._readings:
            self._readings = found
            with self.reading.changed.blocked():
                self.reading.choices = [(r.text, r) for r in found]
                if found:
                    self.reading.value = found[0]
        show_row(self._form, self.reading.native, visible=len(found) > 1)

    def _on_reading(self, _: Any = None) -> None:
        self.changed.emit()

    def _fill_menu(self) -> None:
        self._menu.clear()
        for layer in self.candidates():
            action = self._menu.addAction(layer.name)
            action.setCheckable(True)
            action.setChecked(layer in self._more)
            action.toggled.connect(
                lambda on, layer=layer: self._toggle_channel(layer, on)
            )

    def _toggle_channel(self, layer: Image, on: bool) -> None:
        self._more = [other for other in self._more if other is not layer]
        if on:
            self._more.append(layer)
        self._on_image()


def _channels(layer: Image, images: Sequence[Image]) -> list[Image]:
    """Those of `images` that are known to be channels of the same image."""
    of = same_image(layer)
    return [] if of is None else [i for i in images if same_image(i) == of]


def fitting(
    found: Sequence[Reading], shape: Sequence[int], ndim: int, n_channels: int
) -> list[Reading]:
    """Readings that make a difference to a model of `ndim` axes and `n_channels`.

    Whether planes follow each other in depth or in time is all the same to a model;
    whether they are channels is not. All are kept where none fits, so that a sentence
    can say why.
    """
    plain = [r for r in found if r.ndim == ndim and r.axes[0] != "C"][:1]
    stacked = [
        r
        for r in found
        if r.ndim == ndim and r.axes[0] == "C" and shape[0] == n_channels
    ][:1]
    return [*stacked, *plain] or list(found)
