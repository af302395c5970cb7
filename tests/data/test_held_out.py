"""Labels for validation that cannot measure what is learnt are told beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import napari_unet
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes
from napari_unet.data.held_out import validation_notes
from napari_unet.data.source import image_source
from napari_unet.errors import AnnotationError
from napari_unet.training.events import Started

RNG = np.random.default_rng(0)


def labels(*values: int) -> Any:
    """Stripes of these values."""
    return np.repeat(np.array(values, np.int32), 16)[:, None] * np.ones(64, np.int32)


def notes(known: list[int], *values: int, task: str = "classes") -> list[str]:
    array = labels(*values)
    source = image_source(np.zeros(array.shape, np.uint8), "YX")
    annotation = Annotation(array, source, "sparse")
    config = training_config(task=task, annotation="sparse")
    return validation_notes([annotation], make_classes(known, 1), config)


def test_all_classes_are_there() -> None:
    assert notes([1, 2, 3], 0, 1, 2, 3) == []
    assert notes([1, 2], 0, 1, 7, 9, task="objects") == []


def test_what_the_score_does_not_tell_is_said() -> None:
    (said,) = notes([1, 2, 3], 1, 2)
    assert "no pixel of 'class 3': the score says nothing about it." in said
    (said,) = notes([1, 2], 1, 2, 4)
    assert "hold the value 4, which the labels for training do not" in said


def test_nothing_to_measure_is_an_error() -> None:
    with pytest.raises(AnnotationError, match=r"hold the value 1, but none .* \(2\)"):
        notes([1, 2], 0, 1)
    with pytest.raises(AnnotationError, match="hold nothing"):
        notes([1, 2], 0)
    with pytest.raises(AnnotationError, match="hold no object"):
        notes([1, 2], 0, 1, task="objects")


def train(truth: Any, **how: Any) -> list[str]:
    said: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, Started):
            said.extend(event.notes)

    image = RNG.integers(0, 255, (64, 64)).astype(np.uint8)
    napari_unet.train(
        image,
        labels(0, 1, 2, 0),
        annotation="sparse",
        validation=([image], [truth]),
        on_event=listen,
        max_steps=1,
        batch_size=1,
        base_channels=4,
        levels=2,
        patch_size=(32, 32),
        **how,
    )
    return said


def test_masks_that_are_read_as_sparse_end_training_before_it_begins() -> None:
    with pytest.raises(AnnotationError, match="0 is not annotated, 1 is background"):
        train(labels(0, 1, 1, 0))


def test_notes_come_with_the_start() -> None:
    assert any("hold the value 3" in note for note in train(labels(1, 2, 3, 0)))
