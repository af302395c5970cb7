"""What both dock widgets have in common: scrolling, theme, device line, clean end."""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QDockWidget,
    QFormLayout,
    QFrame,
    QMainWindow,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_unet.widgets.engine_host import EngineHost, engine_host
from napari_unet.widgets.layer_news import LayerNews
from napari_unet.widgets.look_direction import LookDirection
from napari_unet.widgets.style import Colors, Message, viewer_colors
from napari_unet.widgets.warm_up import warm_up

if TYPE_CHECKING:
    import napari

WIDTH = 300
"""Narrowest useful width in pixels."""

ADDED = " (napari-unet-live)"
"""What napari adds to the title of a plugin's dock, which is that of its tab, too."""

WARM_UP_MS = 500
"""The widget is on screen before anything else is prepared."""


class DockWidget(QWidget):
    """A scrolling column of parts that belongs to one viewer."""

    def __init__(self, viewer: napari.Viewer, host: EngineHost | None = None) -> None:
        super().__init__()
        # napari hands plugins a proxy; layers and events are the same either way, but
        # signals keep weak references, which a proxy that nobody holds would break.
        self.viewer: napari.Viewer = getattr(viewer, "__wrapped__", viewer)
        self.host = host or engine_host()
        self.layer_news = LayerNews(self.viewer)
        self._look_direction = LookDirection(self.viewer)
        self.device = Message("quiet")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        scroll = _Column()
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
        self.host.changed.connect(self.show_device)
        self.viewer.events.theme.connect(self.apply_theme)
        self._docked = False
        self._placed = False
        self._closed = False
        # A slot of the object itself would be dropped before `destroyed` is sent, and
        # a strong reference would keep a closed widget for ever.
        _open.add(self)
        me = weakref.ref(self)
        self.destroyed.connect(lambda *_: _close(me()))

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        QTimer.singleShot(WARM_UP_MS, warm_up)

        if not self._placed:
            self._placed = True
            # Not before the main window knows where the dock is.
            QTimer.singleShot(0, self._join)

    def _join(self) -> None:
        """Become a tab beside other docks of ours: side by side, none has room."""
        mine = _dock_of(self)
        window = None if mine is None else mine.parent()
        if self._closed or mine is None or not isinstance(window, QMainWindow):
            return
        # Beside others, napari's addition of the plugin's name leaves no room for ours.
        mine.setWindowTitle(mine.windowTitle().removesuffix(ADDED))
        area = window.dockWidgetArea(mine)
        if mine.isFloating() or window.tabifiedDockWidgets(mine):
            return
        for other in window.findChildren(DockWidget):
            dock = _dock_of(other)
            if dock in (None, mine) or dock.isFloating() or dock.isHidden():
                continue
            if window.dockWidgetArea(dock) == area:
                window.tabifyDockWidget(dock, mine)
                mine.raise_()
                return

    def event(self, event: QEvent | None) -> bool:
        # Closing a dock takes the widget out of it and sends no close event.
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                _close(self)
        return bool(super().event(event))

    def add_form(self) -> QFormLayout:
        """Add an empty form to the column."""
        form = make_form()
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
        self.say_device(self.host.device_text)

    def say_device(self, text: str) -> None:
        """Show `text` as the device in use, where there is a line for it."""
        # In no column, the line would be a window of its own.
        if self.device.parentWidget() is not None:
            self.device.say(f"Device: {text}")

    def apply_theme(self, _: Any = None) -> Colors:
        """Follow the viewer's theme."""
        colors = viewer_colors(self.viewer)
        self.device.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        """Let go of viewer and engine; the Qt objects may be gone already."""
        self.host.changed.disconnect(self.show_device)
        self.viewer.events.theme.disconnect(self.apply_theme)
        self.layer_news.close()
        self._look_direction.close()


def _dock_of(widget: QWidget) -> QDockWidget | None:
    """The dock around a widget."""
    around = widget.parentWidget()
    while around is not None and not isinstance(around, QDockWidget):
        around = around.parentWidget()
    return around


_open: weakref.WeakSet[DockWidget] = weakref.WeakSet()


def _close(widget: DockWidget | None) -> None:
    if widget is not None and not widget._closed:
        widget._closed = True
        _open.discard(widget)
        widget.close_parts()


@atexit.register
def _close_all() -> None:
    """Where Python ends with a viewer open: later, Qt destroys parts in any order."""
    for widget in list(_open):
        _close(widget)


class _Column(QScrollArea):
    """Scrolls up and down only, and is never narrower than what it holds."""

    def __init__(self) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def minimumSizeHint(self) -> QSize:
        hint: QSize = super().minimumSizeHint()
        content, bar = self.widget(), self.verticalScrollBar()
        if content is not None and bar is not None:
            width = content.minimumSizeHint().width() + bar.sizeHint().width()
            hint.setWidth(max(width, WIDTH))
        return hint

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        # The base class watches the content; its needs may have grown.
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def make_form(parent: QWidget | None = None) -> QFormLayout:
    """An empty form: labels left, fields as wide as there is room."""
    form = QFormLayout(parent)
    form.setContentsMargins(0, 0, 0, 0)
    form.setSpacing(6)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return form
