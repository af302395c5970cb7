"""Pictures of following objects: the real widget on the sample time-lapse."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from less_painting import rest, wait_for
from numpy.typing import NDArray
from PIL import Image

SIZE = (1366, 768)
FRAMES = (3, 6, 9, 11)
EDGE = 330
"""Pixels of each picture of the strip."""
GAP = 6


def pictures(window: Path, strip: Path) -> None:
    """Track the sample; write a screenshot, and a strip of frames with their tracks."""
    import napari

    from napari_unet.models.library import FOLDER_VARIABLE

    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        viewer = napari.Viewer(title="U-Net Live")
        viewer.window.resize(*SIZE)
        viewer.open_sample("napari-unet-live", "nuclei_timelapse")
        labels = next(x for x in viewer.layers if x.name.endswith(" labels"))
        for layer in viewer.layers[1:]:
            layer.visible = False
        _, widget = viewer.window.add_plugin_dock_widget(
            "napari-unet-live", "Track over time"
        )
        widget.labels.choose(labels)
        widget.panel.button.click()
        wait_for(lambda: not widget.run.active)
        if widget.run.state != "done":
            raise RuntimeError(widget.run.message)
        tracked, tracks = viewer.layers[-2:]
        tracked.opacity = 0.45
        tracks.tail_width = 3
        viewer.reset_view()
        rest()
        viewer.dims.set_point(0, FRAMES[-2])
        rest()
        viewer.window.screenshot(path=str(window), flash=False, canvas_only=False)
        shots = []
        for frame in FRAMES:
            viewer.dims.set_point(0, frame)
            rest(0.5)
            shots.append(_square(viewer.screenshot(canvas_only=True, flash=False)))
        gap = np.full((EDGE, GAP, 3), 255, np.uint8)
        row = [part for shot in shots for part in (shot, gap)][:-1]
        Image.fromarray(np.concatenate(row, axis=1)).save(strip)
        viewer.close()


def _square(shot: NDArray[Any]) -> NDArray[np.uint8]:
    """The middle of a canvas."""
    height, width = shot.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    middle = Image.fromarray(shot[top : top + edge, left : left + edge, :3])
    return np.asarray(middle.resize((EDGE, EDGE), Image.Resampling.LANCZOS))


if __name__ == "__main__":
    pictures(*(Path(argument) for argument in sys.argv[1:3]))
