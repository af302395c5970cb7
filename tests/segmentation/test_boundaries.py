"""Boundaries of labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import find_boundaries

from napari_unet.segmentation.boundaries import boundaries


def random_labels(shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 5, tuple(n // 5 + 1 for n in shape))
    labels = coarse.repeat(5, 0).repeat(5, 1)
    if len(shape) == 3:
        labels = labels.repeat(5, 2)
    return labels[tuple(slice(n) for n in shape)].astype(np.uint16)


@pytest.mark.parametrize("shape", [(37, 41), (11, 23, 19)])
def test_one_voxel_wide_lines_are_scikit_images_inner_ones(
    shape: tuple[int, ...],
) -> None:
    labels = random_labels(shape)
    edge = find_boundaries(labels, connectivity=1, mode="inner")
    np.testing.assert_array_equal(boundaries(labels), np.where(edge, labels, 0))


@pytest.mark.parametrize("width", [2, 3])
def test_width_is_the_distance_to_another_value(width: int) -> None:
    labels = random_labels((37, 41))
    expected = np.zeros(labels.shape, bool)
    for value in range(1, 5):
        own = labels == value
        steps = ndimage.distance_transform_cdt(np.pad(own, 50, "edge"), "taxicab")
        expected |= own & (steps[50:-50, 50:-50] <= width)
    np.testing.assert_array_equal(boundaries(labels, width, ids=False), expected)


def test_the_edge_of_the_image_is_no_boundary() -> None:
    labels = np.ones((6, 7), np.int32)
    assert not boundaries(labels, 2).any()


def test_values_and_dtype() -> None:
    labels = random_labels((20, 20))
    assert boundaries(labels).dtype == labels.dtype
    assert set(np.unique(boundaries(labels, ids=False))) == {0, 1}
    with pytest.raises(ValueError, match="at least 1"):
        boundaries(labels, 0)
