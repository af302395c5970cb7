"""A run that is kept, and what becomes of it under other circumstances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes
from napari_unet.data.source import image_source
from napari_unet.live.annotation_store import load_annotation
from napari_unet.live.messages import PREVIEW_VOXELS, Classes, Strokes
from napari_unet.live.project import Project
from napari_unet.live.screen import Shared
from napari_unet.live.session import LiveSession
from napari_unet.training.events import Notice, StepDone

SHAPE = (64, 64)
EVERYTHING = tuple((0, n) for n in SHAPE)


def session(folder: Path, labels: np.ndarray, values: list[int]) -> LiveSession:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 40, SHAPE).astype(np.uint8)
    image[:, 32:] += 100
    source = image_source(image)
    return LiveSession(
        Annotation(labels, source, "sparse", True),
        TrainingConfig(device="cpu"),
        make_classes(values, 1),
        Shared(np.zeros(PREVIEW_VOXELS, np.int32), np.zeros(PREVIEW_VOXELS, np.uint8)),
        project=Project(folder),
        starter=False,
    )


def run(live: LiveSession, messages: list[Any]) -> list[Any]:
    """Run until it has learnt for a moment."""
    told: list[Any] = []
    live._inbox = lambda: [messages.pop(0)] if messages else []
    live._stop = lambda: any(isinstance(e, StepDone) and e.loss > 0 for e in told)
    for event in live.run():
        told.append(event)
    return told


def strokes() -> np.ndarray:
    labels = np.zeros(SHAPE, np.int32)
    for row in range(4, 60, 8):
        labels[row : row + 3, 8:12], labels[row : row + 3, 50:54] = 1, 2
    return labels


def test_another_class_starts_afresh_and_says_so(tmp_path: Path) -> None:
    labels = strokes()
    run(session(tmp_path, labels, [1, 2]), [Strokes(EVERYTHING, 1)])
    assert Project(tmp_path).can_continue
    labels[30:33, 30:33] = 3
    again = session(tmp_path, labels, [1, 2, 3])
    told = run(again, [Strokes(EVERYTHING, 1)])
    notes = [e.text for e in told if isinstance(e, Notice)]
    assert any("starts afresh from your strokes" in text for text in notes)
    assert again.learner is not None
    np.testing.assert_array_equal(load_annotation(tmp_path), labels)


def test_an_annotation_that_has_not_come_yet_replaces_nothing(tmp_path: Path) -> None:
    labels = strokes()
    run(session(tmp_path, labels, [1, 2]), [Strokes(EVERYTHING, 1)])
    empty = session(tmp_path, np.zeros(SHAPE, np.int32), [1, 2])
    news = [c.model_dump() for c in make_classes([1, 2], 1)]
    empty._inbox = lambda: [Classes([{**c, "name": "other"} for c in news])]
    answers = iter([False, False, False])
    empty._stop = lambda: next(answers, True)
    list(empty.run())
    empty.keep_annotation()
    np.testing.assert_array_equal(load_annotation(tmp_path), labels)
