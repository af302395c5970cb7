from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from skimage.draw import disk
from skimage.metrics import contingency_table

from napari_unet.metrics import (
    THRESHOLDS,
    iou_table,
    match_objects,
    match_units,
    overlaps,
    pool,
)


def brute_force_iou(truth, prediction):
    true_ids = [i for i in np.unique(truth) if i > 0]
    ids = [i for i in np.unique(prediction) if i > 0]
    table = np.zeros((len(true_ids), len(ids)))
    for row, t in enumerate(true_ids):
        for column, p in enumerate(ids):
            both = ((truth == t) & (prediction == p)).sum()
            either = ((truth == t) | (prediction == p)).sum()
            table[row, column] = both / either
    return table


def assigned(iou, threshold):
    """Matches of the assignment that has the most pairs at or above `threshold`."""
    good = iou >= threshold
    rows, columns = linear_sum_assignment(good, maximize=True)
    return int(good[rows, columns].sum())


labels = hnp.arrays(np.int32, (6, 7), elements=st.integers(0, 4))


@given(labels, labels)
def test_counts_equal_brute_force(truth, prediction):
    iou = brute_force_iou(truth, prediction)
    table, ignorable = iou_table(truth, prediction)
    np.testing.assert_allclose(table.toarray(), iou)
    assert not ignorable.any()
    thresholds = (0.1, 0.3, *THRESHOLDS)
    counts = match_objects(truth, prediction, thresholds)
    for k, threshold in enumerate(thresholds):
        hits = assigned(iou, threshold)
        assert counts.true_positives[k] == hits
        assert counts.false_positives[k] == iou.shape[1] - hits
        assert counts.false_negatives[k] == iou.shape[0] - hits


@given(hnp.arrays(np.int32, (6, 7), elements=st.integers(-1, 3)), labels)
def test_unannotated_pixels_never_count(truth, prediction):
    annotated = truth >= 0
    counts = match_objects(truth, prediction)
    by_mask = match_objects(np.maximum(truth, 0), prediction, mask=annotated)
    assert counts == by_mask
    iou = brute_force_iou(truth[annotated], prediction[annotated])
    hits = [assigned(iou, t) for t in THRESHOLDS]
    assert list(counts.true_positives) == hits
    # What lies mostly where nobody looked is at most forgiven, never punished.
    assert all(
        fp <= iou.shape[1] - hit
        for fp, hit in zip(counts.false_positives, hits, strict=True)
    )


def test_an_object_mostly_on_unannotated_pixels_is_neither_right_nor_wrong():
    truth = np.full((10, 10), -1)
    truth[:2] = 0
    prediction = np.zeros((10, 10), int)
    prediction[1:5, :5] = 1  # three of four rows lie where nobody looked
    assert match_objects(truth, prediction).false_positives[0] == 0
    prediction[4] = prediction[3] = prediction[2] = 0
    assert match_objects(truth, prediction).false_positives[0] == 1


def test_overlaps_agree_with_scikit_image():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 9, (2, 40, 50))
    overlap = contingency_table(truth, prediction).toarray()
    union = overlap.sum(1)[:, None] + overlap.sum(0)[None] - overlap
    table, _ = iou_table(truth, prediction)
    np.testing.assert_allclose(table.toarray(), (overlap / union)[1:, 1:])


def test_scores_of_a_known_image():
    truth = np.zeros((40, 60), np.uint16)
    prediction = np.zeros_like(truth)
    for number, column in enumerate((10, 30, 50), start=1):
        truth[disk((20, column), 8)] = number
    prediction[disk((20, 10), 8)] = 7  # exact
    prediction[disk((20, 32), 8)] = 3  # shifted: IoU about 0.73
    prediction[:4, :4] = 9  # surplus; the third is missed
    counts = match_objects(truth, prediction, (0.5, 0.9))
    assert counts.ap == (pytest.approx(2 / 4), pytest.approx(1 / 5))
    assert counts.precision == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert counts.recall == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert counts.f1 == (pytest.approx(4 / 6), pytest.approx(2 / 6))
    assert counts.as_dict()["0.90"]["false_negatives"] == 2


def test_pooling_adds_counts_and_not_scores():
    empty = np.zeros((8, 8), int)
    one = empty.copy()
    one[2:6, 2:6] = 1
    many = np.arange(64).reshape(8, 8) + 1
    pooled = pool([match_objects(one, empty), match_objects(many, many)])
    assert pooled.ap[0] == pytest.approx(64 / 65)
    assert pooled.mean_ap() == pytest.approx(64 / 65)


def test_nothing_to_find():
    empty = np.zeros((5, 5), int)
    one = empty.copy()
    one[1:3, 1:3] = 1
    right = match_objects(empty, empty)
    assert set(right.ap + right.f1 + right.precision + right.recall) == {1.0}
    for wrong in (match_objects(one, empty), match_objects(empty, one)):
        assert set(wrong.ap + wrong.f1 + wrong.precision + wrong.recall) == {0.0}
    # An image without objects changes nothing in the pool.
    found = match_objects(one, one)
    assert pool([found, right]).ap == found.ap
    assert pool([]).ap == right.ap
    json.dumps(pool([]).as_dict(), allow_nan=False)


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_an_overlap_of_exactly_the_threshold_matches(threshold):
    truth = np.ones((20,), int)
    prediction = np.zeros((20,), int)
    prediction[: round(20 * threshold)] = 1
    assert match_objects(truth, prediction, (threshold,)).true_positives == (1,)


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">u2", np.int64, np.uint32])
def test_every_integer_type_and_huge_ids(dtype):
    truth = np.zeros((6, 6), dtype)
    truth[:3] = 1
    prediction = np.zeros((6, 6), np.uint32)
    prediction[:3] = 4_000_000_000
    prediction[4:] = 4_100_000_000
    counts = match_objects(truth, prediction, (0.5,))
    assert (counts.true_positives, counts.false_positives) == ((1,), (1,))
    full = np.full((6, 6), 4_000_000_000, np.uint32)
    assert match_objects(np.ones((6, 6), dtype), full, (0.5,)).ap == (1.0,)


def test_thousands_of_objects_in_a_volume():
    side = np.arange(64) // 4
    grid = (side[:, None, None] * 16 + side[None, :, None]) * 16 + side + 1
    counts = match_objects(grid, np.roll(grid, 1, axis=0), (0.5, 0.65))
    # Shifted by one of four planes: 3/5 of the union of each pair is common.
    assert counts.true_positives == (15 * 256 + 256, 0)


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        match_objects(np.zeros((2, 2), int), np.zeros((2, 3), int))


@given(labels, labels)
def test_panoptic_quality_equals_its_definition(truth, prediction):
    iou = brute_force_iou(truth, prediction)
    matches = iou[iou > 0.5]
    wrong = sum(iou.shape) - 2 * len(matches)
    counts = match_objects(truth, prediction, (0.5 + 1e-6,))
    if not sum(iou.shape):
        assert counts.panoptic_quality == (1.0,)
        return
    expected = matches.sum() / (len(matches) + wrong / 2)
    assert counts.panoptic_quality[0] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_stardist(seed):
    matching = pytest.importorskip("stardist.matching").matching
    rng = np.random.default_rng(seed)
    truth = np.zeros((120, 120), np.int32)
    prediction = np.zeros_like(truth)
    for number in range(1, 30):
        y, x, r = rng.integers(8, 112, 2), rng.integers(8, 112), rng.integers(3, 9)
        truth[disk((y[0], x), r, shape=truth.shape)] = number
        moved = (y[0] + rng.integers(-3, 4), x + rng.integers(-3, 4))
        prediction[disk(moved, r, shape=truth.shape)] = number
    counts = match_objects(truth, prediction)
    for k, threshold in enumerate(THRESHOLDS):
        expected = matching(truth, prediction, thresh=threshold)
        assert counts.true_positives[k] == expected.tp
        assert counts.false_positives[k] == expected.fp
        assert counts.false_negatives[k] == expected.fn
        assert counts.ap[k] == pytest.approx(expected.accuracy)
        assert counts.f1[k] == pytest.approx(expected.f1)
        assert counts.panoptic_quality[k] == pytest.approx(expected.panoptic_quality)


@given(labels, labels)
def test_units_add_up_to_the_counts(truth, prediction):
    found = overlaps(truth, prediction)
    units = match_units(found, THRESHOLDS)
    assert units.total(THRESHOLDS) == match_objects(truth, prediction)
    # A true object is right or missed, once, at every threshold.
    n = len(found.true_ids)
    assert (units.true_positives + units.false_negatives)[:n].all()
    assert not (units.true_positives + units.false_negatives)[n:].any()


def test_overlaps_name_their_objects():
    truth = np.array([[0, 7, 7, 9]])
    prediction = np.array([[0, 4_000_000_000, 0, 5]])
    found = overlaps(truth, prediction)
    assert found.true_ids.tolist() == [7, 9]
    assert found.ids.tolist() == [5, 4_000_000_000]
    assert found.shared.toarray().tolist() == [[0, 1], [1, 0]]
