from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from napari_unet.metrics import reliability
from napari_unet.metrics.calibration import fit_temperature, tempered, tempered_one


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


def drawn(temperature, n=60_000, k=3, seed=0):
    """Maps that are `temperature` times too sure, and truth drawn from honest ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (k, n))
    honest = np.exp(logits) / np.exp(logits).sum(0)
    truth = (rng.random(n)[None] > honest.cumsum(0)).sum(0).clip(max=k - 1)
    bold = np.exp(temperature * logits)
    return bold / bold.sum(0), honest, truth


@pytest.mark.parametrize("temperature", [0.7, 1.0, 2.5])
@pytest.mark.parametrize("k", [2, 4])
def test_the_temperature_by_which_maps_are_too_sure_is_found(temperature, k):
    bold, honest, truth = drawn(temperature, k=k)
    found = fit_temperature([(bold, truth)])
    assert found == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(tempered(bold, temperature), honest, atol=0.01)
    values = tuple(range(k))
    after = reliability(tempered(bold, found), truth, values).ece
    assert after < 0.015
    if temperature != 1:
        assert after < reliability(bold, truth, values).ece / 2


def test_no_decision_changes_and_maps_sum_to_one():
    bold, _, _ = drawn(1.0, n=500)
    cool = tempered(bold, 3.0)
    np.testing.assert_array_equal(cool.argmax(0), bold.argmax(0))
    np.testing.assert_allclose(cool.sum(0), 1, atol=1e-5)
    assert np.isfinite(tempered(np.array([[1.0], [0.0]]), 0.4)).all()


def test_one_of_two_classes_is_cooled_like_both():
    probability = np.linspace(0.01, 0.99, 30)
    logit = np.log(probability / (1 - probability))
    expected = 1 / (1 + np.exp(-logit / 2))
    np.testing.assert_allclose(tempered_one(probability, 2.0), expected, atol=1e-5)


def test_pixels_that_nobody_annotated_do_not_count():
    bold, _, truth = drawn(2.0)
    some = truth.copy()
    some[::2] = -1
    wrong = np.where(some < 0, 0.0, bold)
    wrong[0, ::2] = 1.0
    found = fit_temperature([(wrong, some)])
    assert found == pytest.approx(fit_temperature([(bold[:, 1::2], truth[1::2])]))


def test_nothing_is_said_where_nearly_nothing_is_wrong():
    maps = np.array([[0.9] * 500, [0.1] * 500])
    truth = np.zeros(500, int)
    truth[:10] = 1
    assert fit_temperature([(maps, truth)]) == 1.0
    assert fit_temperature([]) == 1.0


def test_curves_without_temperature_are_pooled_as_long_as_all_know_theirs():
    bold, _, truth = drawn(2.0, n=400)
    part = reliability(bold, truth, (0, 1, 2))
    known = replace(part, before=part)
    assert (known + known).before.count.sum() == 800
    assert (known + part).before is None
