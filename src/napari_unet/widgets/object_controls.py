"""Controls for how objects are cut from the network's maps."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSlider, FloatSpinBox
from psygnal import Signal
from qtpy.QtWidgets import QAbstractSpinBox, QFormLayout, QHBoxLayout, QWidget

from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.segmentation.sizes import Size, voxel_measure
from napari_unet.units import METRES
from napari_unet.widgets.style import narrow

MOST = 1e12
"""Largest size that can be typed in."""


class ObjectControls:
    """Rows of a form: thresholds, sizes, and what is known about objects."""

    changed = Signal()

    def __init__(self, form: QFormLayout) -> None:
        self.threshold = FloatSlider(
            min=0.02,
            max=0.98,
            step=0.01,
            tooltip="Probability above which a pixel belongs to an object: lower makes "
            "objects larger",
        )
        self.prominence = FloatSlider(
            min=0.0,
            max=0.6,
            step=0.01,
            tooltip="How much an object must stand out from its neighbour: lower parts "
            "more, higher merges more",
        )
        for slider in (self.threshold, self.prominence):
            for number in slider.native.findChildren(QAbstractSpinBox):
                number.setToolTip(slider.tooltip)
        self.smallest, self.largest = (
            _size("Drop smaller ones"),
            _size("Drop larger ones; at the lowest value none"),
        )
        self.unit = ComboBox(
            choices=[("pixels", "pixels")], tooltip="Unit of the sizes"
        )
        self.holes = CheckBox(
            text="Fill holes", tooltip="Background that one object encloses joins it"
        )
        self.piece = CheckBox(
            text="One piece each",
            tooltip="Of an object in several pieces only the largest is kept",
        )
        self.border = CheckBox(
            text="None at the image's border",
            tooltip="Leave out objects that the border of the image cuts",
        )
        narrow(self.unit.native)
        sizes = QWidget()
        row = QHBoxLayout(sizes)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self.smallest, self.largest):
            part.native.setMinimumWidth(50)
            row.addWidget(part.native, 1)
        self.largest.native.setSpecialValueText("any")  # instead of 0
        form.addRow("Foreground above", self.threshold.native)
        form.addRow("Parted above", self.prominence.native)
        form.addRow("Sizes, from – to", sizes)
        form.addRow("Sizes in", self.unit.native)
        for box in (self.holes, self.piece, self.border):
            form.addRow("", box.native)
        self._decoder = DecoderInfo()
        self._voxel: float | None = None
        self._power = 2
        self._quiet = False
        self._physical = False
        for part in self._parts():
            part.changed.connect(self._on_changed)
        self.unit.changed.connect(self._on_unit)
        self.show(self._decoder)

    def _parts(self) -> list[Any]:
        return [
            self.threshold,
            self.prominence,
            self.smallest,
            self.largest,
            self.holes,
            self.piece,
            self.border,
        ]

    @property
    def decoder(self) -> DecoderInfo:
        """Settings of the model, from which others differ."""
        return self._decoder

    def show(self, decoder: DecoderInfo) -> None:
        """Show the settings of a model; they are what nothing is changed from."""
        self._decoder = decoder
        self._quiet = True
        try:
            self.unit.value = "pixels"
            self._show_decimals(physical=False)
            self.threshold.value = decoder.foreground_threshold
            self.prominence.value = min(decoder.prominence, self.prominence.max)
            self.smallest.value = decoder.min_size
            self.largest.value = decoder.max_size or 0
            self.holes.value = decoder.fill_holes
            self.piece.value = decoder.one_piece
            self.border.value = decoder.clear_border
        finally:
            self._quiet = False

    def set_voxel(self, voxel_size: tuple[float, ...], unit: str) -> None:
        """Follow the image: sizes in µm need to know how large its pixels are."""
        power = len(voxel_size)
        measure = voxel_measure(voxel_size, unit)
        voxel = None if measure is None else measure / METRES["micrometer"] ** power
        if (voxel, power) == (self._voxel, self._power):
            return
        self.unit.value = "pixels"
        self._voxel, self._power = voxel, power
        choices = [("pixels" if power == 2 else "voxels", "pixels")]
        if voxel is not None:
            choices.append(("µm²" if power == 2 else "µm³", "micrometer"))
        with self.unit.changed.blocked():
            self.unit.choices = choices

    def wishes(self) -> dict[str, Any]:
        """Fields of `ObjectSettings` that differ from those of the model."""
        model = self._decoder
        found: dict[str, Any] = {
            "foreground_threshold": round(self.threshold.value, 4),
            "prominence": round(self.prominence.value, 4),
            "fill_holes": self.holes.value,
            "one_piece": self.piece.value,
            "clear_border": self.border.value,
        }
        changed = {
            name: value
            for name, value in found.items()
            if value != round(getattr(model, name), 4)
        }
        for name, box in (("min_size", self.smallest), ("max_size", self.largest)):
            size = self._in_pixels(box.value)
            if round(size) != (getattr(model, name) or 0):
                changed[name] = self._plain(box.value)
        return changed

    def _plain(self, value: float) -> dict[str, Any]:
        power = 0 if self.unit.value == "pixels" else self._power
        unit = "pixel" if not power else "micrometer"
        return Size(value=value, unit=unit, power=power).model_dump()

    def _in_pixels(self, value: float) -> float:
        physical = self.unit.value != "pixels" and self._voxel
        return value / self._voxel if physical and self._voxel else value

    def _on_unit(self, _: Any = None) -> None:
        """Show the same sizes in the other unit."""
        if self._quiet:
            return
        physical = self.unit.value != "pixels"
        factor = 1.0
        if self._voxel and physical != self._physical:
            factor = self._voxel if physical else 1 / self._voxel
        self._quiet = True
        try:
            sizes = [box.value * factor for box in (self.smallest, self.largest)]
            self._show_decimals(physical=physical)
            for box, size in zip((self.smallest, self.largest), sizes, strict=True):
                box.value = round(size, box.native.decimals())
        finally:
            self._quiet = False

    def _show_decimals(self, *, physical: bool) -> None:
        self._physical = physical
        for box in (self.smallest, self.largest):
            box.native.setDecimals(2 if physical else 0)

    def _on_changed(self, _: Any = None) -> None:
        if not self._quiet:
            self.changed.emit()


def _size(tooltip: str) -> FloatSpinBox:
    return FloatSpinBox(min=0, max=MOST, step=1, tooltip=tooltip)
