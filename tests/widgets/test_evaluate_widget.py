"""The *Evaluate* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.engine.context import TaskContext
from napari_unet.engine.evaluation_task import evaluate
from napari_unet.engine.protocol import decode_message, encode_message
from napari_unet.widgets.edit_layers import Original, remember_original
from napari_unet.widgets.evaluate import EvaluateWidget
from napari_unet.widgets.navigation import camera_of

pytestmark = pytest.mark.viewer


@pytest.fixture
def widget(viewer: Any, host: Any) -> EvaluateWidget:
    made = EvaluateWidget(viewer, host)
    viewer.window.add_dock_widget(made, name="Evaluate")
    return made


def problem(widget: EvaluateWidget) -> str:
    widget.check()
    return str(widget.panel.problem.text())


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction: one right, one missed, one invented."""
    truth = np.zeros((60, 80), np.int32)
    truth[5:15, 5:15], truth[40:50, 60:70] = 1, 2
    made = np.zeros_like(truth)
    made[5:15, 5:15], made[5:12, 50:57] = 1, 2
    return truth, made


def choose(widget: EvaluateWidget, pair: Any, **place: Any) -> tuple[Labels, Labels]:
    viewer = widget.viewer
    truth = viewer.add_labels(pair[0], name="truth", **place)
    made = viewer.add_labels(pair[1], name="net", **place)
    widget.truth.choose(truth)
    widget.prediction.value = made
    widget.rule.value = "complete"
    return truth, made


def answer(engine: Any) -> None:
    """Do what the engine would do with the newest job."""
    job = engine.job
    context = TaskContext(
        dict(job.params), dict(job.inputs), job.outputs, lambda event: None
    )
    line = encode_message({"type": "done", "result": evaluate(context)})
    job.end("done", result=decode_message(line)["result"])


def test_what_is_missing_is_told_in_turn(widget: EvaluateWidget, pair: Any) -> None:
    assert "predict something first" in problem(widget)
    viewer = widget.viewer
    truth = viewer.add_labels(pair[0], name="truth")
    assert "same layer" in problem(widget)
    viewer.add_labels(pair[1][:-1], name="net")
    assert "'net' has the shape 59 × 80" in problem(widget)
    assert not widget.panel.button.isEnabled()
    viewer.layers["net"].data = pair[1]
    assert widget.truth.layer.value is truth
    assert "Choose beside Rule" in problem(widget)
    widget.rule.value = "sparse"
    assert problem(widget) == ""
    assert widget.panel.button.isEnabled()


def test_layers_that_are_there_already_are_told_apart(
    viewer: Any, host: Any, pair: Any
) -> None:
    viewer.add_labels(pair[0], name="painted")
    viewer.add_labels(pair[1], name="net")
    made = EvaluateWidget(viewer, host)
    viewer.window.add_dock_widget(made, name="Evaluate")
    assert made.truth.layer.value.name == "painted"
    assert made.prediction.value.name == "net"


def test_a_result_is_the_prediction_and_tells_what_it_holds(
    viewer: Any, host: Any, pair: Any
) -> None:
    result = viewer.add_labels(pair[1], name="net")
    box = ((0, 60), (0, 80))
    remember_original(result, Original(pair[1], box, (60, 80), "classes", {}))
    truth = viewer.add_labels(pair[0], name="opened last")
    made = EvaluateWidget(viewer, host)
    viewer.window.add_dock_widget(made, name="Evaluate")
    assert made.prediction.value is result
    assert made.truth.layer.value is truth
    assert made.task.value == "classes"
    made.task.value = "objects"
    viewer.add_labels(pair[0], name="one more")
    assert made.task.value == "objects"  # what was chosen stays


def test_scores_errors_and_a_layer_over_the_image(
    widget: EvaluateWidget, engine: Any, pair: Any
) -> None:
    place = {"scale": (0.5, 0.25), "translate": (3, 4), "rotate": 30}
    truth, made = choose(widget, pair, **place)
    widget.panel.button.click()
    assert widget.panel.button.text() == "Stop"
    answer(engine)
    table = widget.view.scores
    rows = {
        table.item(r, 0).text(): table.item(r, 1).text()
        for r in range(table.rowCount())
    }
    assert rows["AP, IoU 0.50"] == "0.333"
    assert rows["F1, IoU 0.50"] == "0.500"
    assert widget.view.kinds["missed"].text() == "1 missed"
    assert widget.view.kinds["invented"].text() == "1 invented"
    assert widget.view.kinds["confused"].isHidden()
    errors = widget.viewer.layers["errors of net"]
    for name in ("scale", "translate", "rotate"):
        np.testing.assert_allclose(getattr(errors, name), getattr(truth, name))
    assert errors.data[45, 65] == 1
    assert errors.data[8, 53] == 2
    assert errors.data[10, 10] == 0
    assert list(errors.features["error"])[1:3] == ["missed", "invented"]
    assert not np.allclose(errors.get_color(1), errors.get_color(2))
    assert errors.visible
    assert not made.visible  # an object in the colour of an error would look like one
    assert not truth.visible
    assert "Other labels are hidden" in widget.note.text()
    assert widget.prediction.value is made
    assert errors not in widget.prediction.choices
    assert errors not in widget.truth.layer.choices
    np.testing.assert_array_equal(truth.data, pair[0])
    np.testing.assert_array_equal(made.data, pair[1])


def test_rows_move_the_viewer_and_kinds_can_be_left_out(
    widget: EvaluateWidget, engine: Any, pair: Any
) -> None:
    stack = [np.stack([np.zeros_like(p), p, np.zeros_like(p)]) for p in pair]
    choose(widget, stack)
    widget.viewer.dims.set_current_step(0, 0)
    widget.start()
    answer(engine)
    errors = widget.view.errors
    assert errors.rowCount() == 2
    errors.selectRow(0)
    assert errors.item(0, 0).text() == "missed"
    assert widget.viewer.dims.current_step[0] == 1
    # All of so small an image is in view, and stays there.
    np.testing.assert_allclose(camera_of(widget.viewer).center[-2:], (29.5, 49.5))
    errors_layer = widget.viewer.layers["errors of net"]
    errors_layer.corner_pixels = np.array([[1, 0, 0], [1, 15, 15]])  # zoomed in
    widget.view.kinds["missed"].setChecked(False)
    assert errors.rowCount() == 1
    errors.selectRow(0)
    y, x = camera_of(widget.viewer).center[-2:]
    assert abs(y - 8) <= 20
    assert abs(x - 53) <= 1
    # The layer may go; the list then says so.
    widget.viewer.layers.remove("errors of net")
    errors.cellClicked.emit(0, 0)
    assert "gone" in widget.note.text()


def test_the_rule_is_remembered_and_sparse_references_count_only_where_painted(
    widget: EvaluateWidget, engine: Any
) -> None:
    truth = np.zeros((20, 30), np.int32)
    truth[:, :10], truth[5:9, 2:6] = 1, 2
    made = np.zeros_like(truth)
    made[5:9, 2:6], made[5:9, 20:24] = 1, 2  # the second lies where nobody looked
    layer, _ = choose(widget, (truth, made))
    widget.rule.value = "sparse"
    widget.start()
    answer(engine)
    result = widget.run.result
    assert result is not None
    assert sum(result.counts.values()) == 0
    assert result.scores[0][1] == "1.000"
    assert widget.view.errors.isHidden()
    widget.truth.choose(widget.viewer.layers["net"])
    assert widget.rule.value is None
    widget.truth.choose(layer)
    assert widget.rule.value == "sparse"


def test_tables_and_reports_are_written(
    widget: EvaluateWidget, engine: Any, pair: Any, tmp_path: Path
) -> None:
    image = widget.viewer.add_image(np.random.default_rng(0).random((60, 80)))
    truth, _ = choose(widget, pair)
    assert not widget.save_scores.isEnabled()
    widget.start()
    answer(engine)
    assert widget.save_scores.isEnabled()
    widget.save_csv(tmp_path / "s.csv")
    assert "AP,IoU 0.50,0.333" in (tmp_path / "s.csv").read_text()
    widget.save_csv(tmp_path / "s.csv" / "no.csv")
    assert "could not be written" in widget.note.text()
    # The report is about what was compared, whatever is painted since.
    truth.data[:] = 0
    assert image.name == widget.image.value.name
    widget.run.write_report(tmp_path / "r.html")
    answer(engine)
    assert (tmp_path / "r.html").read_text().count("data:image/") == 3
    assert "0.333" in (tmp_path / "r.html").read_text()
    assert str(tmp_path / "r.html") in widget.panel.status.text()
    assert widget.view.errors.rowCount() == 2
    assert len(widget.viewer.layers) == 4


def test_folders(
    widget: EvaluateWidget, engine: Any, pair: Any, tmp_path: Path
) -> None:
    from napari_unet.image_io import write_labels

    for name in ("a", "b"):
        write_labels(tmp_path / "t" / f"{name}.tif", pair[0], "YX")
        write_labels(tmp_path / "p" / f"{name}.tif", pair[1], "YX")
    widget.kind.value = "folders"
    assert problem(widget) == "Choose the folder of the predictions."
    widget.folders.predictions.edit.setText(str(tmp_path / "p"))
    widget.folders.labels.edit.setText(str(tmp_path / "nowhere"))
    assert "There is no folder" in problem(widget)
    widget.folders.labels.edit.setText(str(tmp_path / "t"))
    assert "Rule" in problem(widget)
    widget.rule.value = "complete"
    widget.start()
    answer(engine)
    assert "2 images" in widget.panel.status.text()
    assert widget.view.errors.rowCount() == 4
    assert not widget.viewer.layers
    widget.view.errors.selectRow(1)
    assert "The error is in" in widget.note.text()


def test_classes_with_other_numbers(
    widget: EvaluateWidget, engine: Any, tmp_path: Path
) -> None:
    from napari_unet.image_io import write_labels

    truth = np.zeros((30, 41), np.uint8)
    truth[:10], truth[10:20] = 1, 2
    made = np.where(truth, truth + 1, 0).astype(np.uint8)
    choose(widget, (truth, made))
    assert widget.renumber.native.isHidden()
    widget.task.value = "classes"
    assert not widget.renumber.native.isHidden()
    widget.start()
    answer(engine)
    assert "such as 2=1, 3=2" in " ".join(widget.run.notices)
    widget.renumber.value = "2=1, 3"
    assert "cannot be read at '3'" in problem(widget)
    widget.renumber.value = "2=1, 3=2"
    assert problem(widget) == ""
    widget.start()
    answer(engine)
    result = widget.run.result
    assert result is not None
    assert sum(result.counts.values()) == 0

    # Two folders with one class each are compared as two layers are.
    for name in ("a", "b"):
        write_labels(tmp_path / "t" / f"{name}.tif", truth == 1, "YX")
        write_labels(tmp_path / "p" / f"{name}.tif", 2 * (truth == 1), "YX")
    widget.renumber.value = ""
    widget.kind.value = "folders"
    widget.folders.predictions.edit.setText(str(tmp_path / "p"))
    widget.folders.labels.edit.setText(str(tmp_path / "t"))
    widget.rule.value = "complete"
    widget.start()
    answer(engine)
    assert "The only class is 2 in the prediction" in " ".join(widget.run.notices)
    result = widget.run.result
    assert result is not None
    assert sum(result.counts.values()) == 0


def test_classes_and_pieces(widget: EvaluateWidget, engine: Any) -> None:
    truth = np.ones((30, 41), np.uint8)
    truth[:, 20] = 0
    made = truth.copy()
    made[5:8, 20] = 1
    choose(widget, (truth, made))
    assert widget.pieces.native.isHidden()
    widget.task.value = "classes"
    assert not widget.pieces.native.isHidden()
    widget.pieces.value = True
    widget.start()
    answer(engine)
    result = widget.run.result
    assert result is not None
    assert any(name.startswith("V_Rand") for name, *_ in result.scores)
    assert result.counts == {"missed": 0, "invented": 1, "confused": 0}


def test_layers_may_go_and_the_widget_may_close_meanwhile(
    widget: EvaluateWidget, engine: Any, pair: Any, qtbot: Any
) -> None:
    choose(widget, pair)
    widget.start()
    widget.viewer.layers.clear()
    answer(engine)
    assert [layer.name for layer in widget.viewer.layers] == ["errors of net"]
    viewer = widget.viewer
    choose(widget, pair)
    widget.start()
    with qtbot.waitSignal(widget.destroyed, timeout=10_000):
        viewer.window.remove_dock_widget(widget)
        widget.deleteLater()
    assert engine.job.stops == 1
    answer(engine)


def test_an_error_of_the_engine_is_shown(
    widget: EvaluateWidget, engine: Any, pair: Any
) -> None:
    choose(widget, pair)
    widget.start()
    engine.job.end("failed", error="The disk is full.")
    assert widget.panel.status.text() == "The disk is full."
    assert not widget.save_scores.isEnabled()
    assert widget.view.isHidden()


def test_the_viewer_loads_nothing_that_computes() -> None:
    show = "print(json.dumps([*sys.modules]))"
    code = f"import sys, json, napari_unet.widgets.evaluate; {show}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"torch", "skimage", "scipy.ndimage", "tifffile", "zarr"}
    assert not loaded & {"napari_unet.evaluation.run", "napari_unet.metrics"}
