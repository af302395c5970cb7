"""What holds for every dock widget: it fits a small laptop, and explains itself."""

from __future__ import annotations

from typing import Any

import npe2
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QMainWindow,
    QScrollArea,
    QScrollBar,
    QWidget,
)

from napari_unet.widgets import engine_host

pytestmark = pytest.mark.viewer

PLUGIN = "napari-unet-live"
SCREEN = (1366, 768)
"""Pixels of a common small laptop."""
SHARE, SHARE_LARGE = 3, 2
"""A dock takes at most this part of the screen, and that with large letters."""

WIDGETS = (
    "train",
    "predict",
    "batch",
    "measure",
    "boundaries",
    "superpixels",
    "evaluate",
    "track",
    "models",
    "training_set",
    "health",
)
CONTROLS = (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox, QAbstractSlider)
PARTS_OF = (QAbstractSpinBox, QComboBox, QHeaderView, QLineEdit, QScrollBar)


@pytest.fixture(params=WIDGETS)
def widget(
    request: pytest.FixtureRequest,
    viewer: Any,
    host: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    monkeypatch.setattr(engine_host, "_host", host)
    command = f"{PLUGIN}.{request.param}"
    manifest = npe2.PluginManager.instance().get_manifest(PLUGIN)
    (name,) = [
        found.display_name
        for found in manifest.contributions.widgets or []
        if found.command == command
    ]
    _, made = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    return made


def controls(widget: QWidget) -> list[Any]:
    """What a person can click or type into, without the parts that Qt adds."""
    return [
        part
        for part in widget.findChildren(QWidget)
        if isinstance(part, CONTROLS)
        and not isinstance(part, QScrollBar)
        and not isinstance(part.parent(), PARTS_OF)
        and not part.objectName().startswith("qt_")
    ]


def test_every_widget_of_the_menu_is_looked_at(viewer: Any) -> None:
    manifest = npe2.PluginManager.instance().get_manifest(PLUGIN)
    offered = {found.command for found in manifest.contributions.widgets or []}
    assert offered == {f"{PLUGIN}.{name}" for name in WIDGETS}


def test_nothing_scrolls_sideways_on_a_laptop(widget: Any) -> None:
    assert widget.minimumSizeHint().width() <= SCREEN[0] / SHARE
    assert widget.minimumSizeHint().height() < SCREEN[1] / 2
    (column, *_) = widget.findChildren(QScrollArea)
    off = Qt.ScrollBarPolicy.ScrollBarAlwaysOff
    assert column.horizontalScrollBarPolicy() == off
    points = widget.font().pointSizeF()
    widget.setStyleSheet(f"* {{ font-size: {1.5 * points}pt; }}")
    assert widget.minimumSizeHint().width() <= SCREEN[0] / SHARE_LARGE


def test_nothing_opens_a_window_of_its_own(widget: Any, qtbot: Any) -> None:
    before = {w for w in QApplication.topLevelWidgets() if w.isVisible()}
    widget.host.changed.emit()
    widget.say_device("a card")
    qtbot.wait(50)
    after = {w for w in QApplication.topLevelWidgets() if w.isVisible()}
    strange = {w for w in after - before if not isinstance(w, QMainWindow)}
    assert not strange, [getattr(w, "text", str)() for w in strange]


def test_every_control_has_a_tooltip(widget: Any) -> None:
    silent = [
        (type(part).__name__, getattr(part, "text", str)(), type(part.parent()))
        for part in controls(widget)
        if not part.toolTip()
    ]
    assert not silent


def test_every_control_can_be_reached_with_the_keyboard(widget: Any) -> None:
    # Menus of tool buttons and swatches have shortcuts or menus of their own.
    unreachable = [
        (type(part).__name__, getattr(part, "text", str)())
        for part in controls(widget)
        if not part.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert not unreachable


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_change_of_theme_is_followed(widget: Any, viewer: Any, theme: str) -> None:
    from napari_unet.widgets.style import Message, viewer_colors

    viewer.theme = "light" if theme == "dark" else "dark"
    viewer.theme = theme
    colors = viewer_colors(viewer)
    shades = {colors.text, colors.quiet, colors.problem, colors.good}
    for message in widget.findChildren(Message):
        shade = message.styleSheet().partition("color: ")[2].partition(";")[0]
        assert shade in shades, message.text()
