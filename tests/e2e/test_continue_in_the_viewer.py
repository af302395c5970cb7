"""A viewer that is killed while it learns, and another one that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from safetensors.numpy import load

from napari_unet.live.annotation_store import load_annotation
from napari_unet.live.project_info import (
    RUN_NAME,
    is_open,
    list_projects,
    read_info,
)
from napari_unet.models.library import project_folder
from napari_unet.widgets.annotation_layer import class_names
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

MINUTES = 3 * 60_000
"""A guard against hangs, in milliseconds; the test needs seconds."""

SHAPE = (64, 96)

FIRST_VIEWER = """
import sys
import napari
import numpy as np
from qtpy.QtCore import QTimer
from napari_unet.engine.client import Engine
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.annotation_layer import color_class, name_class
from napari_unet.widgets.train import TrainWidget

viewer = napari.Viewer(show=False)
host = EngineHost(Engine(threads=1))
host.start()
train = TrainWidget(viewer, host)
viewer.window.add_dock_widget(train)
rng = np.random.default_rng(0)
image = rng.integers(40, 60, {shape}, np.uint8)
image[:, 48:] += 100
viewer.add_image(image, name="halves", scale=(0.5, 0.5), colormap="green")
train.annotation.task.value = "classes"
train.new_annotation()
layer = train.annotation.layer.value
layer.brush_size = 3
for row in range(4, 64, 6):
    layer.paint((row, 20), 1)
    layer.paint((row, 70), 2)
name_class(layer, 2, "right")
color_class(layer, 2, "#123456")
train.advanced.field("weight_decay").value = "0.02"
train.check()
train.train()
run = train.live.run
state = {{"painted": False}}

def look():
    if run.state == "failed":
        print("failed", run.message, flush=True)
    elif not state["painted"] and run.curve.steps and run.curve.steps[-1] > 5:
        state["painted"] = True
        layer.paint((10, 40), 1)
    elif state["painted"] and run.preview and run.preview.serial == 2:
        print("engine", host.engine.pid, flush=True)
        timer.stop()

timer = QTimer()
timer.timeout.connect(look)
timer.start(50)
napari.run()
"""


@pytest.fixture
def host(qapp: Any) -> Iterator[Any]:
    from napari_unet.engine.client import Engine
    from napari_unet.widgets.engine_host import EngineHost

    made = EngineHost(Engine(threads=1))
    made.start()
    yield made
    made.close()


def killed_viewer() -> None:
    """Run the first viewer until it learnt, kill it, and wait for its engine."""
    code = FIRST_VIEWER.format(shape=SHAPE)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        word, _, value = child.stdout.readline().partition(" ")
        assert word == "engine", value
        engine = psutil.Process(int(value))
        os.kill(child.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        psutil.wait_procs([engine], timeout=MINUTES / 1000)
    finally:
        child.kill()
        child.communicate()


def held_out_strokes(folder: Path) -> set[tuple[int, int]]:
    """Pixel and stroke number of everything that only measures."""
    with zipfile.ZipFile(folder / RUN_NAME) as archive:
        tensors = load(archive.read("tensors.safetensors"))
    return {tuple(pair) for pair in tensors["held_out.0"].T.tolist()}


def test_a_killed_viewer_loses_nothing(
    make_napari_viewer: Callable[..., Any], host: Any, qtbot: Any, model_folder: Path
) -> None:
    killed_viewer()
    (folder,) = list_projects(project_folder())
    assert not is_open(folder)
    held_out = held_out_strokes(folder)
    assert held_out
    kept = load_annotation(folder)
    assert kept[10, 40] == 1  # painted a moment before the end

    viewer = make_napari_viewer()
    train = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(train, name="Train U-Net")
    assert "halves" in train.again.which.text()
    train.again.button.click()
    run, layer = train.live.run, train.annotation.layer.value
    assert run.active, train.again.problem.text()
    assert viewer.layers["halves"].data.shape == SHAPE
    assert viewer.layers["halves"].colormap.name == "green"
    np.testing.assert_allclose(viewer.layers["halves"].scale, 0.5)
    np.testing.assert_allclose(layer.scale, 0.5)
    np.testing.assert_array_equal(layer.data, kept)
    assert class_names(layer)[2] == "right"
    assert train.config().weight_decay == 0.02
    assert run.classes is not None
    assert run.classes[1].color == "#123456"

    qtbot.waitUntil(lambda: bool(run.curve.steps), timeout=MINUTES)
    begun = run.curve.steps[0]
    assert begun > 5  # the weights are those of the first viewer
    qtbot.waitUntil(lambda: run.curve.steps[-1] > begun, timeout=MINUTES)
    assert not run.notices
    run.stop()
    qtbot.waitUntil(lambda: not run.active, timeout=MINUTES)
    assert run.state == "stopped", run.message
    assert held_out <= held_out_strokes(folder)

    # The same again, with everything still open: no layer comes twice.
    layer.paint((50, 40), 1)
    before = set(viewer.layers)
    train.again.button.click()
    assert run.active, train.again.problem.text()
    assert train.annotation.layer.value is layer
    qtbot.waitUntil(lambda: bool(run.curve.steps), timeout=MINUTES)
    named = [x.name for x in viewer.layers if x not in before]
    assert all("preview" in name for name in named)
    assert run.curve.steps[0] >= begun
    train.keeper.wait()
    assert read_info(folder).annotation.name == layer.name
    run.stop()
    qtbot.waitUntil(lambda: not run.active, timeout=MINUTES)
    assert load_annotation(folder)[50, 40] == 1
