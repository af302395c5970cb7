"""The *Predict U-Net* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from napari.layers import Labels

from napari_unet.data.classes import ClassInfo, make_classes
from napari_unet.image_io.label_store import create_label_store
from napari_unet.models.model_file import read_info
from napari_unet.widgets import prediction_run
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.predict_region import PIECE
from napari_unet.widgets.predict_stream import draw_anew, store_layer
from napari_unet.widgets.prediction_run import StoredResult
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
    assert set(widget.model.model.choices) == {
        newer,
        newer.parent / "old.bioimage.io.zip",
    }
    assert widget.model.about.text().startswith("2D, 1 channel: objects")
    assert widget.panel.button.isEnabled()


def test_models_from_elsewhere_can_be_opened(
    widget: PredictWidget, write_model: Write, tmp_path: Any
) -> None:
    moved = write_model("far").rename(tmp_path / "far.bioimage.io.zip")
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
    assert layer.selected_label == 2  # not the object that is there
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
    assert layer.selected_label == 2  # 1 is background, which is 0 here
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


def test_classes_appear_while_they_are_computed(
    widget: PredictWidget, engine: Any, write_model: Write, qtbot: Any
) -> None:
    widget.viewer.add_image(np.zeros((32, 48)), name="cells")
    classes = make_classes([1, 2], 1)
    widget.model.choose(write_model("net", task="classes", classes=classes))
    widget.panel.button.click()
    assert len(widget.viewer.layers) == 1
    engine.job.outputs["labels"][:8] = 2
    engine.job.tell("TileDone", done=1, total=4)
    qtbot.waitUntil(lambda: len(widget.viewer.layers) == 2)
    growing = widget.viewer.layers[-1]
    assert not growing.editable
    assert growing.data[3, 3] == 2
    # The layer that was chosen stays chosen.
    assert [layer.name for layer in widget.viewer.layers.selection] == ["cells"]
    engine.job.end("done", result={"complete": True, "seconds": 1.0})
    assert growing not in widget.viewer.layers
    made = widget.viewer.layers["cells net"]
    assert made.editable
    made.paint((20, 20), 2)


def test_a_stopped_prediction_keeps_what_is_there(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((32, 48)), name="cells")
    classes = make_classes([1, 2], 1)
    widget.model.choose(write_model("net", task="classes", classes=classes))
    widget.panel.button.click()
    engine.job.outputs["labels"][:8] = 2
    engine.job.tell("TileDone", done=1, total=4)
    engine.job.end("done", stopped=True, result={"complete": False})
    assert widget.run.state == "stopped"
    assert widget.viewer.layers["cells net"].data[3, 3] == 2
    assert "kept" in widget.run.message


def test_large_results_go_to_a_store_and_go_on_in_their_layer(
    widget: PredictWidget,
    engine: Any,
    write_model: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    monkeypatch.setattr(prediction_run, "LARGEST_PLANE", 1000)
    widget.viewer.add_image(np.zeros((3000, 2500), np.uint8), name="big")
    path = write_model("net", task="classes", classes=make_classes([1, 2], 1))
    widget.model.choose(path)
    widget.store_folder = tmp_path / "results"
    widget.check()
    assert str(tmp_path / "results") in widget.where.text()
    widget.probabilities.value = True
    widget.panel.button.click()
    assert engine.job.params["store_folder"] == str(tmp_path / "results")
    assert engine.job.params["store_group"] == ""
    assert engine.job.params["probabilities"]
    assert engine.job.params["store_name"] == "big net"
    assert not engine.job.outputs

    store = create_label_store(
        tmp_path / "results" / "a.zarr",
        "YX",
        (3000, 2500),
        "YX",
        "uint8",
        voxel_size=(1, 1),
    )
    place = str(store.path)
    engine.job.tell("StoreReady", path=place, shown=place)
    layer = widget.viewer.layers[-1]
    assert layer.multiscale
    assert not layer.editable
    store.write((), ((0, 1024), (0, 1024)), np.full((1024, 1024), 2))
    engine.job.tell("TileDone", done=1, total=9)
    coarsest = len(layer.data) - 1

    def shown() -> bool:
        layer.data_level = coarsest
        return bool(np.asarray(layer._slice.image.raw).max() == 2)

    qtbot.waitUntil(shown)
    engine.job.end("done", stopped=True, result={"complete": False})
    assert "goes on from there" in widget.run.message
    assert layer in widget.viewer.layers
    widget.panel.button.click()
    engine.job.tell("StoreReady", path=place, shown=place)
    engine.job.end("done", result={"complete": True, "store": place, "seconds": 1.0})
    assert [x.name for x in widget.viewer.layers] == ["big", "big net"]
    assert place in widget.run.message


def test_large_labels_of_an_ome_zarr_go_into_the_image(
    widget: PredictWidget,
    engine: Any,
    write_model: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prediction_run, "LARGEST_PLANE", 50)
    group = zarr.create_group(str(tmp_path / "a.ome.zarr"))
    group.create_array("0", data=np.zeros((70, 60), np.uint8))
    axes = [{"name": n, "type": "space"} for n in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": []}]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    widget.viewer.add_image(zarr.open_array(str(tmp_path / "a.ome.zarr/0")), name="a")
    widget.model.choose(write_model("net", task="objects"))
    assert str(tmp_path / "a.ome.zarr" / "labels") in widget.where.text()
    widget.panel.button.click()
    assert engine.job.params["store_group"] == str(tmp_path / "a.ome.zarr")
    engine.job.end("done", stopped=True, result={"complete": False})
    # Elsewhere, if somebody wants that.
    monkeypatch.setattr(
        "napari_unet.widgets.predict.QFileDialog.getExistingDirectory",
        lambda *_: str(tmp_path / "other"),
    )
    widget.elsewhere.click()
    assert str(tmp_path / "other") in widget.where.text()
    widget.panel.button.click()
    assert engine.job.params["store_group"] == ""
    engine.job.end("done", stopped=True, result={"complete": False})
    # A crop is no longer the image that its labels would lie in.
    widget.into_image = True
    widget.viewer.layers.clear()
    whole = zarr.open_array(str(tmp_path / "a.ome.zarr/0"))
    widget.viewer.add_image(whole[:60], name="part")
    assert widget.request().store_group is None


def test_resampling_needs_pixel_sizes(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(np.zeros((60, 50), np.uint8), name="cells")
    widget.model.choose(write_model("net", task="objects"))
    assert not problem(widget)
    widget.resample.value = True
    assert "pixel" in problem(widget)
    widget.resample.value = False
    widget.panel.button.click()
    assert not engine.job.params["resample"]


def test_large_labels_are_drawn_anew_where_napari_fails_at_new_levels(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = [np.zeros((n, n), np.uint8) for n in (64, 32)]
    layer = viewer.add_labels(levels, multiscale=True)

    def fails(layer: Any, data: Any) -> None:  # as that of napari 0.6
        layer._data = data
        raise AttributeError("'list' object has no attribute 'shape'")

    monkeypatch.setattr(Labels, "data", property(lambda x: x._data, fails))
    levels[-1][:] = 2
    draw_anew(layer)
    assert layer.level_shapes.tolist() == [[64, 64], [32, 32]]
    layer.data_level = 1
    assert np.asarray(layer._slice.image.raw).max() == 2


def test_a_region_of_large_labels_is_edited_and_written_back(
    widget: PredictWidget, write_model: Write, tmp_path: Path
) -> None:
    viewer, info = widget.viewer, read_info(write_model())
    store = create_label_store(
        tmp_path / "a.zarr", "YX", (5000, 4000), "YX", "uint8", voxel_size=(0.5, 0.5)
    )
    place = {"scale": (0.5, 0.5)}
    stored = StoredResult(store.path, store.path, place, info, "big net")
    layer = viewer.add_layer(store_layer(stored))
    viewer.layers.selection.active = layer
    assert not widget.editor.edit.isHidden()
    viewer.reset_view()
    widget.editor.cut()
    assert "zoom in" in widget.editor.said.text()
    layer.corner_pixels = np.array([[501, 400], [600, 479]])
    layer.data_level = 2
    widget.editor.cut()
    piece = viewer.layers[-1]
    assert piece.name == "big net (region)"
    assert piece.editable
    start = piece.metadata[PIECE]["box"][0][0]
    assert piece.translate[0] == pytest.approx(start * 0.5)
    piece.data[:40] = 3
    assert not widget.editor.write.isHidden()
    widget.editor.put_back()
    assert "written" in widget.editor.said.text()
    full = np.asarray(layer.data[0])
    assert (full == 3).sum() == 40 * piece.data.shape[1]
    for level in (1, 2):
        step = 2**level
        np.testing.assert_array_equal(
            np.asarray(layer.data[level]), full[::step, ::step]
        )
    piece.metadata[PIECE]["store"] = str(tmp_path / "gone")
    widget.editor.put_back()
    assert "are gone" in widget.editor.said.text()
