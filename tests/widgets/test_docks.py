"""Docks of ours become tabs, since two in one column have no room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtCore import QObject, Qt
from qtpy.QtWidgets import QDockWidget

from napari_unet.widgets import engine_host
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

LONG = 60_000


@pytest.fixture
def shown(make_napari_viewer: Callable[..., Any], host: Any) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window.add_dock_widget(TrainWidget(viewer, host), name="Train U-Net")
    return viewer


def tabs_beside(dock: QDockWidget) -> list[QDockWidget]:
    window: Any = dock.parent()
    return list(window.tabifiedDockWidgets(dock))


def test_a_second_dock_is_a_tab_in_front(shown: Any, host: Any, qtbot: Any) -> None:
    qtbot.wait(50)
    made = PredictWidget(shown, host)
    dock = shown.window.add_dock_widget(made, name="Predict U-Net")
    qtbot.waitUntil(lambda: bool(tabs_beside(dock)), timeout=LONG)
    (first,) = tabs_beside(dock)
    assert first.findChild(TrainWidget) is not None
    qtbot.waitUntil(lambda: not made.visibleRegion().isEmpty(), timeout=LONG)


def test_what_a_person_moved_stays_where_it_is(
    shown: Any, host: Any, qtbot: Any
) -> None:
    made = PredictWidget(shown, host)
    dock = shown.window.add_dock_widget(made, name="Predict U-Net")
    qtbot.waitUntil(lambda: bool(tabs_beside(dock)), timeout=LONG)
    window: QObject = dock.parent()
    window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
    assert not tabs_beside(dock)
    dock.hide()
    dock.show()
    qtbot.wait(50)
    assert not tabs_beside(dock)


def test_a_tab_has_room_for_its_own_name(
    make_napari_viewer: Callable[..., Any],
    host: Any,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_host, "_host", host)
    viewer = make_napari_viewer(show=True)
    dock, _ = viewer.window.add_plugin_dock_widget("napari-unet-live", "Evaluate")
    qtbot.waitUntil(lambda: dock.windowTitle() == "Evaluate", timeout=LONG)
