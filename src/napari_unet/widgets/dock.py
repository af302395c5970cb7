"""What both dock widgets have in common: scrolling, theme, device line, clean end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QFrame, QScrollArea, QVBoxLayout, QWidget

from napari_unet.widgets.engine_host import EngineHost, engine_host
from napari_unet.widgets.layer_news import LayerNews
from napari_unet.widgets.style import Colors, Message, viewer_colors

if TYPE_CHECKING:
    import napari

WIDTH = 300
"""Narrowest useful width in pixels."""


class DockWidget(QWidget):
    """A scrolling column of parts that belongs to one viewer."""

    def __init__(self, viewer: napari.Viewer, host: EngineHost | None = None) -> None:
        super().__init__()
        # napari hands plugins a proxy; layers and events are the same either way, but
        # signals keep weak references, which a proxy that nobody holds would break.
        self.viewer: napari.Viewer = getattr(viewer, "__wrapped__", viewer)
        self.host = host or engine_host()
        self.layer_news = LayerNews(self.viewer)
        self.device = Message("quiet")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer.addWidget(scroll)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(6)
        self._parts = QVBoxLayout()
        self._parts.setSpacing(6)
        column.addLayout(self._parts)
        column.addStretch(1)
        scroll.setWidget(content)
        self.setMinimumWidth(WIDTH)
        self.host.changed.connect(self.show_device)
        self.viewer.events.theme.connect(self.apply_theme)
        # A slot of its own object is dropped before `destroyed` is sent; a plain
        # function is not.
        self.destroyed.connect(lambda *_: self.close_parts())

    def add_form(self) -> QFormLayout:
        """Add an empty form to the column."""
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(6)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
        self._parts.addLayout(form)
        return form

    def add(self, part: QWidget) -> None:
        """Add a part below the others."""
        self._parts.addWidget(part)

    def add_device_line(self) -> None:
        """Add the line that names the device in use."""
        self.add(self.device)
        self.show_device()

    def show_device(self) -> None:
        """Show what the engine says about its device."""
        self.device.say(self.host.device_text)

    def apply_theme(self, _: Any = None) -> Colors:
        """Follow the viewer's theme."""
        colors = viewer_colors(self.viewer)
        self.device.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        """Let go of viewer and engine; the Qt objects are gone already."""
        self.host.changed.disconnect(self.show_device)
        self.viewer.events.theme.disconnect(self.apply_theme)
        self.layer_news.close()
