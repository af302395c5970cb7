"""The whole way in a real viewer with the real engine: paint, train, predict, edit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from napari.layers import Labels
from skimage.draw import disk

from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

MINUTES = 3 * 60_000
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
def session() -> Session:
    return Session()


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any], host: Any) -> Any:
    return make_napari_viewer()


@pytest.fixture
def train(viewer: Any, host: Any, session: Session) -> TrainWidget:
    made = TrainWidget(viewer, host, session)
    made.learn.value = False
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


@pytest.fixture
def predict(viewer: Any, host: Any, session: Session) -> PredictWidget:
    made = PredictWidget(viewer, host, session)
    viewer.window.add_dock_widget(made, name="Predict U-Net")
    return made


def bright_disks(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy image of bright disks on a dark ground, Y X, and the exact truth."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((96, 128), np.int32)
    for number in range(12):
        row, column = divmod(number, 4)
        center = (16 + 32 * row + rng.integers(-4, 5), 16 + 32 * column)
        truth[disk(center, rng.integers(7, 11), shape=truth.shape)] = number + 1
    image = 40 + 120 * (truth > 0) + rng.normal(0, 12, truth.shape)
    return image.clip(0, 255).astype(np.uint8), truth


PLACE: dict[str, Any] = {
    "scale": (0.5, 0.25),
    "translate": (10, 20),
    "rotate": 15,
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}


def paint(train: TrainWidget, task: str, steps: int) -> tuple[Any, np.ndarray]:
    """Open an image, paint half of it and leave Train ready to be pressed."""
    image, truth = bright_disks()
    layer = train.viewer.add_image(image, name="disks", **PLACE)
    train.annotation.task.value = task
    train.new_annotation()
    annotation = train.annotation.layer.value
    labels = np.zeros_like(truth)
    half = (slice(None), slice(0, 96))
    labels[half] = np.where(
        truth[half] > 0, 2 if task == "classes" else truth[half] + 1, 1
    )
    annotation.data = labels
    for name, value in {
        "max_steps": str(steps),
        "base_channels": "8",
        "levels": "3",
        "patch_size": "64 64",
        "batch_size": "4",
        "device": "cpu",
        "precision": "float32",
    }.items():
        train.advanced.field(name).value = value
    train.check()
    assert train.panel.button.isEnabled(), train.panel.problem.text()
    return layer, truth


def ended(widget: Any) -> Callable[[], bool]:
    return lambda: widget.run.state not in ("idle", "running", "stopping")


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_paint_train_predict_edit(
    train: TrainWidget, predict: PredictWidget, qtbot: Any
) -> None:
    torch_before = "torch" in sys.modules  # other tests of this process may need it
    layer, truth = paint(train, "classes", steps=150)
    train.panel.button.click()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "done", train.run.message
    steps = list(train.run.curve.steps)
    # It may end early, once the score has not improved for long.
    assert steps == list(range(1, len(steps) + 1))
    assert 100 < len(steps) <= 150
    assert train.run.model_path is not None
    assert train.run.model_path.exists()

    assert predict.model.path() == train.run.model_path
    assert predict.image.layers() == [layer]
    predict.panel.button.click()
    qtbot.waitUntil(ended(predict), timeout=MINUTES)
    assert predict.run.state == "done", predict.run.message
    labels = train.viewer.layers[-1]
    assert isinstance(labels, Labels)
    assert labels.data.dtype == np.int32
    assert set(np.unique(labels.data)) == {0, 2}
    assert iou(labels.data > 0, truth > 0) > 0.9
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(labels, name), getattr(layer, name))
    assert (labels.units, labels.axis_labels) == (layer.units, layer.axis_labels)
    labels.paint((2, 2), 7)
    assert labels.data[2, 2] == 7
    assert ("torch" in sys.modules) == torch_before


def test_objects_and_the_current_view(
    train: TrainWidget, predict: PredictWidget, qtbot: Any
) -> None:
    layer, truth = paint(train, "objects", steps=150)
    train.train()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "done", train.run.message
    predict.region.value = "view"
    predict.probabilities.value = True
    layer.corner_pixels = np.array([[8, 16], [71, 111]])
    predict.predict()
    qtbot.waitUntil(ended(predict), timeout=MINUTES)
    assert predict.run.state == "done", predict.run.message
    labels = train.viewer.layers[-1]
    assert labels.data.shape == (64, 96)
    np.testing.assert_allclose(
        labels.data_to_world((1, 2)), layer.data_to_world((9, 18))
    )
    assert iou(labels.data > 0, truth[8:72, 16:112] > 0) > 0.8
    maps = [x for x in train.viewer.layers if "centre distance" in x.name]
    assert maps[0].data.shape == (64, 96)
    assert 0 <= maps[0].data.min() <= maps[0].data.max() <= 1.01


def test_an_engine_that_is_killed_leaves_everything_as_it_was(
    train: TrainWidget, host: Any, qtbot: Any
) -> None:
    paint(train, "classes", steps=100_000)
    annotation = train.annotation.layer.value
    layers, before = list(train.viewer.layers), annotation.data.copy()
    train.train()
    qtbot.waitUntil(lambda: len(train.run.curve.steps) > 3, timeout=MINUTES)
    process = host.engine.pid
    assert process is not None
    os.kill(process, getattr(signal, "SIGKILL", signal.SIGTERM))
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "crashed"
    sentence = train.panel.status.text()
    assert "engine" in sentence
    assert "Traceback" not in sentence
    assert list(train.viewer.layers) == layers
    np.testing.assert_array_equal(annotation.data, before)

    train.advanced.field("max_steps").value = "5"
    train.check()
    train.panel.button.click()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "done", train.run.message


def test_stop_keeps_the_model(train: TrainWidget, qtbot: Any) -> None:
    paint(train, "classes", steps=100_000)
    train.train()
    qtbot.waitUntil(lambda: len(train.run.curve.steps) > 3, timeout=MINUTES)
    qtbot.waitUntil(train.panel.button.isEnabled, timeout=MINUTES)
    train.panel.button.click()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "stopped", train.run.message
    assert train.run.model_path is not None
    assert train.run.model_path.exists()


def test_a_second_stop_ends_the_engine_and_nothing_else(
    train: TrainWidget, host: Any, qtbot: Any
) -> None:
    paint(train, "classes", steps=100_000)
    train.train()
    qtbot.waitUntil(lambda: len(train.run.curve.steps) > 3, timeout=MINUTES)
    before = host.engine.pid
    train.run.stop()
    train.run.stop()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "stopped", train.run.message
    assert len(train.viewer.layers) == 2

    train.advanced.field("max_steps").value = "3"
    train.train()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "done", train.run.message
    assert host.engine.pid != before


def test_a_stack_with_a_2d_model(
    train: TrainWidget, predict: PredictWidget, qtbot: Any
) -> None:
    paint(train, "classes", steps=20)
    train.train()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "done", train.run.message
    image, _ = bright_disks()
    stack = train.viewer.add_image(np.stack([image] * 3), scale=(3, 1, 1))
    predict.image.set_layers([stack])
    train.viewer.dims.set_current_step(0, 2)
    train.viewer.reset_view()  # older naparis look at the first layer still
    for region, shape in (("whole", (3, 96, 128)), ("view", (1, 96, 128))):
        predict.region.value = region
        predict.predict()
        qtbot.waitUntil(ended(predict), timeout=MINUTES)
        assert predict.run.state == "done", predict.run.message
        labels = train.viewer.layers[-1]
        assert labels.data.shape == shape
    np.testing.assert_allclose(labels.translate, (6, 0, 0))


def painted_like(shape: tuple[int, ...]) -> np.ndarray:
    labels = np.ones(shape, np.int32)
    labels[..., 10:40, 10:40] = 2
    return labels


def noisy(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels_shape", "reading"),
    [
        ([noisy(8, 48, 48)], (8, 48, 48), "depth (Z): 3D network"),
        ([noisy(3, 48, 48)], (3, 48, 48), "time (T): 2D network"),
        ([noisy(2, 48, 48)], (48, 48), "channels (C): 2D network"),
        ([noisy(48, 48, 3)], (48, 48), "2D network"),
        ([noisy(48, 48), noisy(48, 48)], (48, 48), "2D network"),
        ([noisy(2, 8, 48, 48)], (2, 8, 48, 48), "time (T), depth (Z): 3D network"),
    ],
)
def test_every_kind_of_image(
    train: TrainWidget,
    predict: PredictWidget,
    qtbot: Any,
    images: list[np.ndarray],
    labels_shape: tuple[int, ...],
    reading: str,
) -> None:
    layers = [train.viewer.add_image(image) for image in images]
    train.image.set_layers(layers)
    (chosen,) = (r for r in train.image.reading.choices if r.text == reading)
    train.image.reading.value = chosen
    train.annotation.task.value = "classes"
    train.new_annotation()
    annotation = train.annotation.layer.value
    assert annotation.data.shape == labels_shape
    annotation.data = painted_like(labels_shape)
    for name, value in {"max_steps": "2", "base_channels": "4", "levels": "2"}.items():
        train.advanced.field(name).value = value
    train.train()
    qtbot.waitUntil(ended(train), timeout=MINUTES)
    assert train.run.state == "done", train.run.message + train.panel.problem.text()
    predict.image.set_layers(layers)
    for region in ("whole", "view"):
        predict.region.value = region
        predict.predict()
        qtbot.waitUntil(ended(predict), timeout=MINUTES)
        assert predict.run.state == "done", predict.run.message
        made = train.viewer.layers[-1]
        assert made.data.ndim == len(labels_shape)
        if region == "whole":
            assert made.data.shape == labels_shape


CLOSE_WHILE_TRAINING = """
import sys
import napari, numpy as np
from qtpy.QtCore import QTimer
viewer = napari.Viewer()
viewer.add_image(np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8))
_, train = viewer.window.add_plugin_dock_widget("napari-unet-live", "Train U-Net")
viewer.window.add_plugin_dock_widget("napari-unet-live", "Predict U-Net")
train.learn.value = False
train.annotation.task.value = "classes"
train.new_annotation()
labels = np.ones((64, 64), np.int32)
labels[10:30, 10:30] = 2
train.annotation.layer.value.data = labels

def close_once_it_trains():
    if len(train.run.curve.steps) > 2:
        print(train.host.engine.pid, flush=True)
        timer.stop()
        viewer.close()

timer = QTimer()
timer.timeout.connect(close_once_it_trains)
timer.start(50)
train.train()
napari.run()
assert "torch" not in sys.modules
print("ended", flush=True)
"""


def test_the_program_ends_while_training() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CLOSE_WHILE_TRAINING],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    pid, ended_line = done.stdout.split()
    assert ended_line == "ended"
    assert "Error" not in done.stderr
    assert not psutil.pid_exists(int(pid))
