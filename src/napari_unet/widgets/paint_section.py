"""What to paint with: the classes and their names, or background and a new object."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.config import Task
from napari_unet.data.classes import ClassInfo
from napari_unet.widgets.annotation_layer import (
    classes_of,
    color_class,
    forget_class,
    holds_value,
    name_class,
)
from napari_unet.widgets.shortcuts import N_CLASSES, with_key

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
        self._offer: Any = None
        self._swatches: dict[int, QToolButton] = {}
        self._ground: tuple[QPushButton, int] | None = None
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
        self._offer = (layer, task, tuple(values), background)
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

    def _show_again(self, add: int = 0, without: int = 0) -> None:
        layer, task, values, background = self._offer
        values = sorted({*values, *([add] if add else [])} - {without})
        self.show_for(layer, task, values, background)
        self.renamed.emit()

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
        self._ground = None
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
        for number, info in enumerate(classes, 1):
            swatch = QToolButton()
            swatch.setFixedSize(_SWATCH + 4, _SWATCH + 4)
            swatch.setProperty("swatch", info.color)
            hint = f"Paint {info.name} (label {info.value})"
            swatch.setToolTip(_with_class_key(hint, number))
            swatch.clicked.connect(partial(self.paint_with, info.value))
            swatch.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
            swatch.customContextMenuRequested.connect(
                partial(self._show_menu, swatch, info)
            )
            self._swatches[info.value] = swatch
            name = QLineEdit(info.name)
            name.setToolTip(f"Name of label {info.value}, kept in the results")
            name.editingFinished.connect(partial(self._rename, info.value))
            self.names[info.value] = name
            more = QToolButton()
            more.setText("⋯")
            more.setToolTip(f"Colour of {info.name}, or remove it")
            more.setAutoRaise(True)
            more.clicked.connect(partial(self._show_menu, more, info, None))
            self._row(swatch, name, more)
        add = QPushButton("Add class")
        add.clicked.connect(self.add_class)
        self._row(add)

    def _add_objects(self, background: int | None) -> None:
        parts: list[QWidget] = []
        if background:
            ground = QPushButton("Background")
            ground.setCheckable(True)  # down while background is painted
            hint = f"Paint background (label {background})"
            ground.setToolTip(_with_class_key(hint, 1))
            ground.clicked.connect(partial(self.paint_with, background))
            parts.append(ground)
            self._ground = (ground, background)
        new = QPushButton("New object")
        hint = "Paint with a label that no object has yet"
        new.setToolTip(with_key(hint, "new object"))
        new.clicked.connect(self.paint_new_object)
        self._row(*parts, new)

    def paint_class(self, number: int) -> None:
        """Select the class in a row, counted from 1; for objects 1 is background."""
        if self._shown is None or self._shown[0] is None:
            return
        _, task, classes, background = self._shown
        values = [c.value for c in classes]
        if task == "objects":
            values = [background] if background else []
        if number <= len(values):
            self.paint_with(values[number - 1])

    def paint_with(self, value: int, _: bool = False) -> None:
        """Select a label, and the brush unless another tool that paints is chosen."""
        if self._layer is not None:
            self._layer.selected_label = value
            if self._layer.mode not in PAINTING:
                self._layer.mode = "paint"
            self._mark()  # the button came up when it was pressed again

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
        self._show_again(add=value)

    def set_color(self, value: int, color: str) -> None:
        """Give a class another colour, ``#rrggbb``; results get it too."""
        if self._layer is not None:
            color_class(self._layer, value, color)
            self._show_again()

    def remove_class(self, value: int, _: bool = False) -> None:
        """Remove a class of which nothing is painted."""
        layer = self._layer
        if layer is None or holds_value(layer.data, value):
            return
        forget_class(layer, value)
        if layer.selected_label == value:
            left = [v for v in self._swatches if v != value]
            layer.selected_label = left[-1] if left else 1
        self._show_again(without=value)

    def _show_menu(
        self, button: QToolButton, info: ClassInfo, at: QPoint | None, *_: Any
    ) -> None:
        menu = self.menu_for(info)
        place = button.rect().bottomLeft() if at is None else at
        menu.popup(button.mapToGlobal(place))

    def menu_for(self, info: ClassInfo) -> QMenu:
        """What can be done with a class; shown at its row."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        color: Any = menu.addAction("Colour …")
        remove: Any = menu.addAction("Remove")
        color.triggered.connect(partial(self._ask_color, info))
        remove.triggered.connect(partial(self.remove_class, info.value))
        painted = self._layer is not None and holds_value(self._layer.data, info.value)
        remove.setEnabled(not (info.background or painted))
        if painted and not info.background:
            remove.setText("Remove (erase its pixels first)")
        return menu

    def _ask_color(self, info: ClassInfo, _: bool = False) -> None:
        color = QColorDialog.getColor(
            QColor(info.color), self, f"Colour of {info.name}"
        )
        if color.isValid():
            self.set_color(info.value, color.name())

    def _rename(self, value: int) -> None:
        layer, name = self._layer, self.names[value].text().strip()
        if layer is not None and name:
            name_class(layer, value, name)
            self.renamed.emit()

    def _mark(self, _: Any = None) -> None:
        """Show which label is selected."""
        if self._layer is None:
            return
        if self._ground is not None:
            button, value = self._ground
            # napari hands on numpy's numbers, which Qt refuses.
            button.setChecked(bool(value == self._layer.selected_label))
        for value, swatch in self._swatches.items():
            chosen = value == self._layer.selected_label
            border = "2px solid white" if chosen else "2px solid transparent"
            swatch.setStyleSheet(
                f"QToolButton {{ background: {swatch.property('swatch')}; "
                f"border: {border}; border-radius: 3px; }}"
            )


def _with_class_key(text: str, number: int) -> str:
    return with_key(text, f"class {number}") if number <= N_CLASSES else text
