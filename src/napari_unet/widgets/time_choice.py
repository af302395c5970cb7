"""Rows of a form: a Labels layer over time, and which of its axes is time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout

from napari_unet.errors import DataError
from napari_unet.widgets.annotation_layer import rule_of
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.layers import ImageSnapshot, snapshot
from napari_unet.widgets.readings import Reading, layer_shape, readings
from napari_unet.widgets.style import narrow

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels


class TimeChoice:
    """Chooses a Labels layer and its time axis."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, form: QFormLayout) -> None:
        self._viewer = viewer
        self.layer = ComboBox(choices=[], tooltip="Objects, numbered in each frame")
        self.time = ComboBox(
            choices=[], tooltip="The axis of the layer along which time runs"
        )
        for box in (self.layer, self.time):
            narrow(box.native)
        form.addRow("Labels", self.layer.native)
        form.addRow("Time axis", self.time.native)
        self._found: list[tuple[str, Reading]] = []
        self.layer.changed.connect(self._on_layer)
        self.time.changed.connect(self._on_time)
        self.refresh()

    def refresh(self) -> None:
        """Offer the Labels layers that the viewer has now."""
        from napari.layers import Labels

        offered = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not is_preview(layer)
        ]
        before, active = self.layer.value, self._viewer.layers.selection.active
        # A sparse annotation is hardly what somebody wants to follow.
        likely = [layer for layer in offered if rule_of(layer) != "sparse"] or offered
        with self.layer.changed.blocked():
            self.layer.choices = [(layer.name, layer) for layer in offered]
            if before is None and offered:
                self.layer.value = active if active in likely else likely[-1]
        self._on_layer()

    def choose(self, layer: Labels) -> None:
        """Choose a layer from code."""
        self.refresh()
        self.layer.value = layer

    def snapshot(self) -> ImageSnapshot:
        """What the chosen layer holds now; the pixels are not copied.

        Raises
        ------
        DataError
            If there is none, or none of its axes is time.
        """
        layer = self.layer.value
        if layer is None:
            raise DataError(
                "There is no Labels layer: predict or open the labels of a time-lapse "
                "first."
            )
        if self.time.value is None:
            time_readings(layer)  # raises what is wrong
        return snapshot([layer], self.time.value)

    def _on_layer(self, _: Any = None) -> None:
        layer = self.layer.value
        found: list[tuple[str, Reading]] = []
        if layer is not None:
            try:
                found = [(_text(layer, r), r) for r in time_readings(layer)]
            except DataError:
                found = []  # told by `snapshot`
        if found != self._found:
            self._found = found
            with self.time.changed.blocked():
                self.time.choices = found
                if found:
                    self.time.value = found[0][1]
        self.time.enabled = len(found) > 1
        self.changed.emit()

    def _on_time(self, _: Any = None) -> None:
        self.changed.emit()


def time_readings(layer: Labels) -> list[Reading]:
    """Ways to understand a layer over time; axis labels are believed.

    Raises
    ------
    DataError
        If no axis can be time.
    """
    if layer.ndim < 3:
        raise DataError(
            f"{layer.name!r} is one image: objects can be followed only in a layer "
            "with a time axis."
        )
    all_axes = [r.axes for r in readings(layer)]
    found = list(dict.fromkeys(a for a in all_axes if "T" in a and "C" not in a))
    if "TZYX" in found and "CZYX" in all_axes:
        found.append("ZTYX")  # the axis labels say nothing
    if not found:
        told = ", ".join(str(name) for name in layer.axis_labels)
        raise DataError(
            f"{layer.name!r} has no time axis that can be used: its axes are called "
            f"{told}. Name one of them t, and none of them c, under the layer's axis "
            "labels."
        )
    return [Reading(axes, 3 if "Z" in axes else 2) for axes in found]


def _text(layer: Labels, reading: Reading) -> str:
    axis = reading.axes.index("T")
    count = layer_shape(layer)[axis]
    place = ("first", "second", "third", "fourth")[axis]
    return f"{place}, {count:,} frame" + ("" if count == 1 else "s")
