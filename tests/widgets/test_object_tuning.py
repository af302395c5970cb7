"""*Adjust objects* in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.widgets.object_tuning import NAME
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session

pytestmark = pytest.mark.viewer

Write = Callable[..., Any]

DECODER = DecoderInfo(foreground_threshold=0.4, prominence=0.2, min_size=20)


@pytest.fixture
def widget(viewer: Any, host: Any, write_model: Write) -> PredictWidget:
    viewer.add_image(
        np.zeros((64, 80)), name="cells", scale=(0.5, 0.5), units=("um", "um")
    )
    made = PredictWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Predict U-Net")
    made.model.choose(write_model("net", decoder=DECODER))
    return made


def answer(job: Any, labels: np.ndarray | None = None) -> None:
    """Do what was asked for last, as the engine would."""
    if labels is not None:
        job.outputs["labels"][...] = labels
    serial = job.sent[-1]["serial"]
    count = int(job.outputs["labels"].max())
    job.tell("Decoded", serial=serial, objects=count, seconds=0.01)


def test_the_model_s_settings_are_shown_and_change_nothing(
    widget: PredictWidget,
) -> None:
    controls = widget.tuning.controls
    assert controls.threshold.value == pytest.approx(0.4)
    assert controls.smallest.value == 20
    assert widget.tuning.wishes() == {}
    assert widget.request().params()["objects"] == {}
    assert not widget.tuning.keep.isEnabled()


def test_sizes_are_shown_in_micrometres_where_the_image_knows(
    widget: PredictWidget,
) -> None:
    controls = widget.tuning.controls
    controls.unit.value = "micrometer"
    assert controls.smallest.value == pytest.approx(5.0)
    assert widget.tuning.wishes() == {}
    controls.smallest.value = 7.5
    assert widget.tuning.wishes()["min_size"] == {
        "value": 7.5,
        "unit": "micrometer",
        "power": 2,
    }
    controls.unit.value = "pixels"
    assert controls.smallest.value == 30


def test_reset_goes_back_to_the_model_and_to_pixels(widget: PredictWidget) -> None:
    controls = widget.tuning.controls
    controls.unit.value = "micrometer"
    controls.smallest.value = 7.5
    controls.holes.value = True
    widget.tuning.reset.click()
    assert widget.tuning.wishes() == {}
    assert (controls.unit.value, controls.smallest.value) == ("pixels", 20)


def test_without_pixel_size_there_are_only_pixels(
    widget: PredictWidget, viewer: Any
) -> None:
    plain = viewer.add_image(np.zeros((64, 80)), name="plain")
    widget.image.image.value = plain
    assert list(widget.tuning.controls.unit.choices) == ["pixels"]


def test_a_move_of_a_slider_shows_objects_of_the_view(
    widget: PredictWidget, engine: Any, viewer: Any, qtbot: Any
) -> None:
    widget.tuning.controls.prominence.value = 0.3
    job = engine.job
    assert job.task == "tune"
    assert job.params["region"] is not None
    job.tell("StateChanged", state="running")
    job.tell("MapsReady")
    assert job.sent[-1]["settings"] == {"prominence": 0.3}
    labels = np.zeros_like(job.outputs["labels"])
    labels[10:20, 10:20] = 1
    answer(job, labels)
    layer = viewer.layers[NAME]
    np.testing.assert_array_equal(layer.data, labels)
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))
    assert not layer.editable
    assert "1 object in view" in widget.tuning.message.text()
    assert viewer.layers.selection.active.name == "cells"


def test_only_the_last_settings_are_sent_while_others_are_at_work(
    widget: PredictWidget, engine: Any, qtbot: Any
) -> None:
    widget.tuning.preview.setChecked(True)
    job = engine.job
    job.tell("MapsReady")
    assert len(job.sent) == 1
    for value in (0.5, 0.6, 0.7):
        widget.tuning.controls.threshold.value = value
        widget.tuning._ask()
    assert len(job.sent) == 1
    answer(job)
    assert len(job.sent) == 2
    assert job.sent[-1]["settings"] == {"foreground_threshold": 0.7}
    answer(job)
    assert len(job.sent) == 2


def test_refused_settings_are_told_and_the_preview_goes_on(
    widget: PredictWidget, engine: Any
) -> None:
    widget.tuning.preview.setChecked(True)
    job = engine.job
    job.tell("MapsReady")
    serial = job.sent[-1]["serial"]
    job.tell("Refused", serial=serial, text="The largest object must not be smaller.")
    assert "must not be smaller" in widget.tuning.message.text()
    widget.tuning._ask()
    answer(job)
    assert "must not" not in widget.tuning.message.text()


def test_apply_segments_the_whole_image_with_the_settings(
    widget: PredictWidget, engine: Any, viewer: Any
) -> None:
    widget.region.value = "view"
    widget.tuning.controls.holes.value = True
    widget.tuning.apply.click()
    job = engine.job
    assert job.task == "predict"
    assert job.params["region"] is None
    assert job.params["objects"] == {"fill_holes": True}
    assert NAME not in [layer.name for layer in viewer.layers]


def test_settings_are_kept_in_the_model_and_are_then_the_model_s(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.tuning.controls.threshold.value = 0.6
    widget.tuning.preview.setChecked(False)
    widget.tuning.keep.click()
    job = engine.job
    assert job.task == "keep_settings"
    assert job.params["settings"] == {"foreground_threshold": 0.6}
    assert job.params["voxel_size"] == [0.5, 0.5]
    path = Path(job.params["model_path"])
    write_model("net", decoder=DECODER.model_copy(update={"foreground_threshold": 0.6}))
    assert path.exists()
    job.end("done", result={"model_path": str(path)})
    widget.check()
    assert widget.tuning.wishes() == {}
    assert not widget.tuning.keep.isEnabled()


def test_taking_the_layer_away_ends_the_preview(
    widget: PredictWidget, engine: Any, viewer: Any
) -> None:
    widget.tuning.preview.setChecked(True)
    job = engine.job
    job.tell("MapsReady")
    answer(job)
    viewer.layers.remove(NAME)
    assert not widget.tuning.preview.isChecked()
    assert job.stops == 1


def test_classes_cannot_be_adjusted(widget: PredictWidget, write_model: Write) -> None:
    widget.model.choose(write_model("classes", task="classes"))
    assert widget.tuning.isHidden()
    assert widget.request().params()["objects"] == {}


def test_a_mask_goes_along_and_one_of_another_size_is_told(
    widget: PredictWidget, engine: Any, viewer: Any
) -> None:
    good = viewer.add_labels(np.ones((64, 80), int), name="good")
    bad = viewer.add_labels(np.ones((5, 5), int), name="bad")
    widget.outside.layer.value = bad
    assert "The mask has 5 × 5 pixels" in widget.panel.problem.text()
    widget.outside.layer.value = good
    assert widget.panel.problem.text() == ""
    widget.panel.button.click()
    assert engine.job.inputs["mask"].shape == (64, 80)


def test_a_click_asks_what_the_model_looked_at(
    widget: PredictWidget, engine: Any, viewer: Any
) -> None:
    widget.why.button.setChecked(True)
    widget.why.ask((10.0, 20.0))
    job = engine.job
    assert job.task == "look_at"
    assert (job.params["sample"], job.params["point"]) == (0, [20, 40])
    found = np.random.default_rng(0).random((8, 9), np.float32)
    job.end(
        "done", result={"map": found, "box": [[16, 24], [36, 45]], "what": "object"}
    )
    layer = viewer.layers[-1]
    assert layer.name == "looked at for object (20, 40)"
    np.testing.assert_array_equal(layer.data, found)
    np.testing.assert_allclose(layer.translate, (8.0, 18.0))
    assert not widget.why.button.isChecked()
    widget.why.ask((-10.0, 0.0))
    assert "outside of the image" in widget.why.message.text()
