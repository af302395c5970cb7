"""The *Predict U-Net* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.data.classes import ClassInfo
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session

pytestmark = pytest.mark.viewer

Write = Callable[..., Any]


@pytest.fixture
def session() -> Session:
    return Session()


@pytest.fixture
def widget(viewer: Any, host: Any, session: Session) -> PredictWidget:
    made = PredictWidget(viewer, host, session)
    viewer.window.add_dock_widget(made, name="Predict U-Net")
    return made


def problem(widget: PredictWidget) -> str:
    widget.check()
    return str(widget.panel.problem.text())


def test_without_a_model_the_user_is_told_how_to_get_one(
    widget: PredictWidget,
) -> None:
    widget.viewer.add_image(np.zeros((8, 9)))
    assert "train one with Train U-Net" in problem(widget)
    assert not widget.panel.button.isEnabled()


def test_a_trained_model_is_chosen_at_once(
    widget: PredictWidget, session: Session, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((8, 9)))
    write_model("old")
    newer = write_model("new")
    session.model_saved.emit(newer)
    assert widget.model.path() == newer
    assert set(widget.model.model.choices) == {newer, newer.parent / "old.unet.zip"}
    assert widget.model.about.text().startswith("2D, 1 channel: objects")
    assert widget.panel.button.isEnabled()


def test_models_from_elsewhere_can_be_opened(
    widget: PredictWidget, write_model: Write, tmp_path: Any
) -> None:
    moved = write_model("far").rename(tmp_path / "far.unet.zip")
    widget.model.choose(moved)
    assert widget.model.path() == moved


def test_damaged_and_lost_models_are_told(
    widget: PredictWidget, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((8, 9)))
    path = write_model()
    widget.model.choose(path)
    path.write_bytes(b"PK no zip")
    assert "damaged" in problem(widget)
    path.unlink()
    assert "is gone" in problem(widget)


def test_models_that_do_not_fit_are_told(
    widget: PredictWidget, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((8, 9)))
    widget.model.choose(write_model("deep", spatial="ZYX"))
    assert "Z axis" in problem(widget)
    widget.model.choose(write_model("two", n_channels=2))
    assert "channels" in problem(widget)
    widget.model.choose(write_model("fits"))
    assert problem(widget) == ""


def test_labels_are_new_editable_and_over_the_image(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    image = widget.viewer.add_image(
        np.zeros((32, 48)),
        name="cells",
        scale=(0.5, 0.25),
        translate=(3, 4),
        rotate=30,
        units=("um", "um"),
        axis_labels=("y", "x"),
    )
    widget.model.choose(write_model("net"))
    widget.panel.button.click()
    assert widget.panel.button.text() == "Stop"
    engine.job.outputs["labels"][4:9, 5:11] = 1
    engine.job.end("done", result={"objects": 1, "seconds": 1.0})
    layer = widget.viewer.layers["cells net"]
    assert isinstance(layer, Labels)
    assert layer.data.dtype == np.int32
    assert layer.editable
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(layer, name), getattr(image, name))
    assert (layer.units, layer.axis_labels) == (image.units, image.axis_labels)
    layer.paint((20, 20), 5)
    assert layer.data[20, 20] == 5


def test_a_second_run_leaves_the_first_result_alone(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((32, 48)), name="cells")
    widget.model.choose(write_model("net"))
    for _ in range(2):
        widget.predict()
        engine.job.end("done", result={"objects": 0, "seconds": 1.0})
        found = [x for x in widget.viewer.layers if isinstance(x, Labels)]
        found[0].data[3, 3] = 9  # the user's edit
    assert len({layer.name for layer in found}) == 2
    assert found[0].data[3, 3] == 9
    assert not np.shares_memory(found[0].data, found[1].data)


def test_classes_keep_values_names_and_colours(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((32, 48)), name="em")
    classes = [
        ClassInfo(value=1, name="background", color="#8c6d46", background=True),
        ClassInfo(value=2, name="membrane", color="#ff0000"),
        ClassInfo(value=5, name="vesicle", color="#00ff00"),
    ]
    widget.model.choose(write_model("net", task="classes", classes=classes))
    widget.probabilities.value = True
    widget.predict()
    assert engine.job.outputs["probabilities"].shape == (3, 32, 48)
    engine.job.end("done", result={"seconds": 1.0})
    layer = widget.viewer.layers["em net"]
    np.testing.assert_allclose(layer.get_color(2)[:3], (1, 0, 0))
    np.testing.assert_allclose(layer.get_color(5)[:3], (0, 1, 0))
    assert list(layer.features["class"]) == ["membrane", "vesicle"]
    names = [x.name for x in widget.viewer.layers]
    assert names[1:4] == [
        f"{n} (em net)" for n in ("background", "membrane", "vesicle")
    ]
    assert widget.panel.status.text().startswith("Segmented in 1.0 seconds")


def test_the_view_is_the_plane_and_part_on_screen(
    widget: PredictWidget, engine: Any, write_model: Write, qtbot: Any
) -> None:
    viewer = widget.viewer
    image = viewer.add_image(np.zeros((5, 400, 400)), scale=(3, 1, 1))
    widget.model.choose(write_model("net"))
    widget.region.value = "view"
    viewer.dims.set_current_step(0, 3)
    # What a canvas does when it has zoomed in.
    image.corner_pixels = np.array([[3, 100, 120], [3, 180, 260]])
    widget.predict()
    assert engine.job.params["ndim"] == 2
    assert engine.job.params["samples"] == [3]
    assert engine.job.params["region"] == [[100, 181], [120, 261]]
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    layer = viewer.layers[-1]
    assert layer.data.shape == (1, 81, 141)
    np.testing.assert_allclose(layer.translate, (9, 100, 120))


def test_layers_may_go_while_predicting(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((32, 48)), name="cells")
    widget.model.choose(write_model("net"))
    widget.predict()
    widget.viewer.layers.clear()
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    assert [layer.name for layer in widget.viewer.layers] == ["cells net"]


def test_a_late_result_of_a_closed_widget_does_no_harm(
    widget: PredictWidget, engine: Any, write_model: Write, qtbot: Any
) -> None:
    widget.viewer.add_image(np.zeros((32, 48)), name="cells")
    widget.model.choose(write_model("net"))
    widget.predict()
    viewer, news = widget.viewer, widget.model._news
    with qtbot.waitSignal(widget.destroyed, timeout=10_000):
        viewer.window.remove_dock_widget(widget)
        widget.deleteLater()
    assert engine.job.stops == 1
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    news.model_saved.emit(write_model("other"))
    assert [layer.name for layer in viewer.layers] == ["cells"]
