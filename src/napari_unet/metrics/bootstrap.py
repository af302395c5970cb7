"""Intervals for scores: what other images of the same kind might have given.

The percentile bootstrap (Efron 1979): units are drawn with replacement as often as
there are units, and the score is computed anew from each draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]
"""Lower and upper bound."""

RESAMPLES = 2000
LEVEL = 0.95
"""Share of the draws inside an interval."""
CHUNK = 2**24
"""Largest number of counts that are drawn at a time."""


def ratio(
    parts: NDArray[np.float64], wholes: NDArray[np.float64], empty: float = math.nan
) -> float:
    """A score that is a ratio of sums, averaged over columns.

    Parameters
    ----------
    parts, wholes : array of float, shape (units, columns)
        Sums are taken over units, one ratio a column.
    empty : float
        The ratio where the whole is 0; columns with NaN are left out of the mean.
    """
    return float(_ratios(parts.sum(axis=0)[None], wholes.sum(axis=0)[None], empty)[0])


def interval(
    parts: NDArray[np.float64],
    wholes: NDArray[np.float64],
    empty: float = math.nan,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Bounds of :func:`ratio` over draws of units; NaN for fewer than two units."""
    return intervals(
        [(parts, wholes, empty)], level=level, resamples=resamples, seed=seed
    )[0]


def intervals(
    ratios: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], float]],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """Bounds of several scores of the same units, from the same draws.

    Parameters
    ----------
    ratios : sequence of (parts, wholes, empty)
        As for :func:`ratio`, all with the same number of units.
    level : float
        Share of the draws inside an interval.
    resamples : int
        Number of draws.
    seed : int
        Start of the random numbers.
    """
    n = len(ratios[0][0]) if ratios else 0
    if n < 2 or resamples < 1:
        return [(math.nan, math.nan)] * len(ratios)
    ends = np.cumsum([parts.shape[1] for parts, _, _ in ratios])[:-1]
    all_parts = np.concatenate([parts for parts, _, _ in ratios], axis=1)
    all_wholes = np.concatenate([wholes for _, wholes, _ in ratios], axis=1)
    rng = np.random.default_rng(seed)
    shares = np.full(n, 1 / n)
    found: list[list[NDArray[np.float64]]] = [[] for _ in ratios]
    at_once = max(1, CHUNK // n)
    for start in range(0, resamples, at_once):
        count = min(at_once, resamples - start)
        weights = rng.multinomial(n, shares, size=count).astype(float)
        some_parts = np.split(weights @ all_parts, ends, axis=1)
        some_wholes = np.split(weights @ all_wholes, ends, axis=1)
        for k, (_, _, empty) in enumerate(ratios):
            found[k].append(_ratios(some_parts[k], some_wholes[k], empty))
    return [_bounds(np.concatenate(draws), level) for draws in found]


def _bounds(scores: NDArray[np.float64], level: float) -> Interval:
    scores = scores[~np.isnan(scores)]
    if not len(scores):
        return math.nan, math.nan
    tail = (1 - level) / 2
    low, high = np.quantile(scores, (tail, 1 - tail))
    return float(low), float(high)


def _ratios(
    parts: NDArray[np.float64], wholes: NDArray[np.float64], empty: float
) -> NDArray[np.float64]:
    """One score for each row of sums."""
    there = wholes > 0
    ratios = np.divide(parts, wholes, out=np.full(parts.shape, empty), where=there)
    counted = ~np.isnan(ratios)
    total = np.where(counted, ratios, 0.0).sum(axis=1)
    number = counted.sum(axis=1)
    mean = np.full(len(parts), math.nan)
    np.divide(total, number, out=mean, where=number > 0)
    return mean
