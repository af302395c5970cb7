"""*Health*: the engine looks, and a process of its own where the engine cannot."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QApplication

from napari_unet.doctor import Finding, format_report
from napari_unet.widgets.health import SECONDS, HealthWidget
from napari_unet.widgets.style import Message

pytestmark = pytest.mark.viewer

FOUND = [
    {"name": "torch", "value": "2.13.0 for CPU", "status": "ok", "advice": ""},
    {
        "name": "NVIDIA card",
        "value": "T4: not used",
        "status": "warn",
        "advice": "Update the driver.",
    },
    {"name": "Install line", "value": "pip install it", "status": "ok", "advice": ""},
]


@pytest.fixture
def widget(viewer: Any, host: Any) -> HealthWidget:
    made = HealthWidget(viewer, host)
    viewer.window.add_dock_widget(made, name="Health")
    QApplication.sendEvent(made, QShowEvent())  # the window of tests is not shown
    return made


def clipboard() -> str:
    board = QApplication.clipboard()
    return "" if board is None else board.text()


def looked(widget: HealthWidget, engine: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: bool(engine.jobs), timeout=20_000)
    engine.job.end("done", result={"findings": FOUND})


def test_it_looks_by_itself_and_without_measuring(
    widget: HealthWidget, engine: Any, qtbot: Any
) -> None:
    looked(widget, engine, qtbot)
    assert engine.job.task == "examine"
    assert engine.job.params == {"seconds": 0.0}
    said = [m.text() for m in widget.findChildren(Message) if m.isVisibleTo(widget)]
    assert "T4: not used" in said
    assert "Update the driver." in said
    assert "1 to improve" in widget.verdict.text()


def test_the_copied_text_is_that_of_the_command_line(
    widget: HealthWidget, engine: Any, qtbot: Any
) -> None:
    assert not widget.copy.isEnabled()
    looked(widget, engine, qtbot)
    widget.copy.click()
    assert clipboard() == format_report([Finding(**f) for f in FOUND])  # type: ignore[arg-type]
    widget.copy_line.click()
    assert clipboard() == "pip install it"


def test_the_speed_is_measured_when_asked(
    widget: HealthWidget, engine: Any, qtbot: Any
) -> None:
    looked(widget, engine, qtbot)
    widget.speed.value = True
    widget.panel.button.click()
    assert engine.job.params == {"seconds": SECONDS}
    engine.job.end("done", result={"findings": FOUND[:1]})
    assert widget.report() == format_report([Finding(**FOUND[0])])  # type: ignore[arg-type]
    assert not widget.copy_line.isEnabled()


def test_a_broken_engine_does_not_hide_the_report(
    widget: HealthWidget, engine: Any, qtbot: Any
) -> None:
    qtbot.waitUntil(lambda: bool(engine.jobs), timeout=20_000)
    engine.job.end("failed", error="PyTorch could not be loaded.")
    assert "PyTorch could not be loaded" in widget.panel.status.text()
    qtbot.waitUntil(lambda: bool(widget.plain), timeout=240_000)
    assert "Python" in widget.text.text()
    widget.copy.click()
    assert "Memory" in clipboard()


def test_it_can_close_while_it_looks(
    widget: HealthWidget, viewer: Any, engine: Any, qtbot: Any
) -> None:
    qtbot.waitUntil(lambda: bool(engine.jobs), timeout=20_000)
    viewer.window.remove_dock_widget(widget)
    assert engine.job.stops == 1
    engine.job.end("stopped")
