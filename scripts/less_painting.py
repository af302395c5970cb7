"""The picture of painting superpixels: the real widget, a few clicks, a limit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE = (1366, 768)
PATIENCE_S = 300
N_NUCLEI = 6


def picture(path: Path) -> None:
    """Paint some nuclei superpixel by superpixel, and write a screenshot."""
    import napari

    from napari_unet.models.library import FOLDER_VARIABLE
    from napari_unet.sample_data import nuclei_2d
    from napari_unet.widgets.navigation import camera_of

    sample = nuclei_2d()
    viewer = napari.Viewer(title="U-Net Live")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        viewer.window.resize(*SIZE)
        image = viewer.add_image(sample.image, name=sample.name)
        image.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
        image.gamma = 0.7
        _, widget = viewer.window.add_plugin_dock_widget(
            "napari-unet-live", "Train U-Net"
        )
        widget.annotation.task.value = "classes"
        widget.image.set_layers([image])
        widget.new_annotation()
        widget.check()
        section = widget.annotation.superpixels
        section.side.setValue(9)
        section.switch.click()
        wait_for(lambda: section.found is not None)
        height, width = sample.image.shape
        camera = camera_of(viewer)
        camera.center = (height / 2, width / 2)
        camera.zoom *= 2.2
        _paint(section, sample.labels)
        rest()  # the canvas has to know what it shows
        widget.annotation.limit.button.click()
        viewer.layers.selection.active = widget.annotation.layer.value
        widget.check()
        rest()
        viewer.window.screenshot(path=str(path), flash=False, canvas_only=False)
    viewer.close()


def _paint(section: Any, truth: Any) -> None:
    """Click on all superpixels of some nuclei in the middle, and on background."""
    layer, found = section._layer, section._tool.map
    middle = np.array(truth.shape) / 2
    places = [np.argwhere(truth == n).mean(axis=0) for n in np.unique(truth) if n]
    order = np.argsort([np.abs(place - middle).max() for place in places])
    chosen = [int(truth[tuple(places[i].astype(int))]) for i in order[:N_NUCLEI]]
    inside = np.bincount(found.pieces.ravel(), np.isin(truth, chosen).ravel())
    share = inside / np.bincount(found.pieces.ravel()).clip(1)
    layer.selected_label = 2
    for piece in np.flatnonzero(share > 0.5):
        point = np.argwhere(found.pieces == piece)[0]
        section._tool.fill(point, point)
    layer.selected_label = 1
    y, x = middle.astype(int)
    row = next(r for r in range(y, y + 60) if not truth[r, x - 40 : x + 40].any())
    section._tool.fill((row, x - 38), (row, x + 38))
    layer.selected_label = 2


def wait_for(done: Callable[[], bool]) -> None:
    """Let the viewer work until something is done."""
    import time

    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("what the picture shows did not come")
        rest(0.05)


def rest(seconds: float = 1.0) -> None:
    """Let the viewer work for a while."""
    from qtpy.QtTest import QTest

    QTest.qWait(int(1000 * seconds))
