"""Measuring, boundaries and superpixels as tasks of the engine."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from napari_unet.engine import object_tasks
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.engine.protocol import decode_message, encode_message
from napari_unet.measure import measure_objects
from napari_unet.segmentation.boundaries import boundaries

PARAMS = {"axes": "TYX", "voxel_size": [2.0, 0.5], "unit": "micrometer", "ndim": 2}
PARAMS |= {"name": "cells"}
MEASURE = {"image_axes": ["TYX", "TYXC"], "channels": ["a", "r", "g", "b"]}
MEASURE |= {"class_names": [[1, "round"]], "solidity": True}


def labels() -> np.ndarray:
    made = np.zeros((3, 20, 30), np.uint16)
    made[0, 2:6, 3:9] = 2
    made[2, 8:15, 10:20] = 2
    made[2, 16:18, 2:4] = 7
    return made


def context(
    params: dict[str, Any],
    inputs: dict[str, Any],
    outputs: dict[str, Any] | None = None,
    stop: threading.Event | None = None,
) -> tuple[TaskContext, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []

    def emit(event: dict[str, Any]) -> None:
        events.append(decode_message(encode_message(event)))  # as it would travel

    made = TaskContext({**PARAMS, **params}, inputs, outputs or {}, emit, stop)
    return made, events


def test_a_table_arrives_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_tasks, "ROWS_AT_ONCE", 2)
    rng = np.random.default_rng(0)
    inputs = {
        "labels": labels(),
        "image0": rng.random((3, 20, 30)),
        "image1": rng.integers(0, 255, (3, 20, 30, 3), np.uint8),
        "classes": (labels() == 2).astype(int),
    }
    asked, events = context(MEASURE, inputs)
    assert object_tasks.measure(asked)["objects"] == 3
    parts = [e["columns"] for e in events if e["event"] == "TableRows"]
    assert [len(part["id"]) for part in parts] == [2, 1]
    alone = measure_objects(
        labels(), "TYX", (2.0, 0.5), "micrometer", image=inputs["image0"]
    )
    for name in ("area_um2", "axis_major_um", "frame"):
        sent = np.concatenate([part[name] for part in parts])
        np.testing.assert_allclose(sent, alone[name])
    means = np.concatenate([part["intensity_mean_a"] for part in parts])
    np.testing.assert_allclose(means, alone["intensity_mean"])
    assert parts[0]["class_name"] == ["round", "round"]
    assert {"intensity_max_g"} <= set(parts[0])
    assert [e["done"] for e in events if e["event"] == "BlockDone"] == [1, 2, 3]


def test_no_objects_make_one_empty_piece() -> None:
    more = {"image_axes": [], "channels": [], "class_names": []}
    asked, events = context({**MEASURE, **more}, {"labels": labels() * 0})
    assert object_tasks.measure(asked)["objects"] == 0
    assert len(events[-1]["columns"]["id"]) == 0


def test_boundaries_and_superpixels_fill_every_frame() -> None:
    out = np.zeros((3, 20, 30), np.uint16)
    asked, _ = context({"width": 2, "ids": True}, {"labels": labels()}, {"labels": out})
    object_tasks.boundaries(asked)
    for frame, whole in zip(out, labels(), strict=True):
        np.testing.assert_array_equal(frame, boundaries(whole, 2))
    pieces = np.zeros((3, 20, 30), np.int32)
    image = {"image": np.zeros((3, 20, 30), np.float32)}
    asked, _ = context({"size": 10, "of": "boundary"}, image, {"labels": pieces})
    object_tasks.superpixels(asked)
    assert (pieces > 0).all()


@pytest.mark.parametrize("task", ["measure", "boundaries", "superpixels"])
def test_stop_ends_without_a_result(task: str) -> None:
    stop = threading.Event()
    stop.set()
    out = np.zeros((3, 20, 30), np.int32)
    settings = {**MEASURE, "image_axes": [], "channels": [], "width": 1, "ids": True}
    settings |= {"size": 10, "of": "boundary"}
    inputs = {"labels": labels(), "image": labels()}
    asked, _ = context(settings, inputs, {"labels": out}, stop)
    with pytest.raises(TaskStopped):
        getattr(object_tasks, task)(asked)
    assert not out.any()
