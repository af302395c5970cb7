"""Live runs with an engine that says what the test wants. No Qt."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_unet.config import TrainingConfig
from napari_unet.data.classes import make_classes
from napari_unet.live.messages import (
    PREVIEW_VOXELS,
    Classes,
    Continue,
    FindNext,
    Hint,
    Limit,
    Pause,
    StartAfresh,
    Strokes,
    View,
    from_plain,
)
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.live_run import READING, LiveRequest, LiveRun
from napari_unet.widgets.session import Session

BOX = ((0, 8), (0, 9))


def request(**changes: Any) -> LiveRequest:
    values: dict[str, Any] = {
        "image": snapshot([Image(np.zeros((8, 9), np.uint8), name="cells")]),
        "annotation": np.ones((8, 9), np.int16),
        "config": TrainingConfig(task="classes", annotation="sparse"),
        "classes": make_classes([1, 2], 1),
        "name": "my model",
    }
    return LiveRequest(**{**values, **changes})


@pytest.fixture
def run(engine: Any) -> LiveRun:
    return LiveRun(engine, Session())


def begin(run: LiveRun, engine: Any, **changes: Any) -> Any:
    run.start(request(**changes))
    engine.job.tell("StateChanged", state="running")
    return engine.job


def sent(job: Any) -> list[Any]:
    """Messages that reached the engine since the last call."""
    found = [from_plain(message) for message in job.sent]
    job.sent.clear()
    return found


def preview(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "box": [[0, 8], [0, 9]],
        "serial": 1,
        "step": 3,
        "source": "network",
        "show": "",
        "rows": [0, 8],
    }
    return {**values, **changes}


def test_pixels_are_shared_and_not_sent(run: LiveRun, engine: Any) -> None:
    run.start(request(start={"kind": "scratch"}, project="/p"))
    job = engine.job
    assert job.task == "live"
    assert set(job.inputs) == {"image0"}
    assert job.params["start"] == {"kind": "scratch"}
    assert job.params["project"] == "/p"
    assert [c["value"] for c in job.params["classes"]] == [1, 2]
    assert run.shared == {}
    job.tell("StateChanged", state="running")
    assert run.shared["annotation"].shape == (8, 9)
    assert run.shared["annotation"].dtype == np.int16
    assert run.shared["preview"].shape == (PREVIEW_VOXELS,)
    assert run.shared["map"].dtype == np.uint8


def test_strokes_count_up(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    run.painted(BOX)
    run.painted(((1, 2), (3, 4)))
    assert sent(job) == [Strokes(BOX, 1), Strokes(((1, 2), (3, 4)), 2)]
    assert run.serial == 2


def test_wishes_reach_the_engine(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    run.pause()
    run.go_on()
    run.find_next()
    run.limit(BOX)
    run.limit(None)
    assert sent(job) == [Pause(), Continue(), FindNext(), Limit(BOX), Limit(None)]


def test_the_same_view_is_told_once(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    run.look_at(BOX)
    run.look_at(BOX)
    run.look_at(BOX, "probability", 1)
    assert sent(job) == [View(BOX), View(BOX, "probability", 1)]


def test_a_limit_holds_for_the_next_run_too(run: LiveRun, engine: Any) -> None:
    run.limit(BOX)
    assert sent(begin(run, engine)) == [Limit(BOX)]


def test_classes_are_told_only_when_they_change(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    run.tell_classes(make_classes([1, 2], 1))
    assert sent(job) == []
    run.tell_classes(make_classes([1, 2, 3], 1))
    (message,) = sent(job)
    assert isinstance(message, Classes)
    assert [c["name"] for c in message.classes] == ["background", "class 2", "class 3"]


def test_objects_have_no_classes(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine, classes=None)
    run.tell_classes(make_classes([1, 2], 1))
    assert sent(job) == []


def test_modes_are_told_in_words_and_learning_is_timed(
    run: LiveRun, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    job = begin(run, engine)
    job.tell("ModeChanged", mode="learning", text="Learning.")
    assert (run.mode, run.message) == ("learning", "Learning.")
    now = 130.0
    job.tell("ModeChanged", mode="resting", text="Nothing improves any more.")
    now = 200.0
    assert run.seconds_learnt == 30.0
    job.tell("ModeChanged", mode="learning", text="Learning.")
    now = 240.0
    assert run.seconds_learnt == 70.0
    run.start_afresh()
    assert sent(job) == [StartAfresh()]
    assert run.seconds_learnt == 0.0
    now = 245.0
    assert run.seconds_learnt == 5.0


def test_nobody_who_painted_is_told_at_first_that_nothing_is_painted(
    run: LiveRun, engine: Any
) -> None:
    missing = "Paint a few strokes of two classes or more: then learning begins."
    job = begin(run, engine, painted=True)
    job.tell("ModeChanged", mode="waiting", text=missing)  # it has not looked yet
    assert run.message == READING
    job.tell("ModeChanged", mode="learning", text="Learning.")
    job.tell("ModeChanged", mode="waiting", text=missing)
    assert run.message == missing


def test_who_painted_nothing_is_told_so(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    job.tell("ModeChanged", mode="waiting", text="Paint a few strokes.")
    assert run.message == "Paint a few strokes."


def test_steps_and_scores_make_a_curve(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    job.tell("ModeChanged", mode="learning", text="Learning.")
    job.tell("Started", device="CPU", plan={}, notes=["A note."])
    job.tell("StepDone", step=5, loss=0.5, progress=0.0, seconds_left=0.0)
    words = "too few annotations to tell"
    job.tell("LiveScore", step=5, score=None, low=None, high=None, text=words)
    assert run.score_text == words
    job.tell("LiveScore", step=6, score=0.87, low=0.8, high=0.92, text="0.87")
    assert run.message == "Learning."  # no end is counted down to
    assert run.curve.steps == [5]
    assert (run.curve.score_steps, run.curve.scores) == ([6], [0.87])
    assert (run.device, run.notices) == ("CPU", ["A note."])
    run.start_afresh()
    assert (run.curve.steps, run.score_text) == ([], "")


def test_rows_add_up_until_a_preview_is_taken(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    heard: list[int] = []
    run.previewed.connect(lambda: heard.append(1))
    job.tell("Preview", **preview(rows=[2, 3]))
    job.tell("Preview", **preview(rows=[5, 6], serial=2))
    assert len(heard) == 2
    taken = run.take_preview()
    assert taken is not None
    assert (taken.box, taken.rows, taken.serial) == (BOX, (2, 6), 2)
    assert run.take_preview() is None
    job.tell("Preview", **preview(rows=[1, 2]))
    job.tell("Preview", **preview(box=[[0, 4], [0, 9]], rows=[3, 4]))
    taken = run.take_preview()
    assert taken is not None
    assert taken.rows == (3, 4)  # of another box


def test_advice_and_regions(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    hint = Hint("few strokes", "Paint more of class 3.", "paint", {"class": 3})
    job.tell("Advice", hints=[asdict(hint)])
    assert run.hints == (hint,)
    found: list[Any] = []
    run.region_found.connect(found.append)
    job.tell("NextRegion", box=[[1, 2], [3, 4]])
    job.tell("NextRegion", box=None)
    assert found == [((1, 2), (3, 4)), None]


@pytest.mark.parametrize("state", ["done", "crashed"])
def test_nothing_is_held_or_sent_after_the_end(
    run: LiveRun, engine: Any, state: str
) -> None:
    job = begin(run, engine)
    job.tell("ModeChanged", mode="learning", text="Learning.")
    job.tell("Advice", hints=[asdict(Hint("a", "b"))])
    job.tell("Saved", step=7, path="/models/my model.bioimage.io.zip")
    job.end(
        state, error="The engine died.", result={"model_path": "/m/a.bioimage.io.zip"}
    )
    run.painted(BOX)
    run.look_at(BOX)
    job.tell("Preview", **preview())
    assert sent(job) == []
    assert (run.shared, run.hints, run.mode) == ({}, (), None)
    assert run.take_preview() is None
    assert run.model_path is not None
    assert job.released
    begin(run, engine)
    assert run.active
    assert run.serial == 0


def test_steps_that_go_back_begin_another_curve(run: LiveRun, engine: Any) -> None:
    job = begin(run, engine)
    for step in (1, 2, 3):
        job.tell("StepDone", step=step, loss=1.0, progress=0, seconds_left=1)
    job.tell("LiveScore", step=3, score=0.5, low=0.1, high=0.9, text="")
    for step in (1, 2):
        job.tell("StepDone", step=step, loss=0.5, progress=0, seconds_left=1)
    assert (run.curve.steps, run.curve.losses) == ([1, 2], [0.5, 0.5])
    assert run.curve.scores == []
