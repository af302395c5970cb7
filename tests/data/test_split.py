from __future__ import annotations

import numpy as np
import pytest

from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.data.split import split_annotations


def annotated(labels: np.ndarray, rule: str = "complete", axes: str = "") -> Annotation:
    axes = axes or "ZYX"[3 - labels.ndim :]
    source = ImageSource((np.zeros(labels.shape, np.uint8),), axes)
    return Annotation(labels, source, rule)


def painted(parts, annotation: Annotation) -> np.ndarray:
    source = annotation.source
    times = np.zeros((source.n_samples, *source.spatial_shape), int)
    for part in parts:
        if part.annotation is annotation:
            times[(part.sample, *(slice(*b) for b in part.box))] += 1
    return times


@pytest.mark.parametrize("shape", [(100, 80), (12, 70, 90)])
@pytest.mark.parametrize("task", ["classes", "objects"])
def test_held_out_and_training_never_overlap(shape, task) -> None:
    rng = np.random.default_rng(0)
    one = annotated(rng.integers(0, 3, shape))
    split = split_annotations([one], task, 0.2, seed=0)
    teaching, measuring = painted(split.training, one), painted(split.validation, one)
    assert (teaching + measuring == 1).all()
    assert 0.1 <= measuring.mean() <= 0.5
    assert split.note is None


def test_every_class_stands_on_both_sides() -> None:
    labels = np.ones((100, 200), np.int32)
    labels[:, 90:110] = 2  # a class in the middle: cuts across X would miss it
    one = annotated(labels, "sparse")
    split = split_annotations([one], "classes", 0.2, seed=0)
    for parts in (split.training, split.validation):
        box = parts[0].box
        seen = labels[tuple(slice(*b) for b in box)]
        assert set(np.unique(seen)) == {1, 2}


def test_too_few_annotations_are_all_used_and_said() -> None:
    labels = np.zeros((100, 100), np.int32)
    labels[10, 10:20], labels[60, 10:20] = 1, 2
    one = annotated(labels, "sparse")
    split = split_annotations([one], "classes", 0.2, seed=0)
    assert split.validation == []
    assert split.training[0].box == ((0, 100), (0, 100))
    assert "Too few annotations" in split.note


def test_many_images_are_held_out_whole_and_rare_classes_stay() -> None:
    images = [annotated(np.arange(64 * 64).reshape(64, 64) % 2) for _ in range(10)]
    rare = annotated(np.arange(64 * 64).reshape(64, 64) % 3)
    split = split_annotations([*images, rare], "classes", 0.2, seed=3)
    assert len(split.validation) == 2
    assert any(p.annotation is rare for p in split.training)
    chosen = {id(p.annotation) for p in split.validation}
    assert chosen.isdisjoint(id(p.annotation) for p in split.training)
    again = split_annotations([*images, rare], "classes", 0.2, seed=3)
    assert chosen == {id(p.annotation) for p in again.validation}


def test_one_cut_for_all_frames_of_a_movie() -> None:
    labels = np.random.default_rng(0).integers(0, 2, (4, 64, 64))
    movie = annotated(labels, axes="TYX")
    split = split_annotations([movie], "classes", 0.2, seed=0)
    assert len({p.box for p in split.validation}) == 1
    assert sorted(p.sample for p in split.validation) == [0, 1, 2, 3]


def test_nothing_is_held_out_where_nothing_is_wanted() -> None:
    one = annotated(np.random.default_rng(0).integers(0, 2, (64, 64)))
    assert split_annotations([one], "classes", 0.0, seed=0).validation == []
