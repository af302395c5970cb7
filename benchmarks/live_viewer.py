"""What a person at the viewer feels of a live run.

    python benchmarks/live_viewer.py [--seconds 60]

Strokes are painted in a real viewer while the engine learns and sends previews; every
pause between two turns of the event loop is recorded. Then the same strokes are painted
and the same previews arrive at the same moments with no engine running: the control.
Needs a display; ``xvfb-run`` will do. The last line of output is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import napari
import numpy as np
from event_loop import Pauses
from numpy.typing import NDArray
from qtpy.QtCore import QTimer

from napari_unet.engine.client import Engine
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.sample_data import Sample, nuclei_2d
from napari_unet.widgets.annotation_layer import remember_rule
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

SIZE = 1024
STROKE_SECONDS = 2.0


@dataclass
class Recording:
    """Events of a live run, when they came, and what the shared arrays held."""

    begun: float = 0.0
    events: list[tuple[float, dict[str, Any], NDArray[np.int32] | None]] = field(
        default_factory=list
    )


class RecordingEngine(Engine):
    """Writes down what a live run tells."""

    recording: Recording

    def submit(self, task: str, params: Any, **more: Any) -> Any:
        on_event = more.pop("on_event")
        self.recording.begun = time.monotonic()
        job: Any = None

        def listen(event: dict[str, Any]) -> None:
            held = None
            if event.get("event") == "Preview":
                count = int(np.prod([b - a for a, b in event["box"]]))
                held = job.outputs["preview"][:count].copy()
            moment = time.monotonic() - self.recording.begun
            self.recording.events.append((moment, event, held))
            on_event(event)

        job = super().submit(task, params, on_event=listen, **more)
        return job


class ReplayJob:
    """A job whose events were recorded."""

    def __init__(self, outputs: Any, on_event: Callable[[Any], None]) -> None:
        self.outputs = {k: np.zeros(*spec) for k, spec in outputs.items()}
        self.on_event = on_event
        self.begun = time.monotonic()

    def send(self, message: Any) -> None:
        pass

    def release(self) -> None:
        pass

    def stop(self) -> None:
        self.on_event({"event": "StateChanged", "state": "stopped"})


class ReplayEngine:
    """Tells again what was recorded, at the same moments; computes nothing."""

    state, device = "ready", "nothing"

    def __init__(self, recording: Recording) -> None:
        self._left = list(recording.events)
        self._job: ReplayJob | None = None

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass

    def poll(self) -> None:
        job = self._job
        while job and self._left and time.monotonic() - job.begun >= self._left[0][0]:
            _, event, held = self._left.pop(0)
            if held is not None:
                job.outputs["preview"][: held.size] = held
            if event.get("state") not in ("done", "stopped"):
                job.on_event(event)

    def submit(
        self, task: str, params: Any, *, inputs: Any, outputs: Any, on_event: Any
    ) -> ReplayJob:
        self._job = ReplayJob(outputs, on_event)
        return self._job


@dataclass
class Delays:
    """Seconds from a stroke to the first preview that knows it."""

    painted: dict[int, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    first_preview: float | None = None


def session(
    sample: Sample, engine: Any, seconds: float, delays: Delays
) -> dict[str, float]:
    """Paint and look for `seconds`; the pauses."""
    viewer = napari.Viewer()
    viewer.add_image(sample.image, name="nuclei")
    annotation = viewer.add_labels(sample.annotation.copy(), name="annotation")
    remember_rule(annotation, "sparse")
    host = EngineHost(engine)
    host.start()
    widget = TrainWidget(viewer, host, Session())
    widget.annotation.task.value = "classes"
    viewer.window.add_dock_widget(widget, name="Train U-Net")
    pauses = Pauses(viewer)
    pauses.record(5)
    while host.engine.state != "ready":
        pauses.record(0.2)
    run = widget.live.run
    begun = time.monotonic()

    def seen() -> None:
        if run.preview is None:
            return
        now = time.monotonic()
        if delays.first_preview is None:
            delays.first_preview = now - begun
        for serial in [s for s in delays.painted if s <= run.preview.serial]:
            delays.seconds.append(now - delays.painted.pop(serial))

    run.previewed.connect(seen)
    widget.train()
    rng = np.random.default_rng(0)

    def paint() -> None:
        y, x = (int(v) for v in rng.integers(20, SIZE - 20, 2))
        annotation.brush_size = 6
        value = 2 if sample.labels[y, x] else 1
        moment = time.monotonic()
        before = run.serial
        annotation.paint((y, x), value)
        # It is sent a little later, when the brush rests.
        QTimer.singleShot(400, lambda: sent(before, moment))

    def sent(before: int, moment: float) -> None:
        if run.serial > before:
            delays.painted.setdefault(run.serial, moment)
            seen()

    brush = QTimer()
    brush.setInterval(int(STROKE_SECONDS * 1000))
    brush.timeout.connect(paint)
    brush.start()
    found = pauses.record(seconds)
    brush.stop()
    run.stop()
    end = time.monotonic() + 60
    while run.active and time.monotonic() < end:
        pauses.record(0.2)
    host.close()
    viewer.close()
    return found


def main() -> None:
    """Record a live session, then its replay; print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    sample = nuclei_2d(shape=(SIZE, SIZE), task="classes")
    engine = RecordingEngine()
    engine.recording = Recording()
    delays = Delays()
    with TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = str(Path(folder))
        # Not measured: napari compiles what draws labels when it is first used.
        warm = RecordingEngine()
        warm.recording = Recording()
        session(sample, warm, 8, Delays())
        live = session(sample, engine, seconds, delays)
        control = session(sample, ReplayEngine(engine.recording), seconds, Delays())
    result = {
        "viewer_first_preview_s": delays.first_preview,
        "viewer_stroke_to_preview_s": float(np.median(delays.seconds)),
        "viewer_stroke_to_preview_max_s": max(delays.seconds),
        "control_p99_ms": control["p99_ms"],
        "control_max_ms": control["max_ms"],
        "pause_p99_ms": live["p99_ms"],
        "pause_max_ms": live["max_ms"],
        "previews": sum(h is not None for _, _, h in engine.recording.events),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
