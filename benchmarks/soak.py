"""Memory of both processes over a long time of work in the viewer.

    python benchmarks/soak.py [--minutes 60]

One round of work: open an image, paint, learn while painting, correct the preview,
learn from the corrections, predict, train again in one go, predict, close the image.
Rounds follow each other in one viewer and one engine. Prints the memory of both
processes ten times, with temporary files and pieces of shared memory; the last line is
JSON and says by how much the second half grew. Needs a display; ``xvfb-run`` will do.

Neither process may grow by more than what models on disk take in lists.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari
import numpy as np
import psutil
from qtpy.QtCore import QEventLoop, QTimer

from napari_unet.engine.client import Engine
from napari_unet.engine.shared import PREFIX
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.sample_data import nuclei_2d
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

SIZE = 256
STROKES = 12
LEARN_SECONDS = 20.0
"""At most, in each round; less where there is little time."""
PATIENCE_SECONDS = 600.0
"""Whatever takes longer is a hang."""
MEASURED = 10
TORCHS_OWN = "torchinductor_"
"""A folder of torch's, one for each user, that stays for the next program."""
SMALL = {
    "base_channels": "8",
    "levels": "3",
    "patch_size": "64 64",
    "batch_size": "4",
    "max_steps": "30",
}


@dataclass(frozen=True)
class Measurement:
    """Memory in MB; numbers of things that should not add up."""

    minutes: float
    viewer: float
    engine: float
    shared: int
    files: int
    threads: int
    rounds: int

    def __str__(self) -> str:
        return (
            f"{self.minutes:5.1f} min  viewer {self.viewer:6.0f} MB  engine "
            f"{self.engine:6.0f} MB  shared memory {self.shared}  temporary files "
            f"{self.files}  threads {self.threads}  rounds {self.rounds}"
        )


class Soak:
    """A person who works in one viewer for a long time."""

    def __init__(self, folder: Path, learn_seconds: float = LEARN_SECONDS) -> None:
        self.folder = folder
        self.learn_seconds = learn_seconds
        self.rng = np.random.default_rng(0)
        self.rounds = 0
        self.viewer = napari.Viewer()
        self.host = EngineHost(Engine())
        self.host.start()
        news = Session()
        self.train = TrainWidget(self.viewer, self.host, news)
        self.predict = PredictWidget(self.viewer, self.host, news)
        for widget, name in ((self.train, "Train"), (self.predict, "Predict")):
            self.viewer.window.add_dock_widget(
                widget, name=name, tabify=name != "Train"
            )
        for name, value in SMALL.items():
            self.train.advanced.field(name).value = value

    def wait(self, seconds: float) -> None:
        """Let the event loop run.

        A loop of its own, as in an open viewer: ``processEvents`` deletes nothing that
        was told to ``deleteLater``, and napari's controls of each removed layer would
        add up, 10 MB in a round.
        """
        loop = QEventLoop()
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()

    def until(self, what: Callable[[], bool]) -> None:
        """Let the event loop run until something is so."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not what():
            if time.monotonic() > end:
                raise TimeoutError(f"nothing came: {self.train.live.run.message}")
            self.wait(0.05)

    def work(self) -> None:
        """One round."""
        task = "classes" if self.rounds % 2 == 0 else "objects"
        sample = nuclei_2d(self.rounds % 4, (SIZE, SIZE), task="objects")
        image = self.viewer.add_image(sample.image, name="nuclei")
        self.train.annotation.task.value = task
        self.train.new_annotation()
        annotation = self.train.annotation.layer.value
        self.paint(annotation, sample.labels, task, STROKES)
        self.learn_live(annotation, sample.labels, task)
        self.predict_once(image)
        self.train.learn.value = False
        self.train.check()
        self.train.train()
        self.until(lambda: not self.train.run.active)
        self.predict_once(image)
        self.train.learn.value = True
        self.viewer.layers.clear()
        self.rounds += 1

    def paint(self, annotation: Any, truth: Any, task: str, strokes: int) -> None:
        """Strokes at random places, each with the label that is right there."""
        annotation.brush_size = 5
        for number in range(strokes):
            inside = np.argwhere((truth > 0) == bool(number % 2))
            point = tuple(int(p) for p in inside[self.rng.integers(len(inside))])
            value = 1
            if truth[point]:
                value = 2 if task == "classes" else int(truth[point]) + 1
            annotation.paint(point, value)
            self.wait(0.05)

    def learn_live(self, annotation: Any, truth: Any, task: str) -> None:
        """Learn while painting, and from corrections of the preview."""
        live = self.train.live
        self.train.check()
        self.train.train()
        self.until(lambda: live.run.preview is not None or not live.run.active)
        end = time.monotonic() + self.learn_seconds
        while time.monotonic() < end and live.run.active:
            self.paint(annotation, truth, task, 2)
            annotation.undo()
            self.wait(1)
        edited = live.corrections.edit_preview()
        if edited is not None:
            edited.paint((SIZE // 2, SIZE // 2), 1)
            live.corrections.learn_edits()
        self.wait(2)
        live.run.stop()
        self.until(lambda: not live.run.active)

    def predict_once(self, image: Any) -> None:
        """Predict with the newest model, correct the result, take it away."""
        self.predict.image.set_layers([image])
        self.predict.predict()
        self.until(lambda: not self.predict.run.active)
        if self.predict.run.state != "done":
            raise RuntimeError(self.predict.run.message)
        result = self.viewer.layers[-1]
        result.paint((5, 5), 3)
        self.viewer.layers.remove(result)

    def measure(self, minutes: float) -> Measurement:
        """Look at both processes."""
        gc.collect()
        viewer = psutil.Process()
        pid = self.host.engine.pid
        engine = 0 if pid is None else psutil.Process(pid).memory_info().rss
        return Measurement(
            minutes=round(minutes, 1),
            viewer=viewer.memory_info().rss / 1e6,
            engine=engine / 1e6,
            shared=len(shared_memory()),
            files=len(temporary_files(self.folder)),
            threads=viewer.num_threads(),
            rounds=self.rounds,
        )

    def close(self) -> None:
        self.viewer.close()
        self.host.close()


def shared_memory() -> list[Path]:
    """Our shared memory, where it can be seen."""
    return list(Path("/dev/shm").glob(f"{PREFIX}{os.getpid()}_*"))


def temporary_files(folder: Path) -> list[Path]:
    """What lies in the folder of temporary files, without what is torch's."""
    return [p for p in folder.rglob("*") if TORCHS_OWN not in str(p)]


def main() -> int:
    """Work, look at the memory, close, and look at what is left."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as name:
        # Models stay on disk, as they should; temporary files are looked at alone.
        os.environ[FOLDER_VARIABLE] = str(Path(name) / "models")
        temporary = Path(name) / "temporary"
        temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)
        soak = Soak(temporary, min(LEARN_SECONDS, minutes * 60 / (2 * MEASURED)))
        begun = time.monotonic()
        found: list[Measurement] = []
        while len(found) < MEASURED:
            soak.work()
            passed = (time.monotonic() - begun) / 60
            if passed >= minutes * len(found) / (MEASURED - 1):
                found.append(soak.measure(passed))
                print(found[-1], flush=True)
        pid = soak.host.engine.pid
        soak.close()
        left = [str(p) for p in (*shared_memory(), *temporary_files(temporary))]
        half = found[len(found) // 2]
        result = {
            "minutes": found[-1].minutes,
            "rounds": soak.rounds,
            "viewer_growth_second_half_mb": round(found[-1].viewer - half.viewer, 1),
            "engine_growth_second_half_mb": round(found[-1].engine - half.engine, 1),
            "left_behind": left,
            "engine_ended": pid is None or not psutil.pid_exists(pid),
        }
        print(json.dumps(result))
    return int(bool(left) or not result["engine_ended"])


if __name__ == "__main__":
    sys.exit(main())
