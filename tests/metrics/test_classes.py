from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.metrics import class_scores, confusion


@given(
    hnp.arrays(np.int16, (3, 7), elements=st.integers(-1, 4)),
    hnp.arrays(np.uint8, (3, 7), elements=st.integers(0, 4)),
    hnp.arrays(bool, (3, 7)),
)
def test_confusion_counts_every_annotated_pixel_once(truth, prediction, mask):
    values = [0, 2, 3]
    counts = confusion(truth, prediction, values, mask)
    expected = np.zeros((3, 4), int)
    for t, p, m in zip(truth.flat, prediction.flat, mask.flat, strict=True):
        if m and t in values:
            expected[values.index(t), values.index(p) if p in values else 3] += 1
    np.testing.assert_array_equal(counts, expected)


@given(
    hnp.arrays(np.uint8, (2, 5, 6), elements=st.integers(0, 2)),
    hnp.arrays(np.uint8, (2, 5, 6), elements=st.integers(0, 2)),
)
def test_scores_equal_their_set_definitions(truth, prediction):
    values = [0, 1, 2]
    matrices = [confusion(t, p, values) for t, p in zip(truth, prediction, strict=True)]
    scores = class_scores(matrices, values)
    assert scores.pixel_error == pytest.approx(np.mean(truth != prediction))
    for k in values:
        t, p = truth == k, prediction == k
        if not (t | p).any():
            assert math.isnan(scores.dice[k])
            assert math.isnan(scores.iou[k])
            continue
        assert scores.iou[k] == pytest.approx((t & p).sum() / (t | p).sum())
        assert scores.dice[k] == pytest.approx(2 * (t & p).sum() / (t.sum() + p.sum()))


def test_pooled_dice_weighs_pixels_and_image_dice_weighs_images():
    big_truth = np.ones((10, 10), int)
    small_truth = np.zeros((10, 10), int)
    small_truth[0, 0] = 1
    nothing = np.zeros((10, 10), int)
    matrices = [
        confusion(big_truth, big_truth, [0, 1]),
        confusion(small_truth, nothing, [0, 1]),
    ]
    scores = class_scores(matrices, [0, 1])
    assert scores.image_dice[1] == pytest.approx(0.5)
    assert scores.dice[1] == pytest.approx(200 / 201)
    assert scores.mean_dice == scores.dice[1]  # background is left out


def test_an_image_without_the_class_does_not_change_its_mean():
    empty = np.zeros((4, 4), int)
    full = np.ones((4, 4), int)
    values = [0, 1]
    alone = class_scores([confusion(full, full, values)], values)
    with_empty = class_scores(
        [confusion(full, full, values), confusion(empty, empty, values)], values
    )
    assert with_empty.image_dice[1] == alone.image_dice[1] == 1.0


def test_no_background_means_every_class_counts():
    truth = np.array([[1, 1, 2, 2]])
    prediction = np.array([[1, 1, 2, 1]])
    scores = class_scores([confusion(truth, prediction, [1, 2])], [1, 2], None)
    assert scores.mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_unannotated_pixels_change_nothing():
    truth = np.array([[0, 1, -1, -1]])
    one = confusion(truth, np.array([[0, 1, 0, 0]]), [0, 1])
    other = confusion(truth, np.array([[0, 1, 1, 7]]), [0, 1])
    np.testing.assert_array_equal(one, other)


def test_nothing_annotated_gives_json_without_nan():
    scores = class_scores([], [0, 1])
    assert math.isnan(scores.pixel_error)
    text = json.dumps(scores.as_dict(), allow_nan=False)
    assert json.loads(text)["classes"]["1"]["dice"] is None


def test_shapes_that_differ_are_refused():
    with pytest.raises(ValueError, match="shapes differ"):
        confusion(np.zeros((2, 2)), np.zeros((2, 3)), [0])
    with pytest.raises(ValueError, match="must differ"):
        confusion(np.zeros((2, 2)), np.zeros((2, 2)), [0, 0])
