"""*Explain*, *Preview patches*, and an Image layer of values as target."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import MagicMock

import numpy as np
import pytest

from napari_unet.config import training_config
from napari_unet.data.classes import make_classes
from napari_unet.engine.context import TaskContext
from napari_unet.engine.tasks import rehearse
from napari_unet.widgets.augmentation_preview import recipe_html
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.rehearsal_run import RehearsalRun
from napari_unet.widgets.training_run import TrainingRequest


def request(task: str = "classes") -> TrainingRequest:
    rng = np.random.default_rng(0)
    image = rng.random((64, 80), np.float32)
    labels = np.zeros(image.shape, np.int32)
    labels[:, 40:] = 1
    place = {"scale": (1.0, 1.0)}
    reading = Reading("YX", 2)
    shot = ImageSnapshot((image,), reading, (1.0, 1.0), "pixel", "cells", place)
    regression = task == "regression"
    return TrainingRequest(
        image=shot,
        annotation=image * 3 if regression else labels,
        config=training_config(
            task=task, annotation="complete", device="cpu", base_channels=4
        ),
        classes=None if regression else make_classes([0, 1], 0),
        name="m",
    )


def in_this_process(run: RehearsalRun, engine: MagicMock) -> None:
    """Do what the engine was asked for, and tell the run."""
    _, params = engine.submit.call_args.args
    options = engine.submit.call_args.kwargs
    outputs = {
        name: np.zeros(shape, dtype)
        for name, (shape, dtype) in options["outputs"].items()
    }
    context = TaskContext(params, options["inputs"], outputs, lambda _: None)
    result = rehearse(context)
    engine.submit.return_value.outputs = outputs
    run._on_event({"event": "StateChanged", "state": "done", "result": result})


@pytest.mark.parametrize("task", ["classes", "regression"])
def test_patches_come_with_their_targets(task: str) -> None:
    engine = MagicMock()
    run = RehearsalRun(engine)
    run.start(request(task), patches=True)
    in_this_process(run, engine)
    assert run.state == "done"
    picture = run.picture
    assert picture is not None
    assert picture.image.shape[1:] == picture.target.shape
    assert np.ptp(picture.image) > 0.1
    known = picture.target[np.isfinite(picture.target)]
    if task == "classes":
        assert set(np.unique(known)) == {0, 1}
        assert picture.n_classes == 2
    else:
        assert picture.n_classes == 0
        assert len(np.unique(known)) > 100


def test_an_explanation_needs_no_patches() -> None:
    engine = MagicMock()
    run = RehearsalRun(engine)
    run.start(request(), patches=False)
    assert engine.submit.call_args.kwargs["outputs"] == {}
    in_this_process(run, engine)
    assert run.picture is None
    text = recipe_html(run.recipe)
    assert "<b>Patch</b>" in text
    assert "<b>Loss</b>: cross-entropy + Dice" in text


def test_text_of_the_user_is_no_markup() -> None:
    choice = {"setting": "task", "title": "t", "value": "<b>", "reason": "a & b"}
    assert recipe_html([choice]).count("&lt;b&gt;") == 1


def test_a_failed_rehearsal_leaves_no_old_picture() -> None:
    engine = MagicMock()
    run = RehearsalRun(engine)
    run.start(request(), patches=True)
    in_this_process(run, engine)
    run.start(replace(request(), name="n"), patches=True)
    run._on_event({"event": "StateChanged", "state": "failed", "error": "No."})
    assert run.picture is None
    assert run.message == "No."
