"""Projects in the viewer: what is kept, and what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_unet.live.annotation_store import ANNOTATION_NAME, load_annotation
from napari_unet.live.project_info import (
    INFO_NAME,
    list_projects,
    read_info,
)
from napari_unet.models.library import project_folder
from napari_unet.networks.info import NetworkInfo
from napari_unet.widgets.annotation_layer import class_names, color_class, name_class
from napari_unet.widgets.navigation import camera_of
from napari_unet.widgets.project_view import restore_view, view_info
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

SHAPE = (40, 60)
PIXELS = np.random.default_rng(0).integers(0, 255, SHAPE, np.uint8)


@pytest.fixture
def widget(viewer: Any, host: Any) -> TrainWidget:
    made = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.tif"
    tifffile.imwrite(path, PIXELS)
    return path


def paint(widget: TrainWidget) -> Any:
    widget.annotation.task.value = "classes"
    widget.new_annotation()
    layer = widget.annotation.layer.value
    layer.paint((10, 10), 1)
    layer.paint((30, 40), 2)
    widget.check()
    return layer


def run_once(widget: TrainWidget, engine: Any) -> Path:
    """A run that is kept, and is over."""
    widget.live.main.click()
    engine.job.tell("StateChanged", state="running")
    widget.keeper.wait()
    engine.job.end("stopped")
    widget.keeper.wait()
    (folder,) = list_projects(project_folder())
    return folder


def forget_layers(widget: TrainWidget) -> None:
    widget.viewer.layers.clear()


def test_every_live_run_is_kept(widget: TrainWidget, engine: Any) -> None:
    assert not widget.again.button.isVisibleTo(widget)
    assert widget.again.other.isVisibleTo(widget)
    widget.viewer.add_image(PIXELS, name="cells")
    layer = paint(widget)
    widget.train()
    folder = Path(engine.job.params["project"])
    widget.keeper.wait()
    assert not widget.again.isVisibleTo(widget)
    info = read_info(folder)
    assert (info.name, info.task, info.shape) == ("cells", "classes", SHAPE)
    np.testing.assert_array_equal(load_annotation(folder), layer.data)
    np.testing.assert_array_equal(np.load(folder / "image0.npy"), PIXELS)

    name_class(layer, 2, "wall")
    widget.check()
    widget.keeper.wait()
    assert read_info(folder).annotation.names[2] == "wall"

    engine.job.end("stopped")
    assert widget.again.button.isVisibleTo(widget)
    assert widget.again.folder == folder
    assert "cells" in widget.again.which.text()
    assert "today" in widget.again.button.toolTip()


def test_everything_comes_back(widget: TrainWidget, engine: Any) -> None:
    image = widget.viewer.add_image(
        PIXELS, name="cells", scale=(2, 3), rotate=10, colormap="magma", gamma=0.5
    )
    image.contrast_limits = (20, 99)
    layer = paint(widget)
    name_class(layer, 2, "wall")
    color_class(layer, 2, "#102030")
    widget.advanced.field("seed").value = "7"
    widget.advanced.field("background").value = True
    folder = run_once(widget, engine)
    strokes = layer.data.copy()
    place = np.array(layer.affine), np.array(layer.rotate), np.array(layer.scale)
    forget_layers(widget)
    widget.annotation.task.value = "objects"
    widget.advanced.fill({})

    widget.again.button.click()
    assert widget.live.run.active, widget.again.problem.text()
    assert len(engine.jobs) == 2
    assert engine.job.params["project"] == str(folder)
    assert engine.job.params["config"]["seed"] == 7
    assert [c["name"] for c in engine.job.params["classes"]] == ["background", "wall"]
    assert engine.job.params["classes"][1]["color"] == "#102030"
    back = widget.viewer.layers["cells"]
    np.testing.assert_array_equal(back.data, PIXELS)
    assert (back.colormap.name, back.gamma) == ("magma", 0.5)
    assert tuple(back.contrast_limits) == (20, 99)
    np.testing.assert_allclose(back.rotate, image.rotate)
    again = widget.annotation.layer.value
    np.testing.assert_array_equal(again.data, strokes)
    assert again.mode == "paint"
    assert class_names(again) == {1: "background", 2: "wall"}
    for found, expected in zip(
        (again.affine, again.rotate, again.scale), place, strict=True
    ):
        np.testing.assert_allclose(np.array(found), expected)


def test_limit_and_view_come_back(widget: TrainWidget, engine: Any) -> None:
    widget.viewer.add_image(np.stack([PIXELS] * 5), name="cells", scale=(3, 2, 2))
    widget.image.read_as(Reading("TYX", 2))
    widget.annotation.task.value = "classes"
    widget.new_annotation()
    layer = widget.annotation.layer.value
    layer.data[3, 12:15, 12:30], layer.data[3, 30:33, 12:30] = 1, 2
    widget.check()
    widget.annotation.limit.mark(((10, 38), (5, 55)))
    widget.viewer.layers.selection.active = layer
    box = ((0, 5), (10, 38), (5, 55))
    assert widget.annotation.limit.box == box
    widget.live.main.click()
    engine.job.tell("StateChanged", state="running")
    widget.viewer.dims.set_point(0, 9)
    camera = camera_of(widget.viewer)
    camera.center, camera.zoom = (0, 33, 44), 7.5
    engine.job.end("stopped")
    widget.keeper.wait()
    forget_layers(widget)
    assert widget.annotation.limit.box is None
    widget.viewer.reset_view()

    widget.again.button.click()
    assert widget.live.run.active, widget.again.problem.text()
    assert widget.annotation.limit.box == box
    sent = [m for m in engine.job.sent if m["message"] == "Limit"]
    assert [list(map(tuple, m["box"])) for m in sent] == [list(box)]
    assert widget.viewer.dims.point[0] == 9
    assert tuple(camera.center)[1:] == (33, 44)
    assert camera.zoom == 7.5
    active = widget.viewer.layers.selection.active
    assert active is widget.annotation.layer.value
    engine.job.end("stopped")


def test_a_view_of_other_axes_or_without_numbers_is_left_alone(viewer: Any) -> None:
    viewer.add_image(PIXELS)
    camera = camera_of(viewer)
    camera.zoom = 3.0
    flat = view_info(viewer)
    assert flat is not None
    viewer.add_image(np.zeros((4, 9, 9)))
    viewer.dims.set_point(0, 2)
    camera.zoom = 5.0
    restore_view(viewer, flat)
    assert camera.zoom == 5.0
    assert viewer.dims.point[0] == 2
    camera.center = (0, np.nan, 1)
    assert view_info(viewer) is None


def test_what_is_open_is_used(widget: TrainWidget, engine: Any, file: Path) -> None:
    (image,) = widget.viewer.open(file, plugin="napari")
    layer = paint(widget)
    folder = run_once(widget, engine)
    assert not (folder / "image0.npy").exists()
    layer.paint((20, 20), 2)  # after the run
    image.name = "other name"
    before = list(widget.viewer.layers)
    widget.again.button.click()
    assert widget.live.run.active, widget.again.problem.text()
    assert set(before) <= set(widget.viewer.layers)
    assert widget.image.layers() == [image]
    assert widget.annotation.layer.value is layer


def test_a_file_is_opened_again(widget: TrainWidget, engine: Any, file: Path) -> None:
    (image,) = widget.viewer.open(file, plugin="napari")
    image.scale = (4, 5)
    paint(widget)
    run_once(widget, engine)
    forget_layers(widget)
    widget.again.button.click()
    (back,) = widget.image.layers()
    np.testing.assert_array_equal(back.data, PIXELS)
    np.testing.assert_allclose(back.scale, (4, 5))
    assert back.source.path == str(file)


def test_channels_come_back_in_order(widget: TrainWidget, engine: Any) -> None:
    for number in range(3):
        widget.viewer.add_image(PIXELS + np.uint8(number), name=f"c{number}")
    layers = widget.viewer.layers
    widget.image.set_layers([layers["c2"], layers["c0"]])
    paint(widget)
    run_once(widget, engine)
    forget_layers(widget)
    widget.again.button.click()
    assert [layer.name for layer in widget.image.layers()] == ["c2", "c0"]
    assert len(engine.job.inputs) == 2


@pytest.mark.parametrize("what", ["gone", "another", "annotation", "info", "copy"])
def test_what_is_missing_is_told_and_nothing_changes(
    widget: TrainWidget, engine: Any, file: Path, what: str
) -> None:
    if what == "copy":
        widget.viewer.add_image(PIXELS, name="cells")
    else:
        widget.viewer.open(file, plugin="napari")
    paint(widget)
    folder = run_once(widget, engine)
    forget_layers(widget)
    sentence = {
        "gone": "is gone",
        "another": "no longer holds the image",
        "annotation": "cannot be read",
        "info": "cannot be read",
        "copy": "holds no copy of the image",
    }[what]
    if what == "gone":
        file.unlink()
    elif what == "another":
        tifffile.imwrite(file, np.zeros((9, 9), np.uint8))
    elif what == "copy":
        (folder / "image0.npy").unlink()
    elif what == "annotation":
        (folder / ANNOTATION_NAME / "zarr.json").write_bytes(b"PK")
    else:
        (folder / INFO_NAME).write_text("{}")
    kept = sorted(folder.iterdir())
    widget.again.button.click()
    assert sentence in widget.again.problem.text()
    assert len(widget.viewer.layers) == 0
    assert len(engine.jobs) == 1
    assert sorted(folder.iterdir()) == kept


def test_an_image_that_moved_is_taken_where_it_is_open(
    widget: TrainWidget, engine: Any, file: Path
) -> None:
    widget.viewer.open(file, plugin="napari")
    paint(widget)
    run_once(widget, engine)
    forget_layers(widget)
    moved = file.with_name("elsewhere.tif")
    file.rename(moved)
    (image,) = widget.viewer.open(moved, plugin="napari", name="cells")
    widget.again.button.click()
    assert widget.live.run.active, widget.again.problem.text()
    assert widget.image.layers() == [image]


def test_learning_can_start_from_a_model(
    widget: TrainWidget, engine: Any, write_model: Any
) -> None:
    live = NetworkInfo(name="pixel_unet", arguments={})
    right = write_model("right", task="classes", network=live)
    write_model("plain", task="classes")
    for name, changes in (
        ("objects", {"task": "objects"}),
        ("deep", {"task": "classes", "spatial": "ZYX"}),
        ("colour", {"task": "objects", "n_channels": 3}),
    ):
        write_model(name, network=live, **changes)
    widget.start_from.refresh()
    widget.viewer.add_image(PIXELS, name="cells")
    paint(widget)
    box = widget.start_from.box
    assert box.native.currentText() == "Automatic"
    for name, sentence in (
        ("plain", "was not learnt while painting"),
        ("objects", "finds objects, not classes"),
        ("deep", "3D one, and a 2D one"),
        ("colour", "finds objects, not classes"),
    ):
        box.value = right.with_name(f"{name}.bioimage.io.zip")
        widget.check()
        assert sentence in widget.live.problem.text()
        assert not widget.live.main.isEnabled()
    entries = {
        box.native.itemText(n): box.native.model().item(n)
        for n in range(box.native.count())
    }
    assert {name for name, item in entries.items() if item.isEnabled()} == {
        "Automatic",
        "From scratch",
        "right",
    }
    assert "3D one" in entries["deep"].toolTip()
    words = widget.start_from.reasons.text()
    assert words.startswith("Not for this: ")
    assert words.endswith("; and 1 more.")
    assert "'right'" not in words
    box.value = right
    widget.check()
    widget.train()
    assert engine.job.params["start"] == {"kind": "model", "path": str(right)}
    engine.job.end("stopped")
    box.value = "scratch"
    widget.train()
    assert engine.job.params["start"] == {"kind": "scratch"}
    engine.job.end("stopped")
