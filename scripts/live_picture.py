"""Pictures of learning while painting: the real widget on the sample nuclei."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from less_painting import rest, wait_for

SIZE = (1366, 868)
"""Tall enough for the curve."""
LEARN_S = 60
"""Seconds after which the preview shows what a person would go on from."""
OPACITY = 0.5
"""Of the annotation, so that the preview can be seen below it."""


def pictures(before: Path, after: Path, seconds: float = LEARN_S) -> None:
    """Learn from the annotation of the sample, with a screenshot before and after."""
    import napari

    from napari_unet.models.library import FOLDER_VARIABLE

    viewer = napari.Viewer(title="U-Net Live")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        viewer.window.resize(*SIZE)
        viewer.open_sample("napari-unet-live", "nuclei_2d")
        image, annotation = viewer.layers
        annotation.opacity = OPACITY
        _, widget = viewer.window.add_plugin_dock_widget(
            "napari-unet-live", "Train U-Net"
        )
        widget.image.set_layers([image])
        widget.annotation.task.value = "objects"
        widget.annotation.choose(annotation)
        widget.check()
        viewer.reset_view()
        rest()  # the canvas has to know what it shows
        viewer.layers.selection.active = annotation
        annotation.mode = "paint"
        rest()
        viewer.window.screenshot(path=str(before), flash=False, canvas_only=False)
        run = widget.live.run
        widget.live.main.click()
        wait_for(lambda: run.preview is not None or not run.active)
        wait_for(lambda: run.seconds_learnt > seconds or not run.active)
        if not run.active:
            raise RuntimeError(run.message)
        rest()
        viewer.window.screenshot(path=str(after), flash=False, canvas_only=False)
        run.stop()
        wait_for(lambda: not run.active)
    viewer.close()
