from __future__ import annotations

import numpy as np
import pytest

from napari_unet.config import TrainingConfig
from napari_unet.data import checks
from napari_unet.data.annotation import Annotation
from napari_unet.data.checks import (
    annotation_summary,
    count_quickly,
    model_problem,
    training_problems,
)
from napari_unet.data.source import ImageSource
from napari_unet.models.info import ModelInfo, NetworkInfo


def annotate(values, rule="sparse", background=True, shape=(20, 30)):
    labels = np.zeros(shape, np.int32)
    for row, value in enumerate(values):
        labels[row] = value
    axes = "TZYX"[-len(shape) :]
    source = ImageSource((np.zeros(shape, np.uint8),), axes)
    return Annotation(labels, source, rule, background)


def problems(values, task="classes", rule="sparse", background=True, **more):
    config = TrainingConfig(task=task, annotation=rule, background=background, **more)
    return training_problems([annotate(values, rule, background)], config)


@pytest.mark.parametrize(
    ("values", "options", "sentence"),
    [
        ([], {}, "Nothing is annotated"),
        ([], {"task": "objects"}, "Nothing is annotated"),
        ([1], {}, "Only background is annotated"),
        ([2], {}, "Only label 2 is annotated"),
        ([1], {"task": "objects"}, "Only background is annotated"),
        ([2, 3], {"task": "objects"}, "No background is annotated"),
        ([], {"rule": "complete"}, "Only background is annotated"),
        ([], {"rule": "complete", "task": "objects"}, "Only background"),
        ([4] * 20, {"rule": "complete"}, "Only label 4"),
        ([4], {"background": False}, "Only label 4"),
        ([1, 2], {"task": "objects", "background": False}, "told from background"),
        ([1, 2], {"patch_size": (8, 8, 8)}, "patch size has 3 numbers"),
    ],
)
def test_what_cannot_be_learnt_is_one_sentence(values, options, sentence):
    found = problems(values, **options)
    assert len(found) == 1
    assert sentence in found[0]
    assert found[0].endswith(".")


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ([1, 2], {}),
        ([2, 3], {}),
        ([1, 2], {"task": "objects"}),
        ([1], {"rule": "complete"}),
        ([7], {"rule": "complete", "task": "objects"}),
        ([1, 2], {"background": False}),
        ([1, 2], {"patch_size": (8, 8)}),
    ],
)
def test_what_can_be_learnt_gives_no_problem(values, options):
    assert problems(values, **options) == []


def test_images_are_judged_together():
    pair = [annotate([1]), annotate([2])]
    assert training_problems(pair, TrainingConfig()) == []
    assert training_problems([], TrainingConfig())[0].startswith("No annotated image")


def test_a_label_for_every_object_is_no_class():
    source = ImageSource((np.zeros((20, 30), np.uint8),), "YX")
    annotation = Annotation(np.arange(600).reshape(20, 30), source, "complete")
    found = training_problems([annotation], TrainingConfig(annotation="complete"))
    assert "600 different labels" in found[0]


def test_summaries_say_what_each_label_means():
    assert annotation_summary(annotate([1, 1, 2, 3]), "classes") == (
        "label 1 = background, 60 px; 2 classes (label 2, 30 px; label 3, 30 px)"
    )
    assert annotation_summary(annotate([1, 2, 3]), "objects") == (
        "label 1 = background, 30 px; 2 objects, 60 px"
    )
    assert annotation_summary(annotate([5], "complete"), "objects") == (
        "label 0 = background, 570 px; 1 object, 30 px"
    )
    assert annotation_summary(annotate([5, 6], "complete", False), "classes") == (
        "no background; 2 classes (label 5, 30 px; label 6, 30 px)"
    )
    assert annotation_summary(annotate([]), "classes") == "nothing is annotated yet"
    assert "voxels" in annotation_summary(annotate([1], shape=(3, 9, 9)), "classes")


def test_strokes_read_as_complete_are_doubted():
    few = annotate([], "complete", shape=(200, 200))
    few.labels[5, 5:30] = 2
    assert "choose sparse" in annotation_summary(few, "classes")
    assert "99.9 %" in annotation_summary(few, "classes")
    assert "choose sparse" not in annotation_summary(
        annotate([1], "complete"), "classes"
    )


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">i4", np.int64, np.uint64])
def test_counts_are_those_of_the_whole_annotation(dtype):
    labels = np.random.default_rng(0).integers(0, 2, (3, 4, 500, 700)).astype(dtype)
    if np.dtype(dtype).itemsize > 1:
        labels[0, 0, :2] = 3_000_000
    source = ImageSource((labels,), "TZYX")
    counts, whole = count_quickly(Annotation(labels, source, "complete"))
    values, numbers = np.unique(labels, return_counts=True)
    assert whole
    assert counts == dict(zip(values.tolist(), numbers.tolist(), strict=True))


def test_a_huge_annotation_is_not_read_and_not_blamed(monkeypatch):
    monkeypatch.setattr(checks, "PIECE", 100)
    monkeypatch.setattr(checks, "LOOKED_AT", 1000)
    read = []

    class Lazy:
        shape = (50, 40, 30)
        dtype = np.dtype(np.uint8)

        def __getitem__(self, key):
            piece = np.zeros(self.shape, np.uint8)[key]
            read.append(piece.size)
            return piece

    source = ImageSource((np.zeros(Lazy.shape, np.uint8),), "ZYX")
    annotation = Annotation(Lazy(), source, "sparse")
    assert training_problems([annotation], TrainingConfig()) == []
    assert sum(read) <= 1100
    assert "large" in annotation_summary(annotation, "classes")


def model(spatial="YX", n_channels=1):
    return ModelInfo(
        name="m",
        task="classes",
        spatial=spatial,
        n_channels=n_channels,
        classes=[],
        network=NetworkInfo(name="unet", arguments={}),
    )


def test_models_that_do_not_fit_an_image_are_explained():
    flat = ImageSource((np.zeros((20, 30)),), "YX")
    volume = ImageSource((np.zeros((5, 20, 30)),), "ZYX")
    planes = ImageSource((np.zeros((5, 20, 30)),), "ZYX", ndim=2)
    colour = ImageSource((np.zeros((20, 30, 3)),), "YXC")
    assert model_problem(model(), flat) is None
    assert model_problem(model(), planes) is None
    assert model_problem(model("ZYX"), volume) is None
    assert "has no Z axis" in model_problem(model("ZYX"), flat)
    assert "read as volumes" in model_problem(model(), volume)
    assert "read as planes" in model_problem(model("ZYX"), planes)
    assert "trained on 1 channel, but" in model_problem(model(), colour)
