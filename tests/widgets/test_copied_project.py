"""A project that was copied to another folder, as to another computer, goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog

from napari_unet.live.project_info import INFO_NAME, list_projects
from napari_unet.models.library import project_folder
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60), np.uint8)


@pytest.fixture
def widget(viewer: Any, host: Any) -> TrainWidget:
    made = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


def run_once(widget: TrainWidget, engine: Any) -> tuple[Path, np.ndarray]:
    """A run that is kept, and is over."""
    widget.annotation.task.value = "classes"
    widget.new_annotation()
    layer = widget.annotation.layer.value
    layer.paint((10, 10), 1)
    layer.paint((30, 40), 2)
    widget.check()
    widget.live.main.click()
    engine.job.tell("StateChanged", state="running")
    widget.keeper.wait()
    engine.job.end("stopped")
    widget.keeper.wait()
    (folder,) = list_projects(project_folder())
    return folder, layer.data.copy()


@pytest.mark.parametrize("windows", [False, True])
def test_a_copied_project_goes_on(
    widget: TrainWidget,
    engine: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    windows: bool,
) -> None:
    file = tmp_path / "cells.tif"
    tifffile.imwrite(file, PIXELS)
    widget.viewer.open(file, plugin="napari")
    folder, strokes = run_once(widget, engine)
    widget.viewer.layers.clear()
    archive = tmp_path / "usb"
    copy = archive / "from the lab"
    shutil.copytree(folder, copy)
    for number in range(7):  # other projects of that drive
        shutil.copytree(folder, archive / f"older {number}")
    shutil.rmtree(folder)
    file.rename(copy / file.name)
    if windows:
        info = json.loads((copy / INFO_NAME).read_text())
        info["images"][0]["path"] = "D:\\data\\cells.tif"
        (copy / INFO_NAME).write_text(json.dumps(info))
    monkeypatch.setattr(
        QFileDialog, "getExistingDirectory", lambda *_: str(copy), raising=True
    )
    widget.again.refresh(active=False)
    widget.again.other.click()
    assert widget.live.run.active, widget.again.problem.text()
    assert engine.job.params["project"] == str(copy)
    (image,) = widget.image.layers()
    np.testing.assert_array_equal(image.data, PIXELS)
    np.testing.assert_array_equal(widget.annotation.layer.value.data, strokes)
    widget.keeper.wait()
    assert len(list(archive.iterdir())) == 8  # nothing of others is tidied away
    engine.job.end("stopped")


def test_a_folder_without_a_project_is_told(
    widget: TrainWidget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    widget.again.other.click()
    assert "cannot be read" in widget.again.problem.text()
    assert not widget.live.run.active
