"""Runs with an engine that says what the test wants. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_unet.config import TrainingConfig
from napari_unet.data.classes import make_classes
from napari_unet.errors import EngineError
from napari_unet.models.model_file import read_info
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.prediction_run import (
    PredictionRequest,
    PredictionRun,
    result_name,
)
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.runs import in_words
from napari_unet.widgets.session import Session
from napari_unet.widgets.training_run import TrainingRequest, TrainingRun

LABELS = np.ones((8, 9), np.int32)


def training(engine: Any, session: Session | None = None) -> TrainingRun:
    return TrainingRun(engine, session or Session())


def request(**changes: Any) -> TrainingRequest:
    values: dict[str, Any] = {
        "image": snapshot([Image(np.zeros((8, 9), np.uint8), name="cells")]),
        "annotation": LABELS,
        "config": TrainingConfig(task="classes"),
        "classes": make_classes([1, 2], 1),
        "name": "my model",
    }
    return TrainingRequest(**{**values, **changes})


def test_training_sends_plain_values_and_a_copy(
    engine: Any, model_folder: Path
) -> None:
    run = training(engine)
    run.start(request())
    job = engine.job
    assert job.task == "train"
    assert job.params["axes"] == "YX"
    assert job.params["config"]["task"] == "classes"
    assert [c["name"] for c in job.params["classes"]] == ["background", "class 2"]
    assert job.params["model_path"] == str(model_folder / "my model.bioimage.io.zip")
    assert job.inputs["annotation"] is not LABELS  # painting goes on
    np.testing.assert_array_equal(job.inputs["annotation"], LABELS)


def test_training_tells_what_happens(engine: Any) -> None:
    run = training(engine)
    run.start(request())
    job = engine.job
    job.tell("StateChanged", state="running")
    job.tell("Started", device="CPU", plan={}, notes=["Few annotations."])
    assert run.device == "CPU"
    job.tell("StepDone", step=1, loss=0.5, progress=0.25, seconds_left=180.0)
    assert run.progress == 0.25
    assert run.message == "Step 1: about 3 minutes left at most"
    job.tell("Validated", step=1, loss=0.4, score=0.5, best=True)
    job.tell("Validated", step=2, loss=0.4, score=0.4, best=False)
    assert (run.curve.scores, run.curve.best) == ([0.5, 0.4], 0)
    job.tell("Notice", text="The learning rate was lowered.")
    job.tell("Notice", text="The learning rate was lowered.")
    assert run.notices == ["Few annotations.", "The learning rate was lowered."]
    assert run.active


def test_a_saved_model_is_announced(engine: Any) -> None:
    session, heard = Session(), []
    session.model_saved.connect(heard.append)
    run = training(engine, session)
    run.start(request())
    job = engine.job
    job.tell("Finished", step=9, reason="time is up", score=0.875, seconds=120.0)
    job.end("done", result={"model_path": "/models/my model.bioimage.io.zip"})
    assert run.state == "done"
    assert heard == [Path("/models/my model.bioimage.io.zip")]
    assert run.message == (
        "The model 'my model' is saved (time is up after about 2 minutes, score 0.88)."
    )
    assert job.released


def test_stop_asks_first_and_then_kills(engine: Any) -> None:
    run = training(engine)
    run.start(request())
    run.stop()
    assert (run.state, engine.job.stops) == ("stopping", 1)
    engine.job.tell("Stopping")
    engine.job.tell("StepDone", step=1, loss=0.5, progress=0.2, seconds_left=9.0)
    assert "Stopping" in run.message
    run.stop()
    assert engine.job.stops == 2
    engine.job.end("done", stopped=True, result={"model_path": "/m/a.bioimage.io.zip"})
    assert run.state == "stopped"
    assert "'a' is saved" in run.message


def test_a_killed_training_keeps_what_reached_the_disk(engine: Any) -> None:
    session, heard = Session(), []
    session.model_saved.connect(heard.append)
    run = training(engine, session)
    run.start(request())
    engine.job.end("stopped")
    assert (run.state, run.message, heard) == ("stopped", "Stopped.", [])
    run.start(request())
    engine.job.tell("Saved", step=7, path="/models/my model.bioimage.io.zip")
    engine.job.end("crashed", error="The engine died.")
    assert run.message == "The engine died. The best model so far is 'my model'."
    assert heard == [Path("/models/my model.bioimage.io.zip")]


@pytest.mark.parametrize("state", ["failed", "crashed"])
def test_the_sentence_of_an_error_is_shown_and_train_works_again(
    engine: Any, state: str
) -> None:
    run = training(engine)
    run.start(request())
    engine.job.end(state, error="The engine process ended: press Train.")
    assert run.state == state
    assert run.message == "The engine process ended: press Train."
    run.start(request())
    assert run.active
    assert len(engine.jobs) == 2
    assert run.curve.steps == []


def test_late_messages_are_dropped(engine: Any) -> None:
    run = training(engine)
    run.start(request())
    engine.job.end("crashed", error="Gone.")
    engine.job.tell("StepDone", step=1, loss=0.5, progress=0.2, seconds_left=9.0)
    assert (run.message, run.curve.steps) == ("Gone.", [])


def test_an_engine_that_refuses_gives_its_sentence(engine: Any) -> None:
    engine.refuse = EngineError("There is too little shared memory.")
    run = training(engine)
    run.start(request())
    assert (run.state, run.message) == ("failed", "There is too little shared memory.")


# Predictions -------------------------------------------------------------------------


def prediction(
    layer: Image, path: Path, reading: Reading | None = None, **more: Any
) -> PredictionRequest:
    return PredictionRequest(
        snapshot([layer], reading), model_path=path, info=read_info(path), **more
    )


def test_a_whole_image_is_predicted(
    engine: Any, write_model: Callable[..., Path]
) -> None:
    run = PredictionRun(engine)
    run.start(prediction(Image(np.zeros((8, 9)), name="img"), write_model()))
    job = engine.job
    assert job.params["samples"] is None
    assert job.params["region"] is None
    assert job.outputs["labels"].shape == (8, 9)
    job.outputs["labels"][:] = 3
    job.tell("TileDone", done=1, total=4)
    assert run.progress == 0.25
    job.end("done", result={"objects": 1, "seconds": 2.0, "complete": True})
    assert run.message == "Found 1 object in 2.0 seconds: the labels can be edited."
    assert run.result is not None
    assert run.result.name == "img cells"
    assert run.result.labels.dtype == np.int32
    assert (run.result.labels == 3).all()
    assert run.result.labels.base is not job.outputs["labels"]


def test_the_view_of_a_2d_model_is_one_plane(
    engine: Any, write_model: Callable[..., Path]
) -> None:
    layer = Image(np.zeros((2, 5, 8, 9)), scale=(1, 2, 1, 1))
    asked = prediction(
        layer,
        write_model(),
        Reading("TZYX", 2),
        box=((1, 2), (3, 4), (2, 6), (0, 9)),
        probabilities=True,
    )
    assert asked.samples() == [8]
    assert asked.region() == [[2, 6], [0, 9]]
    run = PredictionRun(engine)
    run.start(asked)
    assert engine.job.outputs["labels"].shape == (1, 4, 9)
    assert engine.job.outputs["probabilities"].shape == (2, 1, 4, 9)
    engine.job.end("done", result={"objects": 0, "seconds": 0.1})
    assert run.result is not None
    assert run.result.probabilities is not None
    assert run.result.labels.shape == (1, 1, 4, 9)
    assert run.result.probabilities.shape == (2, 1, 1, 4, 9)
    np.testing.assert_allclose(run.result.placement["translate"], (1, 6, 2, 0))


def test_samples_come_back_in_the_order_of_the_layer(
    engine: Any, write_model: Callable[..., Path]
) -> None:
    layer = Image(np.zeros((6, 3, 5)), axis_labels=("y", "t", "x"))
    box = ((1, 3), (0, 3), (2, 5))
    run = PredictionRun(engine)
    run.start(prediction(layer, write_model(), box=box))
    written = engine.job.outputs["labels"]
    assert written.shape == (3, 2, 3)
    written[:] = np.arange(3)[:, None, None]
    engine.job.end("done", result={"objects": 2, "seconds": 0.1})
    assert run.result is not None
    assert run.result.labels.shape == (2, 3, 3)
    assert (run.result.labels == np.arange(3)[None, :, None]).all()


def test_a_stopped_prediction_makes_no_labels(
    engine: Any, write_model: Callable[..., Path]
) -> None:
    run = PredictionRun(engine)
    run.start(prediction(Image(np.zeros((8, 9))), write_model()))
    run.stop()
    engine.job.end("done", stopped=True, result={"complete": False})
    assert run.state == "stopped"
    assert run.result is None


def test_names_of_results_say_nothing_twice() -> None:
    assert result_name("liver", "cells") == "liver cells"
    assert result_name("cells", "cells objects") == "cells objects"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "a few seconds"),
        (42, "about 40 seconds"),
        (58, "about a minute"),
        (200, "about 3 minutes"),
        (3600, "about an hour"),
        (9000, "about 2 hours and 30 minutes"),
        (float("inf"), "an unknown time"),
        (float("nan"), "an unknown time"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
