"""The task of following objects, without a process."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.engine.tracking_task import track
from napari_unet.sample_timelapse import nuclei_timelapse, unlinked
from napari_unet.tracking import track as track_labels


def context(labels: Any, stop: threading.Event | None = None) -> tuple[Any, list[Any]]:
    events: list[dict[str, Any]] = []
    made = TaskContext(
        {"axes": "TYX", "voxel_size": [0.3, 0.3], "config": {"max_gap": 1}},
        {"labels": labels},
        {"labels": np.zeros(labels.shape, np.int32)},
        events.append,
        stop,
    )
    return made, events


def test_the_viewer_gets_what_python_gets() -> None:
    movie = nuclei_timelapse(seed=2, frames=5, shape=(128, 128))
    labels = unlinked(movie.labels)
    out, tracks = track_labels(labels, voxel_size=(0.3, 0.3), max_gap=1)
    task, events = context(labels)
    result = track(task)
    np.testing.assert_array_equal(task.outputs["labels"], out)
    rows = [row for e in events if e["event"] == "TrackRows" for row in e["rows"]]
    np.testing.assert_allclose(rows, tracks.data)
    assert {d: mothers for d, *mothers in result["graph"]} == tracks.graph
    assert (result["tracks"], result["divisions"]) == (tracks.count, tracks.divisions)
    last = [e for e in events if e["event"] == "FrameDone"][-1]
    assert (last["doing"], last["done"], last["total"]) == ("writing", 5, 5)


def test_a_stop_ends_the_task() -> None:
    stop = threading.Event()
    stop.set()
    task, events = context(np.ones((3, 8, 8), np.int32), stop)
    with pytest.raises(TaskStopped):
        track(task)
    assert not events
