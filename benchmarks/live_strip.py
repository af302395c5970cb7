"""A live run in the real viewer as a strip of pictures, for the documentation.

    python benchmarks/live_strip.py --image FILE --truth FILE --output PNG [--shot PNG]

Strokes are painted by a simulated annotator through the real widget; the canvas is
photographed after 0, 5, 15, 30 and 60 seconds. Needs a display; ``xvfb-run`` will do.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import napari
import numpy as np
import tifffile
from annotator import Annotator
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication
from skimage.io import imsave

from napari_unet.engine.client import Engine
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

MOMENTS = (0, 5, 15, 30, 60)
ROUND_SECONDS = 7.0
EDGE = 420
"""Pixels of each picture of the strip."""


def turn(seconds: float) -> None:
    """Let the event loop run."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)


def photograph(viewer: napari.Viewer) -> NDArray[np.uint8]:
    """The canvas, cut to a square."""
    shot = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    edge = min(shot.shape[:2])
    top, left = ((n - edge) // 2 for n in shot.shape[:2])
    square = shot[top : top + edge, left : left + edge]
    step = np.linspace(0, edge - 1, EDGE).astype(int)
    return square[step][:, step]


def main() -> None:
    """Paint, look, and write the strip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--shot", type=Path, help="the whole window at 30 s")
    options = parser.parse_args()
    image = tifffile.imread(options.image)
    truth = (tifffile.imread(options.truth) > 0).astype(np.int32)
    annotator = Annotator(truth[np.newaxis], [0])
    with TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        viewer = napari.Viewer()
        viewer.window.resize(1366, 768)
        viewer.add_image(image, name=options.image.stem)
        host = EngineHost(Engine())
        host.start()
        widget = TrainWidget(viewer, host, Session())
        widget.annotation.task.value = "classes"
        viewer.window.add_dock_widget(widget, name="Train U-Net")
        widget.new_annotation()
        layer = widget.annotation.layer.value
        while host.engine.state != "ready":
            turn(0.2)
        viewer.reset_view()
        annotator.begin()

        def paint() -> None:
            changed = np.nonzero(layer.data != annotator.strokes[0])
            layer.data_setitem(changed, annotator.strokes[0][changed])

        paint()
        turn(1.0)
        strip = [photograph(viewer)]
        widget.train()
        begun, next_round = time.monotonic(), ROUND_SECONDS
        for moment in MOMENTS[1:]:
            while (now := time.monotonic() - begun) < moment:
                turn(0.2)
                preview = widget.live.view.preview
                if now >= next_round and preview is not None and preview.layer:
                    next_round += ROUND_SECONDS
                    shown = (np.asarray(preview.layer.data) == 2).astype(np.int32)
                    if shown.shape == truth.shape:
                        annotator.correct(0, shown)
                        paint()
            strip.append(photograph(viewer))
            if moment == 30 and options.shot:
                whole = viewer.screenshot(canvas_only=False, flash=False)
                imsave(options.shot, whole[..., :3], check_contrast=False)
            print(f"{moment:3d} s: {annotator.count} strokes", flush=True)
        widget.live.run.stop()
        while widget.live.run.active:
            turn(0.2)
        print(widget.live.run.message)
        host.close()
        viewer.close()
    gap = np.full((EDGE, 6, 3), 255, np.uint8)
    row = [part for shot in strip for part in (shot, gap)][:-1]
    imsave(options.output, np.concatenate(row, axis=1), check_contrast=False)


if __name__ == "__main__":
    main()
