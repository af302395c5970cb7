"""Live training in a real engine process, as the viewer uses it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.engine.client import Job
from napari_unet.live.annotation_store import load_annotation
from napari_unet.live.messages import (
    PREVIEW_VOXELS,
    Pause,
    Strokes,
    View,
    ViewerMessage,
    to_plain,
)
from napari_unet.models.model_file import read_info

SIZE = 96
WHOLE = ((0, SIZE), (0, SIZE))
CONFIG = {
    "base_channels": 4,
    "levels": 2,
    "patch_size": [32, 32],
    "batch_size": 2,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def cells() -> Any:
    """An image of bright squares, and where they are."""
    truth = np.zeros((SIZE, SIZE), bool)
    for y in range(10, SIZE - 20, 32):
        for x in range(10, SIZE - 20, 32):
            truth[y : y + 18, x : x + 18] = True
    noise = np.random.default_rng(0).normal(60, 8, truth.shape)
    return (noise + 100 * truth).astype(np.uint8), truth


class Viewer:
    """What the viewer does in a live run."""

    def __init__(self, bench: Any, image: Any, folder: Path, **params: Any) -> None:
        self.bench = bench
        self.model_path = folder / "cells.bioimage.io.zip"
        self.project = folder / "project"
        self.serial = 0
        self.job: Job = bench.submit(
            "live",
            {
                "axes": "YX",
                "name": "cells",
                "config": CONFIG,
                "model_path": str(self.model_path),
                "start": {"kind": "scratch"},
                "project": str(self.project),
                **params,
            },
            inputs={"image0": image},
            outputs={
                "annotation": ((SIZE, SIZE), "uint8"),
                "preview": ((PREVIEW_VOXELS,), "int32"),
                "map": ((PREVIEW_VOXELS,), "uint8"),
            },
        )
        bench.until(lambda: self.job.state == "running" or self.job.ended)

    @property
    def labels(self) -> Any:
        return self.job.outputs["annotation"]

    def send(self, message: ViewerMessage) -> None:
        self.job.send(to_plain(message))

    def annotate(self, truth: Any) -> None:
        rows = (slice(2, None, 12), slice(None, None, 3))
        self.labels[rows] = np.where(truth[rows], 2, 1)
        self.tell()

    def tell(self, box: Any = WHOLE) -> None:
        self.serial += 1
        self.send(Strokes(box, self.serial))

    def until(self, event: str, **values: Any) -> dict[str, Any]:
        found: list[dict[str, Any]] = []

        def told() -> bool:
            found[:] = [
                e
                for e in self.bench.named(self.job, event)
                if all(e[k] == v for k, v in values.items())
            ]
            return bool(found) or self.job.ended

        self.bench.until(told)
        assert found, (self.job.state, self.job.error)
        return found[-1]

    def preview(self, shape: Any = (SIZE, SIZE)) -> Any:
        return self.job.outputs["preview"][: shape[0] * shape[1]].reshape(shape)


@pytest.fixture
def real(bench: Any) -> Any:
    """The engine with its own tasks, on one thread."""
    bench.make(tasks_module="napari_unet.engine.tasks", threads=1)
    return bench


def test_paint_watch_correct_stop_and_go_on(
    real: Any, cells: Any, tmp_path: Path
) -> None:
    image, truth = cells
    run = Viewer(real, image, tmp_path)
    run.until("ModeChanged", mode="waiting")
    run.send(View(WHOLE, "probability", 1))
    run.annotate(truth)
    run.until("ModeChanged", mode="learning")
    assert run.until("Preview")["box"] == [[0, SIZE], [0, SIZE]]
    run.until("Preview", source="network")
    found = run.preview() == 2
    assert (found & truth).sum() / (found | truth).sum() > 0.9
    shown = run.job.outputs["map"][: SIZE * SIZE].reshape(SIZE, SIZE)
    assert shown[truth].mean() > 1.5 * shown[~truth].mean()

    # Only the changed box crosses, and the next preview knows it.
    run.labels[0:2, 10:40] = 2
    run.tell(((0, 2), (10, 40)))
    run.until("Preview", serial=2)
    assert (run.preview()[0:2, 10:40] == 2).all()

    # What is looked at is what is shown.
    box = ((20, 60), (30, 80))
    run.send(Pause())
    run.until("ModeChanged", mode="paused")
    run.send(View(box))
    run.until("Preview", box=[[20, 60], [30, 80]])
    assert ((run.preview((40, 50)) == 2) == truth[20:60, 30:80]).mean() > 0.9

    labels = run.labels.copy()
    run.job.stop()
    real.until(lambda: run.job.ended)
    assert run.job.state == "done"
    assert run.job.result == {"model_path": str(run.model_path)}
    info = read_info(run.model_path)
    assert info.training.steps >= 1
    assert [c.value for c in info.classes] == [1, 2]
    np.testing.assert_array_equal(load_annotation(run.project), labels)

    # The next day, in the same engine.
    again = Viewer(real, image, tmp_path)
    again.labels[...] = load_annotation(again.project)
    again.tell()
    assert again.until("StepDone")["step"] == info.training.steps
    again.until("ModeChanged", mode="learning")
    again.job.stop()
    real.until(lambda: again.job.ended)
    assert read_info(run.model_path).training.steps >= info.training.steps


def test_endings_without_a_model(real: Any, cells: Any, tmp_path: Path) -> None:
    """One class is not enough; a damaged project is one sentence."""
    run = Viewer(real, cells[0], tmp_path, project=None)
    run.labels[0] = 1
    run.tell()
    run.job.stop()
    real.until(lambda: run.job.ended)
    assert (run.job.state, run.job.result) == ("done", {})

    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "run.checkpoint").write_bytes(b"not a checkpoint")
    run = Viewer(real, cells[0], tmp_path)
    run.annotate(cells[1])
    real.until(lambda: run.job.ended)
    assert run.job.state == "failed"
    assert run.job.error is not None
    assert "cannot be read" in run.job.error
    assert "\n" not in run.job.error
    assert not run.model_path.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_what_was_saved_outlives_a_killed_engine(
    real: Any, cells: Any, tmp_path: Path
) -> None:
    image, truth = cells
    run = Viewer(real, image, tmp_path)
    run.annotate(truth)
    run.until("Saved", path=str(run.model_path))
    run.until("Saved", path=str(run.project))
    os.kill(real.engine.pid, signal.SIGKILL)
    real.until(lambda: run.job.ended)
    assert run.job.state == "crashed"
    assert run.job.error is not None
    assert "press Train" in run.job.error
    steps = read_info(run.model_path).training.steps
    np.testing.assert_array_equal(load_annotation(run.project), run.labels)
    assert [p.name for p in run.project.iterdir() if ".part" in p.name] == []

    again = Viewer(real, image, tmp_path)
    again.labels[...] = load_annotation(again.project)
    again.tell()
    assert again.until("StepDone")["step"] >= steps
    run.job.release()
    again.job.release()
    real.until(lambda: again.job.ended)
    assert real.segments() == []
