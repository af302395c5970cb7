from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.draw import disk, ellipsoid
from skimage.metrics import hausdorff_distance
from skimage.segmentation import find_boundaries

from napari_unet.metrics import boundary_distances
from napari_unet.metrics.boundaries import edges_of


def blobs(seed, shape):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(
        rng.normal(size=(2, *shape)), (0, *[2] * len(shape))
    )
    return noise > 0.02


def by_brute_force(truth, prediction, spacing):
    """Distances between all boundary pixels, from the definition."""
    sides = []
    for mask in (truth, prediction):
        edge = mask & ~ndimage.binary_erosion(mask)
        sides.append(np.argwhere(edge) * np.asarray(spacing))
    table = cdist(sides[1], sides[0])
    return table.min(axis=1), table.min(axis=0)


CASES = [((20, 24), (1.0, 1.0)), ((20, 24), (0.5, 2.0)), ((8, 12, 14), (3.0, 0.5, 0.7))]


@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_distances_equal_brute_force(shape, spacing):
    truth, prediction = blobs(0, shape)
    found = boundary_distances(truth, prediction, spacing)
    to_truth, to_prediction = by_brute_force(truth, prediction, spacing)
    np.testing.assert_allclose(np.sort(found.to_truth), np.sort(to_truth))
    np.testing.assert_allclose(np.sort(found.to_prediction), np.sort(to_prediction))
    p, r = (to_truth <= 1.0).mean(), (to_prediction <= 1.0).mean()
    assert found.f_score(1.0) == pytest.approx(2 * p * r / (p + r))


@pytest.mark.parametrize("shape", [(30, 31), (9, 14, 12)])
def test_the_whole_distance_is_that_of_scikit_image(shape):
    truth, prediction = blobs(1, shape)
    edges = edges_of(truth), edges_of(prediction)
    found = boundary_distances(truth, prediction).hausdorff(100)
    assert found == pytest.approx(hausdorff_distance(*edges))


@pytest.mark.filterwarnings("ignore::FutureWarning:monai")
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize(("shape", "spacing"), CASES)
def test_agrees_with_monai(shape, spacing):
    metrics = pytest.importorskip("monai.metrics")
    import torch

    truth, prediction = blobs(2, shape)
    as_batch = [
        torch.from_numpy(m[None, None].astype(np.float32)) for m in (prediction, truth)
    ]
    expected = metrics.compute_hausdorff_distance(
        *as_batch, include_background=True, percentile=95, spacing=spacing
    )
    found = boundary_distances(truth, prediction, spacing).hausdorff()
    assert found == pytest.approx(float(expected[0, 0]), rel=1e-5)


def test_touching_objects_have_a_boundary_between_them():
    labels = np.zeros((12, 20), int)
    labels[2:10, 2:10], labels[2:10, 10:18] = 1, 2
    expected = find_boundaries(labels, mode="inner", connectivity=1)
    np.testing.assert_array_equal(edges_of(labels), expected)
    joined = (labels > 0).astype(int)
    assert boundary_distances(labels, joined).f_score(0.5) < 0.9


def test_a_shift_is_measured_in_the_unit_of_the_voxels():
    truth = np.zeros((40, 60), bool)
    truth[10:30, 10:30] = True
    shifted = np.roll(truth, 4, axis=1)
    assert boundary_distances(truth, shifted, (1.0, 0.25)).hausdorff() == 1.0
    assert boundary_distances(truth, shifted, (1.0, 1.0)).hausdorff() == 4.0
    near = boundary_distances(truth, shifted, (1.0, 0.1))
    assert near.f_score(0.4) == 1.0  # 4 × 0.1 is a hair more than 0.4
    assert near.f_score(0.3) < 1.0


def test_a_sphere_in_anisotropic_voxels():
    spacing = (2.0, 0.5, 0.5)
    small = ellipsoid(8, 8, 8, spacing)
    large = ellipsoid(10, 10, 10, spacing)
    fitted = np.zeros_like(large)
    start = [(a - b) // 2 for a, b in zip(large.shape, small.shape, strict=True)]
    fitted[tuple(slice(s, s + n) for s, n in zip(start, small.shape, strict=True))] = (
        small
    )
    assert boundary_distances(large, fitted, spacing).hausdorff() == pytest.approx(
        2, abs=0.6
    )


def test_where_annotation_ends_there_is_no_boundary():
    truth = np.zeros((20, 30), int)
    truth[5:15, 5:25] = 1
    annotated = np.ones(truth.shape, bool)
    annotated[:, 15:] = False
    prediction = truth.copy()
    prediction[:, 15:] = 0  # wrong only where nobody looked
    found = boundary_distances(truth, prediction, (), annotated)
    assert found.hausdorff() == 0
    assert found.f_score(0) == 1
    # -1 marks the same pixels.
    marked = np.where(annotated, truth, -1)
    again = boundary_distances(marked, prediction, (), marked >= 0)
    assert len(again.to_truth) == len(found.to_truth)


def test_nothing_to_measure():
    empty = np.zeros((9, 9), bool)
    one = empty.copy()
    one[disk((4, 4), 3)] = True
    assert math.isnan(boundary_distances(empty, empty).f_score(1))
    for found in (boundary_distances(one, empty), boundary_distances(empty, one)):
        assert math.isnan(found.hausdorff())
        assert found.f_score(1) == 0


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        boundary_distances(np.zeros((2, 2), bool), np.zeros((2, 3), bool))
