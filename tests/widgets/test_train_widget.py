"""The *Train U-Net* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_unet.networks.info import NetworkInfo
from napari_unet.widgets.edit_layers import Original, remember_original
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def widget(viewer: Any, host: Any, session: Session) -> TrainWidget:
    made = TrainWidget(viewer, host, session)
    made.learn.value = False  # learning while painting: test_live_training.py
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


def painted(shape: tuple[int, ...] = (64, 64)) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    labels[..., 2:12, 2:12] = 1
    labels[..., 20:40, 20:40] = 2
    labels[..., 45:60, 45:60] = 3
    return labels


def pixels(shape: tuple[int, ...] = (64, 64)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def test_a_result_is_an_annotation_only_if_somebody_says_so(
    widget: TrainWidget,
) -> None:
    """As when the model that comes with the program was tried before."""
    widget.viewer.add_image(pixels(), name="cells")
    result = Labels(painted(), name="cells nuclei")
    whole = tuple((0, n) for n in result.data.shape)
    original = Original(result.data.copy(), whole, result.data.shape, "objects", {})
    remember_original(result, original)
    widget.viewer.add_layer(result)
    assert widget.annotation_layer() is None
    assert "press New" in problem(widget)
    widget.new_annotation()
    made = widget.annotation_layer()
    assert made is not None
    assert made is not result
    widget.viewer.layers.remove(made)
    assert widget.annotation_layer() is None
    widget.annotation.choose(result)
    widget.viewer.add_image(pixels(), name="another")
    assert widget.annotation_layer() is result
    assert "under Rule" in problem(widget)


def ready(widget: TrainWidget) -> None:
    """Add an image and a painted annotation."""
    widget.viewer.add_image(pixels(), name="cells")
    widget.new_annotation()
    widget.annotation.layer.value.data = painted()
    widget.check()
    assert widget.panel.button.isEnabled(), problem(widget)


def problem(widget: TrainWidget) -> str:
    widget.check()
    return str(widget.panel.problem.text())


def test_an_empty_viewer_is_told_what_to_do(widget: TrainWidget) -> None:
    assert problem(widget) == "There is no image: open one and choose it."
    assert not widget.panel.button.isEnabled()


def test_an_image_alone_needs_an_annotation(widget: TrainWidget) -> None:
    widget.viewer.add_image(pixels())
    assert "press New" in problem(widget)


def test_a_new_annotation_is_chosen_and_selected(widget: TrainWidget) -> None:
    image = widget.viewer.add_image(pixels(), scale=(0.5, 0.5), translate=(7, 8))
    widget.annotation.new.native.click()
    layer = widget.annotation.layer.value
    assert layer is widget.viewer.layers.selection.active
    np.testing.assert_allclose(layer.translate, image.translate)
    assert widget.annotation.chosen_rule() == "sparse"
    assert not widget.panel.button.isEnabled()  # nothing is painted yet
    assert problem(widget)


def test_nothing_is_assumed_about_other_labels(widget: TrainWidget) -> None:
    widget.viewer.add_image(pixels())
    labels = widget.viewer.add_labels(painted(), name="mask")
    assert "what 0 means in 'mask'" in problem(widget)
    assert not widget.panel.button.isEnabled()
    assert "If sparse: " in widget.annotation.summary.text()
    widget.annotation.rule.value = "complete"
    assert problem(widget) == ""
    assert widget.panel.button.isEnabled()
    widget.viewer.layers.remove(labels)
    widget.viewer.add_layer(labels)
    assert widget.annotation.chosen_rule() == "complete"  # remembered


def test_a_stroke_enables_train(widget: TrainWidget, qtbot: Any) -> None:
    widget.viewer.add_image(pixels())
    widget.annotation.task.value = "classes"
    widget.new_annotation()
    layer = widget.annotation.layer.value
    layer.paint((30, 30), 2)
    layer.paint((10, 10), 1)
    qtbot.waitUntil(lambda: widget.panel.button.isEnabled(), timeout=10_000)
    layer.undo()
    layer.undo()
    qtbot.waitUntil(lambda: not widget.panel.button.isEnabled(), timeout=10_000)


def test_wrong_shapes_are_told(widget: TrainWidget) -> None:
    widget.viewer.add_image(pixels(), name="cells")
    widget.viewer.add_labels(painted((64, 64))[:50])
    assert "shape" in problem(widget)


def test_wrong_numbers_are_told(widget: TrainWidget) -> None:
    ready(widget)
    widget.advanced.field("levels").value = "99"
    assert problem(widget).startswith("Levels cannot be '99'")
    widget.advanced.field("levels").value = ""
    assert problem(widget) == ""


def test_what_is_chosen_reaches_the_engine(widget: TrainWidget, engine: Any) -> None:
    ready(widget)
    widget.annotation.task.value = "classes"
    widget.preset.value = "fast"
    widget.advanced.field("max_steps").value = "7"
    widget.name.value = "my cells"
    widget.panel.button.click()
    params = engine.job.params
    assert params["config"]["preset"] == "fast"
    assert params["config"]["max_steps"] == 7
    assert params["config"]["annotation"] == "sparse"
    assert [c["value"] for c in params["classes"]] == [1, 2, 3]
    assert Path(params["model_path"]).name == "my cells.bioimage.io.zip"
    assert (engine.job.inputs["annotation"] == painted()).all()


def test_two_layers_are_two_channels(widget: TrainWidget, engine: Any) -> None:
    ready(widget)
    other = widget.viewer.add_image(pixels(), name="membrane")
    first = widget.viewer.layers["cells"]
    widget.image.set_layers([first, other])
    widget.train()
    assert engine.job.params["name"] == "cells + membrane"
    assert set(engine.job.inputs) == {"image0", "image1", "annotation"}
    widget.viewer.layers.remove(other)
    assert widget.image.layers() == [first]


def test_a_stack_can_be_planes(widget: TrainWidget, engine: Any) -> None:
    widget.viewer.add_image(pixels((4, 64, 64)))
    assert not widget.image.reading.native.isHidden()
    widget.new_annotation()
    widget.annotation.layer.value.data = painted((4, 64, 64))
    widget.image.reading.value = widget.image.reading.choices[1]
    widget.check()
    widget.train()
    assert (engine.job.params["axes"], engine.job.params["ndim"]) == ("ZYX", 2)


def test_a_run_is_shown(widget: TrainWidget, engine: Any, qtbot: Any) -> None:
    ready(widget)
    button, status = widget.panel.button, widget.panel.status
    button.click()
    assert button.text() == "Stop"
    job = engine.job
    job.tell("Started", device="CUDA", plan={}, notes=["A note."])
    job.tell("StepDone", step=1, loss=0.5, progress=0.5, seconds_left=30.0)
    qtbot.waitUntil(lambda: "30 seconds" in status.text(), timeout=10_000)
    assert widget.panel.bar.value() == 500
    assert widget.panel.notices.text() == "A note."
    assert "CUDA" in widget.device.text()
    assert not widget.plot.isHidden()
    qtbot.waitUntil(button.isEnabled, timeout=10_000)
    button.click()
    assert button.text() == "Stop at once"
    job.end("done", stopped=True, result={"model_path": "/m/cells.bioimage.io.zip"})
    assert button.text() == "Train"
    assert "'cells' is saved" in status.text()


def test_a_double_click_does_not_stop_what_it_started(
    widget: TrainWidget, engine: Any, qtbot: Any
) -> None:
    ready(widget)
    widget.panel.button.click()
    widget.panel.button.click()
    assert widget.run.state == "running"
    qtbot.waitUntil(widget.panel.button.isEnabled, timeout=10_000)
    widget.panel.button.click()
    widget.panel.button.click()
    assert engine.job.stops == 1  # a second stop would kill the engine
    qtbot.waitUntil(widget.panel.button.isEnabled, timeout=10_000)
    widget.panel.button.click()
    assert engine.job.stops == 2


def test_a_crash_is_one_sentence_and_train_works_again(
    widget: TrainWidget, engine: Any
) -> None:
    ready(widget)
    layers = list(widget.viewer.layers)
    before = widget.annotation.layer.value.data.copy()
    widget.train()
    engine.job.end("crashed", error="The engine process ended: press Train.")
    assert widget.panel.status.text() == "The engine process ended: press Train."
    assert list(widget.viewer.layers) == layers
    np.testing.assert_array_equal(widget.annotation.layer.value.data, before)
    assert widget.panel.button.isEnabled()
    widget.panel.button.click()
    assert len(engine.jobs) == 2


def test_layers_may_go_and_change_while_training(
    widget: TrainWidget, engine: Any
) -> None:
    ready(widget)
    widget.train()
    widget.viewer.layers["cells"].name = "other"
    widget.viewer.layers.clear()
    engine.job.tell("StepDone", step=1, loss=0.5, progress=0.5, seconds_left=30.0)
    engine.job.end("done", result={"model_path": "/m/cells.bioimage.io.zip"})
    assert widget.run.state == "done"
    assert "no image" in problem(widget)


def test_renamed_layers_are_offered_by_their_new_name(widget: TrainWidget) -> None:
    ready(widget)
    widget.viewer.layers["cells"].name = "nuclei"
    assert widget.image.image.native.currentText() == "nuclei"


@pytest.mark.parametrize("way", ["dock closed", "deleted"])
def test_the_widget_can_go_while_training(
    widget: TrainWidget, engine: Any, qtbot: Any, way: str
) -> None:
    ready(widget)
    widget.train()
    viewer = widget.viewer
    if way == "deleted":
        with qtbot.waitSignal(widget.destroyed, timeout=10_000):
            widget.deleteLater()
    else:
        viewer.window.remove_dock_widget(widget)
    assert engine.job.stops == 1  # the best weights are kept
    engine.job.tell("StepDone", step=1, loss=0.5, progress=0.5, seconds_left=30.0)
    engine.job.end("done", result={"model_path": "/m/cells.bioimage.io.zip"})
    viewer.add_image(pixels())
    viewer.theme = "light"


def test_the_viewer_can_close_while_training(
    widget: TrainWidget, engine: Any, host: Any, qtbot: Any
) -> None:
    ready(widget)
    widget.train()
    with qtbot.waitSignal(widget.destroyed, timeout=10_000):
        widget.viewer.close()
    engine.job.tell("StepDone", step=1, loss=0.5, progress=0.5, seconds_left=30.0)
    engine.device = "another device"
    host._poll()
    engine.job.end("done", result={"model_path": "/m/cells.bioimage.io.zip"})


def test_closed_widgets_are_not_kept(viewer: Any, host: Any, session: Session) -> None:
    made = TrainWidget(viewer, host, session)
    viewer.window.add_dock_widget(made)
    viewer.window.remove_dock_widget(made)
    gone = weakref.ref(made)
    del made
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert gone() is None


def test_themes_change_colours(widget: TrainWidget) -> None:
    dark = widget.panel.problem.styleSheet()
    widget.viewer.theme = "light"
    assert widget.panel.problem.styleSheet() != dark


def test_two_viewers_have_widgets_of_their_own(
    widget: TrainWidget,
    make_napari_viewer: Callable[..., Any],
    host: Any,
    session: Session,
) -> None:
    second = make_napari_viewer()
    other = TrainWidget(second, host, session)
    second.window.add_dock_widget(other)
    ready(widget)
    assert other.image.layers() == []
    widget.train()
    assert not other.run.active


def test_a_complete_training_can_begin_with_any_model_of_ours(
    widget: TrainWidget, engine: Any, write_model: Any
) -> None:
    deep = write_model("deep", spatial="ZYX", n_channels=3)
    other = write_model("other", network=NetworkInfo(name="bioimageio", arguments={}))
    ready(widget)
    widget.start_from.refresh()
    box = widget.start_from.box
    assert box.native.currentText() == "From scratch"
    assert "auto" not in box.choices
    box.value = other
    assert "comes from another program" in problem(widget)
    box.value = deep
    assert problem(widget) == ""
    widget.panel.button.click()
    assert engine.job.params["start"] == {"kind": "model", "path": str(deep)}


def test_automatic_comes_back_with_learning_while_painting(widget: TrainWidget) -> None:
    box = widget.start_from.box
    widget.learn.value = True
    assert box.value == "auto"
    widget.learn.value = False
    assert box.value == "scratch"
    widget.learn.value = True
    assert box.value == "auto"
    box.value = "scratch"
    widget.learn.value = False
    widget.learn.value = True
    assert box.value == "scratch"
