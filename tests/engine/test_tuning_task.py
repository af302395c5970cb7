"""The task that cuts objects anew, without a process."""

from __future__ import annotations

import importlib.util
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.data.source import ImageSource
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.engine.tasks import predict
from napari_unet.engine.tuning_task import keep_settings, tune
from napari_unet.models.model import Model
from napari_unet.models.model_file import read_info
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.workflows import exhaust
from napari_unet.workflows import predict as predict_image

SHAPE = (90, 110)


def _helpers() -> Any:
    """The model and image of the tests of any size."""
    path = Path(__file__).parents[1] / "test_any_size.py"
    spec = importlib.util.spec_from_file_location("any_size", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ANY = _helpers()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose maps follow the brightness."""
    folder = tmp_path_factory.mktemp("model")
    made: Path = ANY.make_model("objects").save(
        folder / "bright.bioimage.io.zip", quick=True
    )
    return made


def pixels() -> np.ndarray:
    return np.asarray(ANY.image(SHAPE))


def params(model: Path, **more: Any) -> dict[str, Any]:
    return {
        "axes": "YX",
        "voxel_size": [0.5, 0.5],
        "unit": "micrometer",
        "name": "cells",
        "ndim": 2,
        "model_path": str(model),
        "samples": [0],
        **more,
    }


class Running:
    """The task in a thread, with the viewer's side of it."""

    def __init__(self, model: Path, region: list[list[int]], **inputs: Any) -> None:
        self.events: list[dict[str, Any]] = []
        self.stop = threading.Event()
        shape = [b - a for a, b in region]
        self.context = TaskContext(
            params(model, region=region),
            {"image0": pixels(), **inputs},
            {"labels": np.zeros(shape, np.int32)},
            self.events.append,
            self.stop,
        )
        self.thread = threading.Thread(target=tune, args=(self.context,), daemon=True)
        self.thread.start()

    def ask(self, serial: int, **settings: Any) -> dict[str, Any]:
        self.context.deliver({"serial": serial, "settings": settings})
        end = time.monotonic() + 120
        while time.monotonic() < end:
            for event in list(self.events):
                if event.get("serial") == serial:
                    return event
            time.sleep(0.01)
        raise TimeoutError

    def end(self) -> None:
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


def whole(model: Path, **how: Any) -> np.ndarray:
    source = ImageSource((pixels(),), "YX", (0.5, 0.5), "micrometer")
    return exhaust(predict_image(Model.load(model), source, **how)).labels


def test_what_is_shown_is_what_a_prediction_gives(model: Path) -> None:
    running = Running(model, [[0, 90], [0, 110]])
    try:
        for serial, settings in enumerate(
            [
                {},
                {"prominence": 0.1},
                {"min_size": "2 um2", "fill_holes": True, "clear_border": True},
                {"foreground_threshold": 0.3, "max_size": 60},
            ]
        ):
            event = running.ask(serial, **settings)
            expected = whole(model, objects=settings)
            assert event["event"] == "Decoded"
            assert event["objects"] == expected.max() > 2
            np.testing.assert_array_equal(running.context.outputs["labels"], expected)
    finally:
        running.end()


def test_objects_that_the_edge_of_the_view_cuts_keep_their_size(model: Path) -> None:
    running = Running(model, [[20, 60], [30, 80]])
    try:
        running.ask(1, min_size=12, clear_border=True)
        expected = whole(model, objects={"min_size": 12, "clear_border": True})
        shown = running.context.outputs["labels"]
        np.testing.assert_array_equal(shown > 0, expected[20:60, 30:80] > 0)
    finally:
        running.end()


def test_wrong_settings_are_told_and_the_task_goes_on(model: Path) -> None:
    running = Running(model, [[0, 40], [0, 40]])
    try:
        refused = running.ask(1, min_size=50, max_size=10)
        assert refused["event"] == "Refused"
        assert "must not be smaller" in refused["text"]
        assert running.ask(2)["event"] == "Decoded"
    finally:
        running.end()


def test_a_mask_holds_in_the_view_and_in_a_prediction(model: Path) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, :50] = 3
    running = Running(model, [[0, 90], [0, 110]], mask=mask)
    try:
        running.ask(1)
        shown = running.context.outputs["labels"].copy()
    finally:
        running.end()
    assert shown[:, :50].any()
    assert not shown[:, 50:].any()
    out = np.zeros(SHAPE, np.int32)
    made = TaskContext(
        params(model, samples=None, objects={}),
        {"image0": pixels(), "mask": mask},
        {"labels": out},
        lambda event: None,
    )
    predict(made)
    np.testing.assert_array_equal(out, shown)


def test_a_stop_before_the_maps_are_there_ends_it(model: Path) -> None:
    stop = threading.Event()
    stop.set()
    made = TaskContext(
        params(model, region=[[0, 40], [0, 40]]),
        {"image0": pixels()},
        {"labels": np.zeros((40, 40), np.int32)},
        lambda event: None,
        stop,
    )
    with pytest.raises(TaskStopped):
        tune(made)


def test_settings_can_be_kept_in_the_model(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.bioimage.io.zip"
    copy.write_bytes(model.read_bytes())
    made = TaskContext(
        params(copy, settings={"min_size": "3 um2", "one_piece": True}), {}, {}, print
    )
    keep_settings(made)
    decoder = read_info(copy).decoder
    assert decoder == DecoderInfo(min_size=12, one_piece=True)
    assert whole(copy).max() > 0
