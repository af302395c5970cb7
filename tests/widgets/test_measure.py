"""*Measure objects* in a real viewer, with an engine that a test plays."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels, Shapes
from napari.utils.interactions import mouse_press_callbacks, mouse_release_callbacks
from qtpy.QtCore import Qt

from napari_unet.data.source import ImageSource
from napari_unet.measure import measure_blocks
from napari_unet.measure.table import ObjectTable
from napari_unet.widgets import measure_layers
from napari_unet.widgets.measure import MeasureWidget

pytestmark = pytest.mark.viewer

PLACE = {"scale": (3, 0.5, 0.25), "units": ("s", "um", "um"), "rotate": 20}
PLACE |= {"axis_labels": ("t", "y", "x")}


def objects() -> np.ndarray:
    made = np.zeros((3, 40, 50), np.int32)
    made[0, 2:6, 3:9] = 2
    made[2, 20:30, 10:30] = 2
    made[2, 33:36, 2:4] = 7
    return made


@pytest.fixture
def widget(viewer: Any, host: Any) -> MeasureWidget:
    made = MeasureWidget(viewer, host)
    viewer.window.add_dock_widget(made, name="Measure objects")
    return made


def table_of(job: Any) -> ObjectTable:
    """What the engine would answer."""
    params, inputs = job.params, job.inputs
    labels = ImageSource(
        (inputs["labels"],),
        params["axes"],
        tuple(params["voxel_size"]),
        params["unit"],
        ndim=params["ndim"],
    )
    images = [
        ImageSource((inputs[f"image{k}"],), axes, ndim=params["ndim"])
        for k, axes in enumerate(params["image_axes"])
    ]
    events = measure_blocks(
        labels,
        images,
        classes=inputs.get("classes"),
        class_names=dict(params["class_names"]),
        channels=params["channels"],
        solidity=params["solidity"],
    )
    while True:
        try:
            next(events)
        except StopIteration as end:
            made: ObjectTable = end.value
            return made


def answer(engine: Any) -> None:
    job = engine.job
    table = table_of(job)
    job.tell("BlockDone", done=1, total=1)
    parts = {
        k: c.tolist() if c.dtype == object else c for k, c in table.columns.items()
    }
    job.tell("TableRows", columns=parts)
    job.end("done", result={"objects": len(table)})


def measured(widget: MeasureWidget, engine: Any, **more: Any) -> Labels:
    layer = widget.viewer.add_labels(objects(), name="cells", **{**PLACE, **more})
    widget.labels.choose(layer)
    widget.start()
    answer(engine)
    return layer


def click(widget: MeasureWidget, layer: Labels, place: tuple[float, ...]) -> None:
    event = SimpleNamespace(
        type="mouse_press",
        button=1,
        modifiers=[],
        pos=np.array([9, 9]),
        position=tuple(layer.data_to_world(place)),
        view_direction=None,
        dims_displayed=list(widget.viewer.dims.displayed),
        handled=False,
        is_dragging=False,
    )
    mouse_press_callbacks(widget.viewer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(widget.viewer, event)


def test_without_labels_the_user_is_told(widget: MeasureWidget) -> None:
    widget.viewer.add_image(np.zeros((8, 9)))
    assert "There is no Labels layer" in widget.panel.problem.text()
    assert not widget.panel.button.isEnabled()
    widget.viewer.add_labels(np.zeros((8, 9), int))
    assert widget.panel.button.isEnabled()


def test_units_axes_images_and_classes_reach_the_engine(
    widget: MeasureWidget, engine: Any
) -> None:
    viewer = widget.viewer
    viewer.add_image(np.ones((3, 40, 50)), name="actin")
    viewer.add_image(np.ones((3, 40, 50)), name="map", visible=False)
    viewer.add_image(np.ones((3, 40, 50, 3), np.uint8), rgb=True, name="colour")
    viewer.add_image(np.ones((2, 3, 40, 50)), name="both")
    viewer.add_image(np.ones((4, 40, 50)), name="other")
    kinds = viewer.add_labels(
        (objects() == 7).astype(int), features={"index": [1], "class": ["dead"]}
    )
    layer = viewer.add_labels(objects(), name="cells", **PLACE)
    widget.labels.choose(layer)
    widget.classes.value = kinds
    widget.panel.button.click()
    params = engine.job.params
    assert (params["axes"], params["ndim"], params["unit"]) == ("TYX", 2, "micrometer")
    assert params["voxel_size"] == [0.5, 0.25]
    assert params["image_axes"] == ["TYX", "TYXC", "CTYX"]
    assert params["channels"][0] == "actin"
    assert params["channels"][-1] == "both 2"
    answer(engine)
    table = widget.run.table
    assert table is not None
    assert table["class_name"].tolist() == ["", "", "dead"]
    assert table["area_um2"].tolist() == [3.0, 25.0, 0.75]
    assert widget.panel.status.text().endswith("3 rows.")


def test_images_can_be_left_out(widget: MeasureWidget, engine: Any) -> None:
    first = widget.viewer.add_image(np.ones((3, 40, 50)), name="a")
    widget.viewer.add_image(np.ones((3, 40, 50)), name="b")
    layer = widget.viewer.add_labels(objects())
    widget.labels.choose(layer)
    widget.use_images([first])
    assert widget.images.text() == "a"
    widget.start()
    assert engine.job.params["channels"] == ["a"]


def test_a_row_moves_the_viewer_to_its_object(
    widget: MeasureWidget, engine: Any
) -> None:
    layer = measured(widget, engine)
    layer.corner_pixels = np.array([[0, 0, 0], [0, 3, 3]])  # zoomed in
    before = measure_center(widget.viewer)
    widget.view.setCurrentIndex(widget.view.objects.index(2, 0))
    assert layer.selected_label == 7
    assert widget.viewer.dims.current_step[0] == 2
    middle = np.asarray(layer.data_to_world((2, 34, 2.5))[1:])
    center = measure_center(widget.viewer)
    assert np.linalg.norm(center - middle) < np.linalg.norm(before - middle) / 2


def measure_center(viewer: Any) -> Any:
    from napari_unet.widgets.navigation import camera_of

    return np.asarray(camera_of(viewer).center[-2:])


def test_an_object_shows_its_row(widget: MeasureWidget, engine: Any) -> None:
    layer = measured(widget, engine)
    widget.viewer.dims.set_current_step(0, 2)
    layer.selected_label = 7
    assert widget.view.selected() == [2]
    layer.selected_label = 2
    assert widget.view.selected() == [1]
    widget.viewer.dims.set_current_step(0, 0)
    click(widget, layer, (0, 4, 5))
    assert widget.view.selected() == [0]
    click(widget, layer, (0, 30, 30))  # background
    assert widget.view.selected() == [0]
    layer.mode = "paint"
    widget.viewer.layers.selection.active = layer
    widget.viewer.dims.set_current_step(0, 2)
    click(widget, layer, (2, 34, 3))
    assert widget.view.selected() == [0]


def test_sorting_keeps_the_object(widget: MeasureWidget, engine: Any) -> None:
    measured(widget, engine)
    table = widget.run.table
    assert table is not None
    widget.view.choose(2)
    column = list(table.columns).index("area_um2")
    widget.view.sortByColumn(column, Qt.SortOrder.AscendingOrder)
    areas = [widget.view.objects.index(r, column).data() for r in range(3)]
    assert areas == ["0.750", "3.000", "25.00"]
    assert widget.view.selected() == [2]
    assert widget.view.currentIndex().row() == 0
    widget.view.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    assert widget.view.objects.object_at(0) == 1
    assert widget.view.selected() == [2]


def test_what_is_not_known_is_sorted_last() -> None:
    from napari_unet.widgets.measure_table import ObjectModel

    columns = {"id": np.arange(4), "solidity": np.array([0.5, np.nan, 0.9, 0.1])}
    model = ObjectModel()
    model.set_table(ObjectTable(columns, "YX"))
    for order, wanted in (
        (Qt.SortOrder.AscendingOrder, [3, 0, 2, 1]),
        (Qt.SortOrder.DescendingOrder, [2, 0, 3, 1]),
    ):
        model.sort(1, order)
        assert [model.object_at(k) for k in range(4)] == wanted
    assert model.index(3, 1).data() == "–"


@pytest.mark.parametrize("edit", ["paint", "undo", "data"])
def test_edits_make_the_table_old(
    widget: MeasureWidget, engine: Any, edit: str
) -> None:
    layer = widget.viewer.add_labels(objects(), **PLACE)
    layer.paint((1, 5, 5), 3)
    widget.labels.choose(layer)
    widget.start()
    answer(engine)
    widget.viewer.dims.set_current_step(0, 1)  # looking around changes nothing
    assert widget.stale.text() == ""
    if edit == "paint":
        layer.paint((1, 5, 20), 4)
    elif edit == "undo":
        layer.undo()
    else:
        layer.data = objects()
    assert "press Measure again" in widget.stale.text()
    widget.start()
    assert widget.stale.text() == ""


def test_edits_while_measuring_are_told(widget: MeasureWidget, engine: Any) -> None:
    layer = widget.viewer.add_labels(objects(), **PLACE)
    widget.labels.choose(layer)
    widget.start()
    layer.paint((1, 5, 5), 3)
    answer(engine)
    assert "press Measure again" in widget.stale.text()


def test_boxes_lie_around_the_objects_in_their_planes(
    widget: MeasureWidget, engine: Any
) -> None:
    layer = measured(widget, engine)
    widget.boxes.click()
    boxes = widget.viewer.layers[-1]
    assert isinstance(boxes, Shapes)
    assert list(boxes.features["id"]) == [2, 2, 7]
    np.testing.assert_allclose(boxes.data[1].min(axis=0), (2, 19.5, 9.5))
    np.testing.assert_allclose(boxes.data[1].max(axis=0), (2, 29.5, 29.5))
    np.testing.assert_allclose(boxes.scale, layer.scale)
    np.testing.assert_allclose(boxes.rotate, layer.rotate)


def test_objects_in_3d_have_a_box_in_every_plane() -> None:
    made = measure_layers.rectangles(((4, 5), (2, 4), (0, 3), (1, 3)))
    assert [tuple(r[0, :2]) for r in made] == [(4, 2), (4, 3)]


def test_too_many_boxes_are_told(
    widget: MeasureWidget, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure_layers, "MOST_BOXES", 2)
    measured(widget, engine)
    count = len(widget.viewer.layers)
    widget.boxes.click()
    assert "select some rows" in widget.note.text()
    assert len(widget.viewer.layers) == count
    widget.view.selectRow(0)
    selection = widget.view.selectionModel()
    selection.select(
        widget.view.objects.index(2, 0),
        selection.SelectionFlag.Select | selection.SelectionFlag.Rows,
    )
    widget.boxes.click()
    assert list(widget.viewer.layers[-1].features["id"]) == [2, 7]


def test_csv_is_written(
    widget: MeasureWidget, engine: Any, tmp_path: Path, qtbot: Any
) -> None:
    measured(widget, engine)
    widget.save_csv(tmp_path / "cells.csv")
    qtbot.waitUntil(lambda: widget.note.text() != "", timeout=20_000)
    assert widget.note.text() == "cells.csv has 3 rows."
    with (tmp_path / "cells.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["2", "2", "7"]
    (tmp_path / "folder.csv").mkdir()
    widget.save_csv(tmp_path / "folder.csv")
    qtbot.waitUntil(
        lambda: "could not be written" in widget.note.text(), timeout=20_000
    )
    assert widget.save.isEnabled()


def test_features_are_added_to_those_of_the_user(
    widget: MeasureWidget, engine: Any
) -> None:
    layer = widget.viewer.add_labels(
        objects()[2], features={"index": [2, 3], "class": ["cell", "dirt"]}
    )
    widget.labels.choose(layer)
    for _ in range(2):
        widget.start()
        answer(engine)
        features = layer.features.set_index("index")
        assert features.loc[2, "class"] == "cell"
        assert features.loc[3, "class"] == "dirt"
        assert features.loc[7, "voxels"] == 6
        assert "bbox_y_start" not in features
    assert sum(name.startswith("voxels") for name in layer.features) == 1


def test_the_layer_may_go(widget: MeasureWidget, engine: Any) -> None:
    layer = widget.viewer.add_labels(objects(), **PLACE)
    widget.labels.choose(layer)
    widget.start()
    widget.viewer.layers.remove(layer)
    answer(engine)
    assert widget.view.objects.rowCount() == 3
    assert widget.save.isEnabled()
    assert not widget.boxes.isEnabled()
    widget.view.setCurrentIndex(widget.view.objects.index(1, 0))


def test_no_objects_are_told(widget: MeasureWidget, engine: Any) -> None:
    layer = widget.viewer.add_labels(np.zeros((9, 9), int))
    widget.labels.choose(layer)
    widget.start()
    answer(engine)
    assert "every value of these labels is 0" in widget.panel.status.text()
    assert not widget.save.isEnabled()


def test_a_failed_run_keeps_the_last_table(widget: MeasureWidget, engine: Any) -> None:
    measured(widget, engine)
    widget.start()
    engine.job.end("failed", error="The disk is gone: plug it in.")
    assert widget.view.objects.rowCount() == 3
    assert widget.panel.status.text() == "The disk is gone: plug it in."


def test_a_closed_widget_lets_go_of_the_viewer(
    widget: MeasureWidget, engine: Any, qtbot: Any
) -> None:
    layer = measured(widget, engine)
    viewer = widget.viewer
    before = len(viewer.mouse_drag_callbacks)
    with qtbot.waitSignal(widget.destroyed, timeout=10_000):
        viewer.window.remove_dock_widget(widget)
        widget.deleteLater()
    assert len(viewer.mouse_drag_callbacks) == before - 1
    layer.selected_label = 7
    layer.paint((1, 5, 5), 3)
