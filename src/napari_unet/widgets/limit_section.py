"""The button *Only inside a box*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_unet.data.source import Box
from napari_unet.widgets.limit_box import LimitBox
from napari_unet.widgets.style import Colors, Message

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels


class LimitSection(QWidget):
    """Limits training to a rectangle that the person draws."""

    changed = Signal(object)
    """The box, or ``None``: another one than before."""

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._limit = LimitBox(viewer, self)
        self.button = QPushButton("Only inside a box")
        self.button.setCheckable(True)
        self.button.setToolTip(
            "Learn only from what lies in a rectangle. Move it or pull at its "
            "corners; delete it, or press again, to lift the limit"
        )
        self.message = Message("quiet")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.button)
        column.addWidget(self.message)
        self.button.clicked.connect(self._on_click)
        self._limit.changed.connect(self._on_changed)
        self.setVisible(False)

    @property
    def box(self) -> Box | None:
        """Start and stop along every labels axis, in voxels; ``None``: no limit."""
        return self._limit.box

    def show_for(self, layer: Labels | None) -> None:
        """Limit what is learnt from an annotation layer; nothing without one."""
        self._limit.set_target(layer)
        self.setVisible(layer is not None)

    def mark(self, box: Box) -> None:
        """Limit to a box, as if the person had drawn it."""
        self._limit.mark(box)
        self._show()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.message.set_colors(colors)

    def close_layer(self) -> None:
        """Let go of viewer and layers; the rectangle stays."""
        self._limit.close()

    def _on_click(self, on: bool) -> None:
        if on:
            self._limit.draw()
        else:
            self._limit.lift()
        self._show()

    def _on_changed(self, box: Box | None) -> None:
        self._show()
        self.changed.emit(box)

    def _show(self) -> None:
        box = self._limit.box
        self.button.setChecked(box is not None)
        if box is None:
            self.message.say("")
            return
        (top, bottom), (left, right) = box[-2:]
        self.message.say(f"Only {bottom - top:,} × {right - left:,} pixels count.")
