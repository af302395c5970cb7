from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import adapted_rand_error, variation_of_information

from napari_unet.metrics import partition_scores, pieces, thin_borders

labels = hnp.arrays(np.int32, (7, 8), elements=st.integers(0, 4))


def by_pairs(truth, prediction):
    """V_Rand from its definition over all ordered pairs of foreground pixels."""
    inside = truth > 0
    t, p = truth[inside], prediction[inside]
    same_t = t[:, None] == t[None]
    same_p = p[:, None] == p[None]
    both = (same_t & same_p).sum()
    return both / same_t.sum(), both / same_p.sum()


@given(labels, labels)
def test_rand_equals_its_definition_over_pairs(truth, prediction):
    scores = partition_scores(truth, prediction)
    if not (truth > 0).any():
        assert math.isnan(scores.rand)
        return
    split, merge = by_pairs(truth, prediction)
    assert scores.rand_split == pytest.approx(split)
    assert scores.rand_merge == pytest.approx(merge)
    assert scores.rand == pytest.approx(2 * split * merge / (split + merge))


def random_pair(seed, shape=(60, 70)):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 9, (2, *shape))


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_scikit_image(seed):
    truth, prediction = random_pair(seed)
    scores = partition_scores(truth, prediction)
    n = (truth > 0).sum()
    error, split, merge = adapted_rand_error(truth, prediction, ignore_labels=(0,))
    # scikit-image leaves out pairs of a pixel with itself: a share of about 1 / n.
    assert scores.rand == pytest.approx(1 - error, abs=20 / n)
    assert scores.rand_merge == pytest.approx(merge, abs=20 / n)
    assert scores.rand_split == pytest.approx(split, abs=20 / n)
    # Its `ignore_labels` still normalizes by all pixels: hand it foreground alone.
    inside = truth > 0
    split, merge = variation_of_information(truth[inside], prediction[inside])
    assert scores.voi_split == pytest.approx(split)
    assert scores.voi_merge == pytest.approx(merge)


@pytest.mark.parametrize("seed", range(3))
def test_info_equals_normalized_mutual_information(seed):
    truth, prediction = random_pair(seed)
    inside = truth > 0
    scores = partition_scores(truth, prediction)
    metrics = pytest.importorskip("sklearn.metrics")
    expected = metrics.normalized_mutual_info_score(truth[inside], prediction[inside])
    assert scores.info == pytest.approx(expected)
    homogeneity, completeness, _ = metrics.homogeneity_completeness_v_measure(
        truth[inside], prediction[inside]
    )
    assert scores.info_merge == pytest.approx(homogeneity)
    assert scores.info_split == pytest.approx(completeness)


def test_split_and_merge_are_told_apart():
    two = np.repeat([[1] * 4 + [2] * 4], 4, axis=0)
    one = np.ones_like(two)
    cut = partition_scores(one, two)
    joined = partition_scores(two, one)
    assert (cut.rand_split, cut.rand_merge) == (0.5, 1)
    assert (joined.rand_split, joined.rand_merge) == (1, 0.5)
    assert (cut.voi_split, cut.voi_merge) == (1, 0)
    assert (joined.voi_split, joined.voi_merge) == (0, 1)
    assert partition_scores(two, two).info == 1
    assert partition_scores(one, one).info == 1


def test_only_annotated_foreground_counts():
    truth = np.array([[1, 1, 2, 2, 0, -1]])
    prediction = np.array([[5, 5, 6, 6, 9, 7]])
    assert partition_scores(truth, prediction).rand == 1
    mask = np.array([[True, True, False, True, True, True]])
    wrong = np.array([[5, 5, 5, 6, 6, 6]])
    assert partition_scores(truth, wrong, mask).rand == 1
    assert partition_scores(truth, wrong).rand < 1


def test_pieces_hang_together_along_edges_only():
    foreground = np.array([[1, 0], [0, 1]], bool)
    assert pieces(foreground).max() == 2
    assert pieces(np.ones((2, 2, 2), bool)).max() == 1


def test_thick_borders_do_not_count_once_thinned():
    truth = np.zeros((20, 41), int)
    truth[:, :20], truth[:, 21:] = 1, 2
    thick = np.zeros_like(truth)
    thick[:, :16], thick[:, 25:] = 7, 8
    assert partition_scores(truth, thick).rand < 0.8
    thinned = thin_borders(thick, truth)
    assert partition_scores(truth, thinned).rand == 1
    assert (thick[:, 16:25] == 0).all()  # the prediction itself is left alone
    # What was joined stays joined.
    joined = np.full_like(truth, 3)
    joined[5:] = np.where(thick[5:] > 0, 3, 0)
    assert partition_scores(truth, thin_borders(joined, truth)).rand < 0.7


def test_thinning_follows_the_voxel_size():
    truth = np.ones((5, 5), int)
    prediction = np.zeros_like(truth)
    prediction[0, 2], prediction[2, 0] = 1, 2
    assert thin_borders(prediction, truth, (1, 3))[2, 2] == 1
    assert thin_borders(prediction, truth, (3, 1))[2, 2] == 2


def test_nothing_predicted_stays_nothing():
    truth = np.ones((4, 4), int)
    np.testing.assert_array_equal(thin_borders(0 * truth, truth), 0 * truth)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        partition_scores(np.zeros((2, 2), int), np.zeros((2, 3), int))
