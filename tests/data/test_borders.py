"""The weight map of the U-Net paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.data.annotation import Annotation
from napari_unet.data.borders import (
    BorderWeights,
    border_weights_of,
    regions_of,
    two_distances,
)
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.source import ImageSource
from napari_unet.data.targets import make_target


def two_squares(gap: int) -> np.ndarray:
    labels = np.zeros((30, 60), np.int32)
    labels[5:25, 5:20], labels[5:25, 20 + gap : 35 + gap] = 1, 2
    return labels


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0)])
def test_distances_are_those_to_the_nearest_two_objects(
    spacing: tuple[float, float],
) -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((24, 28), np.int32)
    for number in range(1, 8):
        y, x = rng.integers(0, 22), rng.integers(0, 26)
        labels[y : y + 2, x : x + 2] = 10 * number
    grid = np.argwhere(np.ones(labels.shape)).astype(float) * spacing
    each = []
    for number in np.unique(labels)[1:]:
        own = np.argwhere(labels == number) * np.array(spacing)
        each.append(np.linalg.norm(grid[:, None] - own, axis=2).min(1))
    expected = np.sort(each, axis=0)[:2].reshape(2, *labels.shape)
    first, second = two_distances(labels, spacing, 100.0)
    np.testing.assert_allclose(first, expected[0], rtol=1e-5)
    np.testing.assert_allclose(second, expected[1], rtol=1e-5)
    near, _ = two_distances(labels, spacing, 3.0)
    np.testing.assert_allclose(near[first <= 3], first[first <= 3])
    assert np.isinf(near[first > 3]).all()


def weighted(labels: np.ndarray, task: str = "objects", **how: float):
    source = ImageSource((labels.astype(np.float32),), "YX")
    annotation = Annotation(labels, source)
    classes = object_classes(0) if task == "objects" else make_classes([0, 1, 2], 0)
    target = make_target(annotation, 0, task, classes)
    weights = BorderWeights(**how)
    return border_weights_of(target, labels, classes, (1.0, 1.0), weights), target


def test_the_weight_is_the_formula_of_the_paper() -> None:
    target, _ = weighted(two_squares(4))
    # In the middle of row 15, columns 20 to 23 lie between the squares.
    for column, distances in ((20, (1, 4)), (21, (2, 3))):
        expected = 1 + 10 * np.exp(-(sum(distances) ** 2) / (2 * 5**2))
        assert target.weight[15, column] == pytest.approx(expected, rel=1e-5)
    assert (target.weight[target.index == 1] == 1).all()
    assert target.weight[0, 59] == pytest.approx(1, abs=0.01)


def test_objects_that_touch_get_a_border_that_counts() -> None:
    target, before = weighted(two_squares(0))
    assert (target.index[5:25, 19:21] == 0).all()
    assert (before.index[5:25, 19:21] == 1).all()
    assert (target.weight[5:25, 19:21] > 5).all()
    np.testing.assert_array_equal(target.distance, before.distance)


def test_regions_of_classes_are_objects() -> None:
    target, _ = weighted(two_squares(3), task="classes")
    assert target.weight[15, 21] > 5
    labels = two_squares(3)
    labels[labels > 0] = 1
    classes = make_classes([0, 1], 0)
    assert regions_of(labels.astype(np.int16), classes).max() == 2


def test_weights_go_with_their_patches_and_what_is_unknown_stays_so() -> None:
    labels = two_squares(4)
    unknown = labels + 1
    unknown[:, 40:] = 0  # sparse: not annotated
    source = ImageSource((labels.astype(np.float32),), "YX")
    annotation = Annotation(unknown, source, "sparse")
    classes = object_classes(1)
    intensity = IntensityRange(np.zeros(1, np.float32), np.ones(1, np.float32))
    region = Region(annotation, intensity, 0, ((0, 30), (0, 60)))
    sampler = PatchSampler([region], "objects", classes, (16, 16), (0, 0))
    generator = torch.Generator().manual_seed(0)
    assert sampler.draw(2, generator).weight is None
    weighing = PatchSampler(
        [region], "objects", classes, (16, 16), (0, 0), BorderWeights()
    )
    batch = weighing.draw(16, generator)
    assert batch.weight.shape == batch.index.shape
    background = batch.index == 0
    assert (batch.weight[background] > 1).any()
    assert (batch.weight[batch.index == 1] == 1).all()
    # Of the image, 40 columns are annotated.
    between = (batch.image[:, 0] == 0) & background
    assert batch.weight[between].max() > 5
