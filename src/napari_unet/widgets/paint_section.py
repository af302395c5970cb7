"""What to paint with: the classes and their names, or background and a new object."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.config import Task
from napari_unet.data.classes import ClassInfo
from napari_unet.widgets.annotation_layer import classes_of, name_class

if TYPE_CHECKING:
    from napari.layers import Labels

MAX_ROWS = 12
"""More classes than this are not listed."""

PAINTING = ("paint", "polygon", "fill")
"""Tools of a Labels layer that paint the selected label."""

_SWATCH = 18


class PaintSection(QWidget):
    """A button for each class that can be painted, and a field for its name."""

    renamed = Signal()
    """A class got another name or colour, was added or removed."""
    offered = Signal(object)
    """The layer that can be painted in, or ``None``; told again and again."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layer: Labels | None = None
        self._shown: Any = None
        self._swatches: dict[int, QToolButton] = {}
        self.names: dict[int, QLineEdit] = {}
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(3)
        self.setVisible(False)

    def show_for(
        self,
        layer: Labels | None,
        task: Task,
        values: Sequence[int],
        background: int | None,
    ) -> None:
        """Offer what can be painted in `layer`.

        Parameters
        ----------
        layer : Labels or None
            Nothing is shown without one.
        task : {"classes", "objects"}
        values : sequence of int
            Values in the annotation that are classes; not used for objects.
        background : int or None
            The value that means background.
        """
        self._watch(layer)
        self.offered.emit(layer)
        classes = []
        if layer is not None and task == "classes":
            classes = classes_of(layer, values, background)[:MAX_ROWS]
        wanted = (layer, task, classes, background)
        if wanted == self._shown:
            return
        self._shown = wanted
        self._clear()
        self.setVisible(layer is not None)
        if layer is None:
            return
        if task == "classes":
            self._add_classes(classes)
        else:
            self._add_objects(background)
        self._mark()

    def close_layer(self) -> None:
        """Listen to the layer no longer."""
        self._watch(None)

    def _watch(self, layer: Labels | None) -> None:
        if layer is self._layer:
            return
        if self._layer is not None:
            self._layer.events.selected_label.disconnect(self._mark)
        self._layer = layer
        if layer is not None:
            layer.events.selected_label.connect(self._mark)

    def _clear(self) -> None:
        self._swatches.clear()
        self.names.clear()
        while (item := self._rows.takeAt(0)) is not None:
            row = item.widget()
            if row is not None:
                row.hide()
                row.deleteLater()

    def _row(self, *parts: QWidget) -> None:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for part in parts:
            layout.addWidget(part)
        self._rows.addWidget(row)

    def _add_classes(self, classes: Sequence[ClassInfo]) -> None:
        for info in classes:
            swatch = QToolButton()
            swatch.setFixedSize(_SWATCH + 4, _SWATCH + 4)
            swatch.setProperty("swatch", info.color)
            swatch.setToolTip(f"Paint {info.name} (label {info.value})")
            swatch.clicked.connect(partial(self.paint_with, info.value))
            self._swatches[info.value] = swatch
            name = QLineEdit(info.name)
            name.setToolTip(f"Name of label {info.value}, kept in the results")
            name.editingFinished.connect(partial(self._rename, info.value))
            self.names[info.value] = name
            self._row(swatch, name)
        add = QPushButton("Add class")
        add.clicked.connect(self.add_class)
        self._row(add)

    def _add_objects(self, background: int | None) -> None:
        parts: list[QWidget] = []
        if background:
            ground = QPushButton("Background")
            ground.setToolTip(f"Paint background (label {background})")
            ground.clicked.connect(partial(self.paint_with, background))
            parts.append(ground)
        new = QPushButton("New object")
        new.setToolTip("Paint with a label that no object has yet")
        new.clicked.connect(self.paint_new_object)
        self._row(*parts, new)

    def paint_with(self, value: int, _: bool = False) -> None:
        """Select a label, and the brush unless another tool that paints is chosen."""
        if self._layer is not None:
            self._layer.selected_label = value
            if self._layer.mode not in PAINTING:
                self._layer.mode = "paint"

    def paint_new_object(self, _: bool = False) -> None:
        """Select a label that is not in use yet."""
        layer = self._layer
        if layer is None:
            return
        background = self._shown[3]
        first = 1 if background is None else background + 1
        self.paint_with(max(int(np.max(layer.data)) + 1, first))

    def add_class(self, _: bool = False) -> None:
        """Add a class after the last one and select it."""
        layer = self._layer
        if layer is None:
            return
        value = max([0, *self._swatches]) + 1
        name_class(layer, value, f"class {value}")
        self.paint_with(value)
        self.renamed.emit()

    def _rename(self, value: int) -> None:
        layer, name = self._layer, self.names[value].text().strip()
        if layer is not None and name:
            name_class(layer, value, name)
            self.renamed.emit()

    def _mark(self, _: Any = None) -> None:
        """Frame the swatch of the label that is selected."""
        if self._layer is None:
            return
        for value, swatch in self._swatches.items():
            chosen = value == self._layer.selected_label
            border = "2px solid white" if chosen else "2px solid transparent"
            swatch.setStyleSheet(
                f"QToolButton {{ background: {swatch.property('swatch')}; "
                f"border: {border}; border-radius: 3px; }}"
            )
