"""How long the viewer stands still while a U-Net trains, next to the same without.

    python benchmarks/event_loop.py [--seconds 30] [--json FILE]

A 1024 × 1024 image and its annotation are on screen and the camera keeps moving. Every
pause between two turns of the event loop is recorded, first with the engine idle, then
while it trains. Both come from one run, so that their ratio means something on any
machine. Needs a display; ``xvfb-run`` will do.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import napari
import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_unet.engine.client import Engine
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.sample_data import nuclei_2d
from napari_unet.widgets.annotation_layer import remember_rule
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

TICK_MS = 5
MOVE_MS = 50


class Pauses:
    """Records the time between turns of the event loop."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self.viewer = viewer
        self.seconds: list[float] = []
        self._last: float | None = None
        self._tick = QTimer()
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self._turned)
        self._move = QTimer()
        self._move.setInterval(MOVE_MS)
        self._move.timeout.connect(self._moved)

    def record(self, seconds: float) -> dict[str, float]:
        """Let the event loop run, the camera moving, and say what was seen."""
        self.seconds, self._last = [], None
        self._tick.start()
        self._move.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.0005)
        self._tick.stop()
        self._move.stop()
        pauses = np.array(self.seconds) * 1000
        return {
            "max_ms": round(float(pauses.max()), 1),
            "p99_ms": round(float(np.percentile(pauses, 99)), 1),
            "median_ms": round(float(np.median(pauses)), 1),
        }

    def _turned(self) -> None:
        now = time.monotonic()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now

    def _moved(self) -> None:
        phase = time.monotonic()
        y, x = 512 + 100 * np.sin(phase), 512 + 100 * np.cos(phase)
        # napari 0.9 moved the camera; older ones have it on the viewer.
        scene = getattr(self.viewer, "scene", self.viewer)
        scene.camera.center = (y, x)


def main() -> None:
    """Record both and print them with their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sample = nuclei_2d(seed=0, shape=(1024, 1024))
    viewer = napari.Viewer()
    viewer.add_image(sample.image, name="nuclei")
    annotation = viewer.add_labels(sample.annotation, name="annotation")
    remember_rule(annotation, "sparse")
    host = EngineHost(Engine())
    host.start()
    widget = TrainWidget(viewer, host, Session())
    widget.learn.value = False
    widget.annotation.task.value = "objects"
    viewer.window.add_dock_widget(widget, name="Train U-Net")
    pauses = Pauses(viewer)
    pauses.record(5)  # the first turns draw what was never drawn before
    idle = pauses.record(options.seconds)
    with TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        widget.train()
        while widget.run.active and not widget.run.curve.steps:
            pauses.record(0.2)
        if not widget.run.active:
            raise SystemExit(f"Training did not start: {widget.run.message}")
        training = pauses.record(options.seconds)
        running = widget.run.active
        widget.run.stop()
        while widget.run.active:
            pauses.record(0.2)
        host.close()
    viewer.close()
    result = {
        "idle": idle,
        "training": training,
        "trained_to_the_end_of_the_recording": running,
        "max_ratio": round(training["max_ms"] / idle["max_ms"], 2),
        "p99_ratio": round(training["p99_ms"] / idle["p99_ms"], 2),
    }
    print(json.dumps(result, indent=1))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
