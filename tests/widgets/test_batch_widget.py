"""The *Batch U-Net* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from napari.layers import Labels

from napari_unet.image_io import write_labels
from napari_unet.widgets.batch import BatchWidget, add_pair
from napari_unet.widgets.batch_run import BatchLine
from napari_unet.widgets.session import Session

pytestmark = pytest.mark.viewer


@pytest.fixture
def widget(viewer: Any, host: Any) -> BatchWidget:
    made = BatchWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Batch U-Net")
    return made


def problem(widget: BatchWidget) -> str:
    widget.check()
    return str(widget.panel.problem.text())


def test_what_is_missing_is_told(
    widget: BatchWidget, write_model: Callable[..., Any], tmp_path: Path
) -> None:
    assert problem(widget) == "Choose the folder of the images."
    widget.inputs.edit.setText(str(tmp_path / "nowhere"))
    assert "There is no folder" in problem(widget)
    widget.inputs.edit.setText(str(tmp_path))
    assert problem(widget) == "Choose a folder for the labels."
    widget.output.edit.setText(str(tmp_path))
    assert "between the images" in problem(widget)
    widget.output.edit.setText(str(tmp_path / "labels"))
    assert "train one with Train U-Net" in problem(widget)
    widget.model.choose(write_model("net"))
    assert problem(widget) == ""
    widget.inputs.edit.setText(str(tmp_path / "*.tif"))
    assert problem(widget) == ""


def test_a_batch_is_followed_and_its_images_can_be_opened(
    widget: BatchWidget,
    engine: Any,
    write_model: Callable[..., Any],
    tmp_path: Path,
) -> None:
    image, result = tmp_path / "a.tif", tmp_path / "labels" / "a.tif"
    result.parent.mkdir()
    tifffile.imwrite(image, np.zeros((20, 30), np.uint16))
    tifffile.imwrite(result, np.full((20, 30), 7, np.uint8))
    widget.inputs.edit.setText(str(tmp_path))
    widget.output.edit.setText(str(result.parent))
    widget.model.choose(write_model("net"))
    widget.panel.button.click()
    assert engine.job.task == "batch"
    engine.job.tell("ImageBegun", number=2, total=4, name="a.tif")
    engine.job.tell("TileDone", done=1, total=2)
    assert widget.run.progress == pytest.approx(0.375)
    assert widget.run.message == "Image 2 of 4: a.tif"
    row = {"image": str(image), "result": str(result), "status": "done", "reason": ""}
    lost = {**row, "image": str(tmp_path / "b.tif"), "status": "skipped"}
    lost["reason"] = "b.tif is damaged."
    rows = [{**row, "objects": 1200}, {**lost, "objects": None}]
    engine.job.end("done", result={"rows": rows, "total": 2})
    assert widget.run.message == "1 of 2 images are segmented."
    shown = [widget.table.item(r, c).text() for r in (0, 1) for c in (0, 1, 2)]
    assert shown == ["a.tif", "1,200", "done", "b.tif", "", "b.tif is damaged."]
    widget.open_line(0)
    assert isinstance(widget.viewer.layers[-1], Labels)
    assert widget.viewer.layers[-1].data[3, 3] == 7
    widget.open_line(1)
    assert "There is no file" in widget.panel.status.text()


def test_labels_of_a_smaller_resolution_lie_over_the_image(
    widget: BatchWidget, tmp_path: Path
) -> None:
    group = zarr.create_group(str(tmp_path / "a.ome.zarr"))
    datasets = []
    for level in range(3):
        group.create_array(str(level), data=np.zeros((80 >> level, 64 >> level)))
        transform = {"type": "scale", "scale": [0.5 * 2**level] * 2}
        datasets.append({"path": str(level), "coordinateTransformations": [transform]})
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    multiscale = {"axes": axes, "datasets": datasets}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}
    labels = tmp_path / "a.tif"
    write_labels(labels, np.ones((40, 32), int), "YX", (1.0, 1.0), "micrometer")
    add_pair(
        widget.viewer, BatchLine(tmp_path / "a.ome.zarr", labels, "done", "", None)
    )
    image, found = widget.viewer.layers
    assert found.data.shape == (40, 32)
    np.testing.assert_allclose(
        found.data_to_world((-0.5, -0.5)), image.data_to_world((-0.5, -0.5))
    )
    np.testing.assert_allclose(
        found.data_to_world((39.5, 31.5)), image.data_to_world((79.5, 63.5))
    )


def test_objects_are_adjusted_and_masks_kept_to_as_in_predict(
    widget: BatchWidget,
    engine: Any,
    write_model: Callable[..., Any],
    tmp_path: Path,
) -> None:
    widget.inputs.edit.setText(str(tmp_path))
    widget.output.edit.setText(str(tmp_path / "labels"))
    widget.model.choose(write_model("net", voxel_size=(0.5, 0.5), unit="micrometer"))
    assert widget.objects.isVisibleTo(widget)
    assert widget.request().objects == {}
    widget.controls.unit.value = "micrometer"
    widget.controls.smallest.value = 20
    widget.controls.holes.value = True
    widget.masks.edit.setText(str(tmp_path / "nowhere"))
    assert "There is no folder or file" in problem(widget)
    widget.masks.edit.setText(str(tmp_path))
    widget.controls.largest.value = 10
    assert "smallest" in problem(widget)
    widget.controls.largest.value = 0
    assert problem(widget) == ""
    widget.panel.button.click()
    sent = engine.job.params
    assert sent["masks"] == str(tmp_path)
    assert sent["objects"]["fill_holes"] is True
    size = sent["objects"]["min_size"]
    assert (size["value"], size["unit"], size["power"]) == (20, "micrometer", 2)


def test_a_model_of_classes_has_no_objects_to_adjust(
    widget: BatchWidget, write_model: Callable[..., Any], tmp_path: Path
) -> None:
    widget.inputs.edit.setText(str(tmp_path))
    widget.output.edit.setText(str(tmp_path / "labels"))
    widget.model.choose(write_model("net"))
    widget.controls.holes.value = True
    widget.model.choose(write_model("other", task="classes"))
    assert not widget.objects.isVisibleTo(widget)
    assert widget.request().objects == {}
