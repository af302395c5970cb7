"""The sample must be exact where it says so, and annotated as a person would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.data.annotation import Annotation
from napari_unet.data.source import image_source
from napari_unet.sample_cells import cells_two_channels
from napari_unet.sample_data import BACKGROUND, Sample, nuclei_2d, nuclei_3d
from napari_unet.sample_membranes import MEMBRANE, membranes


@pytest.fixture(scope="module", params=["2D", "3D"])
def sample(request: pytest.FixtureRequest) -> Sample:
    if request.param == "2D":
        return nuclei_2d(seed=3, shape=(256, 200))
    return nuclei_3d(seed=3, shape=(12, 100, 120))


def test_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    first, again, other = (nuclei_2d(seed, (96, 96)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.annotation, again.annotation)
    assert (first.labels != other.labels).any()


def test_shapes_and_types(sample: Sample) -> None:
    assert sample.image.dtype == np.uint16
    assert sample.labels.dtype == sample.annotation.dtype == np.int32
    assert sample.image.shape == sample.labels.shape == sample.annotation.shape
    assert len(sample.axes) == len(sample.voxel_size) == sample.image.ndim


def test_nuclei_are_numbered_without_gaps_and_in_one_piece(sample: Sample) -> None:
    values = np.unique(sample.labels)
    np.testing.assert_array_equal(values, np.arange(values.size))
    for value in values[1:]:
        assert ndimage.label(sample.labels == value)[1] == 1


def test_some_nuclei_touch(sample: Sample) -> None:
    left, right = sample.labels[..., :-1], sample.labels[..., 1:]
    assert ((left != right) & (left > 0) & (right > 0)).any()


def test_nuclei_are_brighter_than_the_background(sample: Sample) -> None:
    inside = np.median(sample.image[sample.labels > 0])
    outside = sample.image[sample.labels == 0]
    assert inside > np.percentile(outside, 90)
    assert sample.image.max() < 65535


def test_annotated_nuclei_are_complete_and_the_rest_is_left_alone(
    sample: Sample,
) -> None:
    annotation, labels = sample.annotation, sample.labels
    ids = np.unique(annotation)
    assert ids.size >= 6
    np.testing.assert_array_equal(ids, np.arange(ids.size))  # 0, 1, 2, 3, …
    for value in ids[2:]:
        painted = annotation == value
        truth, counts = np.unique(labels[painted], return_counts=True)
        nucleus = labels == truth[counts.argmax()]
        iou = (painted & nucleus).sum() / (painted | nucleus).sum()
        assert iou > 0.85
    assert not (labels[annotation == BACKGROUND] > 0).any()
    assert (annotation == 0).mean() > 0.7


def test_annotation_of_classes_has_strokes_of_both_kinds() -> None:
    sample = nuclei_2d(seed=3, shape=(256, 200), task="classes")
    source = image_source(sample.image, sample.axes, sample.voxel_size)
    annotation = Annotation(sample.annotation, source, rule="sparse")
    assert sorted(annotation.count_values()) == [1, 2]
    assert (sample.labels[sample.annotation == 2] > 0).all()
    assert not (sample.labels[sample.annotation == BACKGROUND] > 0).any()
    assert (sample.annotation > 0).mean() < 0.3


def test_membranes_are_thin_dark_and_closed() -> None:
    sample = membranes(seed=2, shape=(300, 260))
    line, inside = sample.labels == 1, sample.labels == 0
    assert 0.15 < line.mean() < 0.5
    assert np.median(sample.image[line]) + 15 < np.median(sample.image[inside])
    assert ndimage.label(inside)[1] > 10  # cells that do not leak into each other
    painted = sample.annotation
    assert sorted(np.unique(painted)) == [0, BACKGROUND, MEMBRANE]
    assert line[painted == MEMBRANE].all()
    assert not line[painted == BACKGROUND].any()
    assert 0.02 < (painted > 0).mean() < 0.3


def test_cells_hold_their_nuclei_and_touch() -> None:
    sample = cells_two_channels(seed=2, shape=(256, 300))
    nuclei, borders = sample.image
    labels = sample.labels
    edge = ndimage.minimum_filter(labels, 3) != ndimage.maximum_filter(labels, 3)
    assert np.median(borders[edge]) > 1.3 * np.median(borders[~edge])
    bright = nuclei > np.percentile(nuclei, 97)
    assert (labels[bright] > 0).mean() > 0.9
    ids = np.unique(sample.annotation)
    assert {0, BACKGROUND} < set(ids.tolist())
    assert ids.size > 6
    assert not labels[sample.annotation == BACKGROUND].any()


@pytest.mark.parametrize("make", [membranes, cells_two_channels])
@pytest.mark.parametrize("shape", [(64, 64), (40, 90)])
def test_small_samples_can_be_made(make: Any, shape: tuple[int, int]) -> None:
    first, again = make(1, shape), make(1, shape)
    assert first.labels.shape == first.annotation.shape == shape
    np.testing.assert_array_equal(first.image, again.image)
