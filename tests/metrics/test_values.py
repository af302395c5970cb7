from __future__ import annotations

import math

import numpy as np
import pytest

from napari_unet.metrics.values import pool_values, value_errors


def test_scores_agree_with_their_definitions_and_pooling_with_the_whole():
    rng = np.random.default_rng(0)
    true = rng.normal(1e5, 2.0, (3, 40, 50))
    true[rng.random(true.shape) < 0.2] = np.nan
    made = np.nan_to_num(true, nan=-1e9) + rng.normal(0.3, 1.0, true.shape)
    known = np.isfinite(true)
    error = made[known] - true[known]
    found = pool_values(value_errors(t, m) for t, m in zip(true, made, strict=True))
    assert found.pixels == known.sum()
    assert found.mae == pytest.approx(np.abs(error).mean())
    assert found.rmse == pytest.approx(np.sqrt((error**2).mean()))
    variation = ((true[known] - true[known].mean()) ** 2).sum()
    assert found.r2 == pytest.approx(1 - (error**2).sum() / variation)


def test_r2_has_its_fixed_points():
    true = np.arange(10.0)
    assert value_errors(true, true).r2 == 1
    assert value_errors(true, np.full(10, 4.5)).r2 == pytest.approx(0)
    assert math.isnan(value_errors(np.ones(4), np.ones(4)).r2)


def test_nothing_known_is_no_number():
    found = value_errors(np.full(5, np.nan), np.zeros(5))
    assert found.pixels == 0
    assert math.isnan(found.mae)
    assert found.as_dict() == {"pixels": 0, "MAE": None, "RMSE": None, "R²": None}
    one = pool_values([found, value_errors(np.arange(3.0), np.ones(3))])
    assert one.mean == 1
