"""The *Training set* widget in a real viewer, with an engine that a test plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from napari_unet.training_set import TrainingSet
from napari_unet.widgets.annotation_layer import new_annotation_layer
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget
from napari_unet.widgets.training_set import TrainingSetWidget

pytestmark = pytest.mark.viewer


def annotated(viewer: Any, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 9, (40, 50)).astype(np.uint8)
    image = viewer.add_image(pixels, name=f"day {seed}")
    layer = new_annotation_layer(snapshot([image]), "classes")
    layer.data[:9], layer.data[12:20] = 1, 2
    viewer.add_layer(layer)


@pytest.fixture
def widget(viewer: Any, host: Any, tmp_path: Path) -> TrainingSetWidget:
    annotated(viewer, 1)
    made = TrainingSetWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Training set")
    return made


def add(widget: TrainingSetWidget, qtbot: Any) -> None:
    widget.put.click()
    qtbot.waitUntil(lambda: not widget.busy, timeout=60_000)


def test_images_are_added_removed_and_trained_on(
    widget: TrainingSetWidget, viewer: Any, engine: Any, qtbot: Any, tmp_path: Path
) -> None:
    widget.put.click()
    assert "Choose a folder" in widget.message.text()
    folder = tmp_path / "set"
    widget.folder.edit.setText(str(folder))
    assert "no training set" in widget.panel.problem.text()
    add(widget, qtbot)
    assert widget.message.text() == "Added."
    annotated(viewer, 2)
    widget.image.image.value = viewer.layers["day 2"]
    widget.labels.value = viewer.layers["day 2 annotation"]
    add(widget, qtbot)
    assert widget.table.rowCount() == 2
    assert widget.table.item(1, 0).text() == "day 2"
    assert widget.about.text() == "2 images: classes, annotated sparse"
    widget.panel.button.click()
    assert engine.job.task == "train_set"
    assert engine.job.params["folder"] == str(folder)
    assert engine.job.params["model_name"] == "set"
    engine.job.end("failed", error="no")
    widget.table.selectRow(0)
    widget.take.click()
    assert [i.name for i in TrainingSet(folder).info().items] == ["day 2"]


def test_an_annotation_of_another_image_is_refused(
    widget: TrainingSetWidget, viewer: Any, tmp_path: Path
) -> None:
    widget.folder.edit.setText(str(tmp_path / "set"))
    viewer.add_image(np.zeros((7, 9)), name="other")
    widget.image.image.value = viewer.layers["other"]
    widget.put.click()
    assert "shape" in widget.message.text()
    assert not (tmp_path / "set").exists()


def test_the_choices_of_train_are_copied(viewer: Any, host: Any, qtbot: Any) -> None:
    annotated(viewer, 1)
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget, name="Train U-Net")
    widget.annotation.task.value = "classes"
    widget.name.value = "mine"
    widget.recipe.python.click()
    qtbot.waitUntil(lambda: not widget.recipe.busy, timeout=60_000)
    script = QApplication.clipboard().text()
    assert "napari_unet.train(" in script
    assert "class_names={1: 'background', 2: 'class 2'}" in script
    files = [Path(line.strip().strip("',")) for line in script.splitlines()[3:5]]
    assert all(path.is_file() for path in files)
    widget.recipe.command.click()
    qtbot.waitUntil(lambda: not widget.recipe.busy, timeout=60_000)
    assert QApplication.clipboard().text().startswith("napari-unet train --images ")
