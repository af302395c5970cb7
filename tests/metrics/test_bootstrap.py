from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from napari_unet.metrics import interval, ratio


def test_a_ratio_of_sums_and_a_mean_over_columns():
    parts = np.array([[1.0, 0.0], [2.0, 0.0]])
    wholes = np.array([[2.0, 0.0], [4.0, 0.0]])
    assert ratio(parts, wholes) == 0.5  # the second class does not occur
    assert ratio(parts, wholes, empty=1.0) == 0.75
    assert math.isnan(ratio(parts[:, 1:], wholes[:, 1:]))


def test_agrees_with_scipy_for_a_mean():
    values = np.random.default_rng(0).normal(0.7, 0.1, 30)
    low, high = interval(values[:, None], np.ones((30, 1)), resamples=9000)
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=9000, rng=1
    ).confidence_interval
    assert low == pytest.approx(expected.low, abs=0.003)
    assert high == pytest.approx(expected.high, abs=0.003)


def test_agrees_with_scipy_for_a_ratio_of_sums():
    rng = np.random.default_rng(1)
    whole = rng.integers(5, 50, 25).astype(float)
    part = np.round(whole * rng.uniform(0.4, 1, 25))
    found = interval(part[:, None], whole[:, None], resamples=9000)
    expected = stats.bootstrap(
        (part, whole),
        lambda p, w, axis: p.sum(axis) / w.sum(axis),
        paired=True,
        method="percentile",
        n_resamples=9000,
        rng=2,
    ).confidence_interval
    np.testing.assert_allclose(found, expected, atol=0.005)


def test_the_interval_covers_what_it_should():
    # The true ratio lies in most of the intervals, and not in all of them.
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        sample = rng.random((40, 1)) < 0.7
        low, high = interval(sample.astype(float), np.ones((40, 1)), resamples=300)
        inside += low <= 0.7 <= high
    assert 170 <= inside < 200


def test_one_unit_has_no_interval_and_equal_units_an_empty_one():
    assert all(math.isnan(b) for b in interval(np.ones((1, 1)), np.ones((1, 1))))
    assert interval(np.ones((5, 1)), 2 * np.ones((5, 1))) == (0.5, 0.5)


def test_the_same_seed_gives_the_same_interval_and_chunks_do_not_matter(monkeypatch):
    rng = np.random.default_rng(3)
    part = rng.random((50, 2))
    whole = np.ones((50, 2))
    assert interval(part, whole, seed=4) == interval(part, whole, seed=4)
    assert interval(part, whole, seed=4) != interval(part, whole, seed=5)
    one = interval(part, whole)
    monkeypatch.setattr("napari_unet.metrics.bootstrap.CHUNK", 999)
    np.testing.assert_allclose(interval(part, whole), one)
