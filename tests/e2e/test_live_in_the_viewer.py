"""Painting while it learns, in a real viewer with the real engine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from skimage.draw import disk

from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

MINUTES = 10 * 60_000
"""A guard against hangs, in milliseconds; the tests need seconds."""


@pytest.fixture(scope="module")
def host(qapp: Any) -> Iterator[Any]:
    from napari_unet.engine.client import Engine
    from napari_unet.widgets.engine_host import EngineHost

    made = EngineHost(Engine(threads=1))
    made.start()
    yield made
    made.close()


@pytest.fixture
def train(make_napari_viewer: Callable[..., Any], host: Any) -> TrainWidget:
    viewer = make_napari_viewer()
    made = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


@pytest.fixture
def truth(train: TrainWidget) -> np.ndarray:
    """Bright disks in the viewer, a stroke on each of two and one between them."""
    rng = np.random.default_rng(0)
    truth = np.zeros((128, 160), bool)
    for row in range(16, 128, 32):
        for column in range(16, 160, 32):
            truth[disk((row, column), rng.integers(7, 11), shape=truth.shape)] = True
    image = 40 + 120 * truth + rng.normal(0, 12, truth.shape)
    train.viewer.add_image(image.clip(0, 255).astype(np.uint8), name="disks")
    train.annotation.task.value = "classes"
    train.new_annotation()
    annotation = train.annotation.layer.value
    annotation.brush_size = 6
    for point, value in (((16, 16), 2), ((80, 80), 2), ((32, 32), 1), ((96, 64), 1)):
        annotation.paint(point, value)
    train.check()
    return truth


def shown_iou(train: TrainWidget, truth: np.ndarray) -> float:
    """How well the preview agrees with the truth where it lies."""
    preview = train.live.view.preview
    if preview is None or preview.layer is None or preview.box is None:
        return 0.0
    part = truth[tuple(slice(*span) for span in preview.box)]
    found = np.asarray(preview.layer.data) == 2
    return float((found & part).sum() / max((found | part).sum(), 1))


def knows(train: TrainWidget, serial: int) -> Callable[[], bool]:
    """Whether a preview has come that knows these strokes."""
    run = train.live.run
    return lambda: run.preview is not None and run.preview.serial >= serial


def test_strokes_are_learnt_while_they_are_painted(
    train: TrainWidget, truth: np.ndarray, qtbot: Any
) -> None:
    torch_before = "torch" in sys.modules  # other tests of this process may need it
    run, annotation = train.live.run, train.annotation.layer.value
    train.live.main.click()
    qtbot.waitUntil(lambda: shown_iou(train, truth) > 0.6, timeout=MINUTES)
    annotation.paint((64, 48), 1)
    qtbot.waitUntil(lambda: run.serial == 2, timeout=MINUTES)
    qtbot.waitUntil(knows(train, 2), timeout=MINUTES)
    annotation.undo()
    qtbot.waitUntil(knows(train, 3), timeout=MINUTES)
    assert train.viewer.layers.selection.active is annotation

    run.pause()
    qtbot.waitUntil(lambda: run.mode == "paused", timeout=MINUTES)
    run.go_on()
    qtbot.waitUntil(lambda: run.mode != "paused", timeout=MINUTES)

    train.live.map.value = ("probability", 1)

    def map_shown() -> bool:
        return any("probability" in layer.name for layer in train.viewer.layers)

    qtbot.waitUntil(map_shown, timeout=MINUTES)
    run.stop()
    qtbot.waitUntil(lambda: not run.active, timeout=MINUTES)
    assert run.state == "stopped", run.message
    assert run.model_path is not None
    assert run.model_path.exists()
    assert ("torch" in sys.modules) == torch_before


def test_an_engine_that_is_killed_leaves_the_annotation_and_trains_again(
    train: TrainWidget, host: Any, truth: np.ndarray, qtbot: Any
) -> None:
    run, annotation = train.live.run, train.annotation.layer.value
    before = annotation.data.copy()
    train.train()
    qtbot.waitUntil(knows(train, 1), timeout=MINUTES)
    os.kill(host.engine.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    qtbot.waitUntil(lambda: not run.active, timeout=MINUTES)
    assert run.state == "crashed"
    assert "press Train" in train.live.status.text()
    np.testing.assert_array_equal(annotation.data, before)
    train.train()
    qtbot.waitUntil(knows(train, 1), timeout=MINUTES)
    run.stop()
    qtbot.waitUntil(lambda: not run.active, timeout=MINUTES)
