"""Rows of a form: a layer that something is made from, and what its axes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout

from napari_unet.errors import DataError
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.layers import ImageSnapshot, snapshot
from napari_unet.widgets.readings import Reading, readings
from napari_unet.widgets.style import narrow, show_row

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

READING_TEXT = {
    ("ZYX", 3): "depth (Z): in 3D",
    ("ZYX", 2): "depth (Z): each plane by itself",
    ("TYX", 2): "time (T): each frame by itself",
    ("TZYX", 3): "time (T), depth (Z): in 3D",
    ("TZYX", 2): "time (T), depth (Z): each plane by itself",
}


class LayerChoice:
    """Chooses one layer without channels, and how its axes are understood.

    Parameters
    ----------
    viewer : napari.Viewer
    form : QFormLayout
        Where the rows go.
    kind : str
        ``"Labels"`` or ``"Image"``.
    missing : str
        What to say where there is no such layer.
    """

    changed = Signal()

    def __init__(
        self, viewer: napari.Viewer, form: QFormLayout, kind: str, missing: str
    ) -> None:
        self._viewer = viewer
        self._form = form
        self._kind = kind
        self._missing = missing
        self.layer = ComboBox(choices=[], tooltip=f"A {kind} layer of this viewer")
        self.reading = ComboBox(choices=[], tooltip="What the axes of the layer are")
        narrow(self.layer.native)
        narrow(self.reading.native)
        form.addRow(kind, self.layer.native)
        form.addRow("Axes", self.reading.native)
        self._found: list[Reading] = []
        self.layer.changed.connect(self._on_layer)
        self.reading.changed.connect(self._on_reading)
        self.refresh()

    def refresh(self) -> None:
        """Offer the layers that the viewer has now."""
        import napari.layers

        cls = getattr(napari.layers, self._kind)
        offered = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, cls)
            and not is_preview(layer)
            and not getattr(layer, "rgb", False)
        ]
        before = self.layer.value
        active = self._viewer.layers.selection.active
        with self.layer.changed.blocked():
            self.layer.choices = [(layer.name, layer) for layer in offered]
            if before is None and offered:
                self.layer.value = active if active in offered else offered[-1]
        self._on_layer()

    def choose(self, layer: Layer) -> None:
        """Choose a layer from code."""
        self.refresh()
        self.layer.value = layer

    def snapshot(self) -> ImageSnapshot:
        """What the chosen layer holds now; the pixels are not copied.

        Raises
        ------
        DataError
            If there is none, or it cannot be used.
        """
        layer = self.layer.value
        if layer is None:
            raise DataError(self._missing)
        if not self._found:
            self._found = offered_readings(layer)  # raises what is wrong
        return snapshot([layer], self.reading.value)

    def _on_layer(self, _: Any = None) -> None:
        layer = self.layer.value
        try:
            found = [] if layer is None else offered_readings(layer)
        except DataError:
            found = []  # told by `snapshot`
        if found != self._found:
            self._found = found
            with self.reading.changed.blocked():
                self.reading.choices = [(_text(r), r) for r in found]
                if found:
                    self.reading.value = found[0]
        show_row(self._form, self.reading.native, visible=len(found) > 1)
        self.changed.emit()

    def _on_reading(self, _: Any = None) -> None:
        self.changed.emit()


def offered_readings(layer: Layer) -> list[Reading]:
    """Ways to understand a layer without channels.

    Raises
    ------
    DataError
        If there is none.
    """
    found = [r for r in readings(layer) if "C" not in r.axes]
    if not found:
        raise DataError(
            f"{layer.name!r} has {layer.ndim} axes, and channels are none of those "
            "that can be used: right-click the layer and choose Split Stack."
        )
    return found


def _text(reading: Reading) -> str:
    return READING_TEXT.get((reading.axes, reading.ndim), reading.text)
