from __future__ import annotations

import math

import numpy as np
import pytest

from napari_unet.metrics import reliability


def maps_of(confidence, chosen, n=3):
    """Probability maps whose largest value is `confidence`, for the chosen class."""
    maps = np.tile((1 - confidence) / (n - 1), (n, *[1] * confidence.ndim))
    np.put_along_axis(maps, chosen[None], confidence[None], 0)
    return maps


def test_honest_probabilities_have_no_error_and_bold_ones_do():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 1, (400, 400))
    chosen = rng.integers(0, 3, confidence.shape)
    right = rng.random(confidence.shape) < confidence
    truth = np.where(right, chosen, (chosen + 1) % 3)
    honest = reliability(maps_of(confidence, chosen), truth, (0, 1, 2))
    assert honest.ece < 0.01
    for mean, share, _ in honest.curve():
        assert mean == pytest.approx(share, abs=0.03)
    bold = reliability(maps_of(np.sqrt(confidence), chosen), truth, (0, 1, 2))
    expected = (np.sqrt(confidence) - confidence).mean()
    assert bold.ece == pytest.approx(expected, abs=0.01)


def test_equals_the_published_formula():
    rng = np.random.default_rng(1)
    maps = rng.dirichlet((1, 1, 1), 500).T
    truth = rng.integers(0, 3, 500)
    confidence, chosen = maps.max(0), maps.argmax(0)
    expected = 0.0
    for k in range(15):
        bin_ = (confidence > k / 15) & (confidence <= (k + 1) / 15)
        if bin_.any():
            accuracy = (chosen == truth)[bin_].mean()
            expected += bin_.mean() * abs(accuracy - confidence[bin_].mean())
    assert reliability(maps, truth, (0, 1, 2)).ece == pytest.approx(expected)


def test_values_are_those_of_the_labels_and_others_do_not_count():
    maps = np.array([[0.9, 0.2, 0.9, 0.9], [0.1, 0.8, 0.1, 0.1]])
    found = reliability(maps, np.array([0, 5, -1, 7]), (0, 5))
    assert found.count.sum() == 2
    assert found.correct.sum() == 2


def test_images_are_pooled_by_their_pixels():
    sure = np.array([[1.0] * 6, [0.0] * 6])
    right = reliability(sure, np.zeros(6, int), (0, 1))
    wrong = reliability(sure[:, :2], np.ones(2, int), (0, 1))
    assert (right + wrong).ece == pytest.approx(2 / 8)
    nothing = reliability(sure[:, :0], np.zeros(0, int), (0, 1))
    assert math.isnan(nothing.ece)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="does not fit"):
        reliability(np.zeros((2, 4)), np.zeros(5, int), (0, 1))
