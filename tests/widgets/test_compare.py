"""*Compare networks*: a window of *Train U-Net*."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_unet.config import training_config
from napari_unet.data.classes import make_classes
from napari_unet.engine.compare_task import compare_networks
from napari_unet.engine.context import TaskContext
from napari_unet.errors import AnnotationError
from napari_unet.widgets.compare import CompareWindow
from napari_unet.widgets.compare_plot import ComparePlot, limits
from napari_unet.widgets.compare_run import CompareRun
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.session import Session
from napari_unet.widgets.style import DARK, LIGHT
from napari_unet.widgets.train import TrainWidget
from napari_unet.widgets.training_run import TrainingRequest


def request() -> TrainingRequest:
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 80), np.int32)
    labels[16:40, 20:60] = 1
    image = (rng.random(labels.shape) + labels).astype(np.float32)
    shot = ImageSnapshot(
        (image,), Reading("YX", 2), (1.0, 1.0), "pixel", "cells", {"scale": (1.0, 1.0)}
    )
    config = training_config(
        annotation="complete", device="cpu", base_channels=4, max_steps=2,
        batch_size=2, patch_size=(32, 32),
    )  # fmt: skip
    return TrainingRequest(shot, labels, config, make_classes([0, 1], 0), "m")


def result(network: str, score: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "network": network,
        "title": network.upper(),
        "score": score,
        "score_name": "mean Dice",
        "steps": 1200,
        "parameters": 1_920_000,
        "flops_per_pixel": 65_536.0,
        "seconds_per_megapixel": 0.456,
        "bytes_per_pixel": 325.4,
        "curve": [(10.0, 0.3), (60.0, 0.7)],
        "ended": "time is up",
        "problem": "",
        **changes,
    }


def test_the_engine_trains_each_and_tells_plain_values() -> None:
    engine = MagicMock()
    run = CompareRun(engine)
    run.start(request(), ["unet", "light_unet"])
    _, params = engine.submit.call_args.args
    inputs = engine.submit.call_args.kwargs["inputs"]
    context = TaskContext(params, inputs, {}, run._on_event)
    messages: list[float | None] = []
    run.changed.connect(lambda: messages.append(run.progress))
    made = compare_networks(context)
    assert [r["network"] for r in run.results] == ["unet", "light_unet"]
    assert made["networks"] == run.results
    assert max(m for m in messages if m is not None) == 1
    for one in run.results:
        assert one["steps"] == 2
        assert 0 <= one["score"] <= 1
        assert one["parameters"] > 1000
        assert one["seconds_per_megapixel"] > 0
    run._on_event({"event": "StateChanged", "state": "done", "result": made})
    assert run.state == "done"
    assert run.best in ("unet", "light_unet")


@pytest.fixture
def window(qtbot: Any) -> CompareWindow:
    made = CompareWindow(CompareRun(MagicMock()), request)
    qtbot.addWidget(made)
    return made


def tick(window: CompareWindow, *names: str) -> None:
    for n in range(window.networks.count()):
        item = window.networks.item(n)
        wanted = item.data(Qt.ItemDataRole.UserRole) in names
        state = Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked
        item.setCheckState(state)


@pytest.mark.viewer
def test_minutes_and_networks_reach_the_engine(window: CompareWindow) -> None:
    tick(window, "unet", "hrnet")
    window.minutes.setValue(3)
    assert "About 6 minutes" in window.length.text()
    window.panel.button.click()
    _, params = window.run._engine.submit.call_args.args  # type: ignore[attr-defined]
    assert params["networks"] == ["unet", "hrnet"]
    assert params["config"]["minutes"] == 3
    # A number of steps in the form would overrule the minutes.
    assert params["config"]["max_steps"] is None


@pytest.mark.viewer
def test_nothing_ticked_is_told(window: CompareWindow) -> None:
    tick(window)
    assert "Tick at least one network" in window.panel.problem.text()
    assert not window.panel.button.isEnabled()


@pytest.mark.viewer
def test_what_is_wrong_in_the_form_is_told(qtbot: Any) -> None:
    def wrong() -> TrainingRequest:
        raise AnnotationError("There is no annotation yet.")

    made = CompareWindow(CompareRun(MagicMock()), wrong)
    qtbot.addWidget(made)
    assert made.panel.problem.text() == "There is no annotation yet."


@pytest.mark.viewer
def test_the_best_is_selected_and_another_can_be_picked(window: CompareWindow) -> None:
    window.panel.button.click()
    done = [
        result("unet", 0.8),
        result("light_unet", 0.9, seconds_per_megapixel=None),
        result(
            "hrnet",
            None,
            problem="Memory ran out.",
            parameters=0,
            steps=0,
            flops_per_pixel=0.0,
            seconds_per_megapixel=None,
            bytes_per_pixel=None,
            curve=[],
        ),
    ]
    for one in done:
        window.run._on_event({"event": "NetworkDone", "result": one})
    window.run._on_event(
        {"event": "StateChanged", "state": "done", "result": {"networks": done}}
    )
    texts = [
        [window.table.item(row, c).text() for c in range(7)] for row in range(3)
    ]  # fmt: skip
    assert texts[0] == ["UNET", "0.800", "1.92 M", "65.5", "0.46", "325", "1,200"]
    assert texts[1][4] == ""
    assert texts[2] == ["HRNET", *[""] * 6]
    assert [title for title, _ in window.plot.series] == ["UNET", "LIGHT_UNET"]
    assert "HRNET: Memory ran out." in window.problems.text()
    header = window.table.horizontalHeaderItem(1)
    assert header is not None
    assert header.text() == "Mean Dice"
    picked: list[str] = []
    window.picked.connect(picked.append)
    window.pick.click()
    window.table.selectRow(2)
    assert not window.pick.isEnabled()
    window.table.selectRow(0)
    window.pick.click()
    assert picked == ["light_unet", "unet"]


@pytest.mark.viewer
def test_what_is_picked_is_trained(viewer: Any, host: Any, engine: Any) -> None:
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget, name="Train U-Net")
    assert widget.compare_button.isHidden()  # it learns live with one network
    widget.learn.value = False
    assert not widget.compare_button.isHidden()
    labels = np.zeros((64, 64), np.int32)
    labels[2:12], labels[20:40] = 1, 2
    viewer.add_image(np.random.default_rng(0).random((64, 64)), name="cells")
    widget.new_annotation()
    widget.annotation.layer.value.data = labels
    widget.check()
    widget.compare_button.click()
    assert widget.compare.isVisible()
    widget.compare.panel.button.click()
    assert engine.job.task == "compare_networks"
    widget.check()
    assert "being compared" in widget.panel.problem.text()
    engine.job.tell(event="NetworkDone", result=result("light_unet", 0.9))
    engine.job.end("done", result={"networks": [result("light_unet", 0.9)]})
    widget.compare.pick.click()
    assert not widget.compare.isVisible()
    assert widget.config().network == "light_unet"
    assert widget.panel.problem.text() == ""


@pytest.mark.viewer
@pytest.mark.parametrize(
    "series",
    [
        [],
        [("One", [(0.0, 0.0)])],
        [("One", [(1.0, float("nan")), (2.0, 0.4)]), ("None", [])],
        [(f"Network {n}", [(k, n / 20 + k / 99) for k in range(5)]) for n in range(11)],
    ],
)
def test_every_set_of_curves_can_be_drawn(series: Any, qtbot: Any) -> None:
    plot = ComparePlot()
    qtbot.addWidget(plot)
    plot.resize(420, 300)
    plot.show_series(series)
    assert plot.isHidden() is not any(len(c) for _, c in series)
    pictures = []
    for colors in (DARK, LIGHT):
        plot.set_colors(colors)
        pictures.append(plot.grab().toImage())
    assert pictures[0] != pictures[1]
    styles = {(p.color().name(), p.style()) for p in map(plot.pen, range(11))}
    assert len(styles) == 11


@pytest.mark.parametrize(
    ("points", "expected"),
    [([], (1e-9, 1.0)), ([(5.0, 0.43)], (5.0, 0.5)), ([(9.0, 0.99)], (9.0, 1.0))],
)
def test_axes_end_where_the_curves_do(points: Any, expected: Any) -> None:
    assert limits(points) == pytest.approx(expected)
