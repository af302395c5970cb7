"""Do probabilities mean what they say? Reliability, calibration error, temperature.

Of the pixels that a model calls a class with 80 % confidence, 80 % should be of it. The
expected calibration error (Guo et al. 2017, arXiv 1706.04599) is the mean distance
between confidence and accuracy over bins of confidence, weighted by their pixels.
Networks mostly are too sure. Dividing logits by one number, the *temperature*, that is
fitted on held-out pixels (ibid.) makes up for it, and no decision changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
TEMPERATURES = (0.4, 10.0)
"""Range that a temperature is looked for in."""
LEAST_WRONG = 20
"""Wrong pixels without which nothing can be said about how sure to be."""
MOST_PIXELS = 300_000
"""Pixels of an image that a temperature is fitted to."""
TINY = 1e-7
"""Probabilities below are rounding."""


@dataclass(frozen=True)
class Reliability:
    """Sums over pixels by bin of confidence; add to pool images."""

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """Sum of the confidence of the pixels in each bin."""
    correct: NDArray[np.int64]
    before: Reliability | None = None
    """The same pixels with probabilities that no temperature has cooled."""

    def __add__(self, other: Reliability) -> Reliability:
        known = self.before is not None and other.before is not None
        return Reliability(
            self.count + other.count,
            self.confidence + other.confidence,
            self.correct + other.correct,
            self.before + other.before if known else None,  # type: ignore[operator]
        )

    @property
    def ece(self) -> float:
        """Expected calibration error, 0 to 1; NaN without pixels."""
        total = int(self.count.sum())
        if not total:
            return math.nan
        return float(np.abs(self.confidence - self.correct).sum() / total)

    def curve(self) -> list[tuple[float, float, int]]:
        """Mean confidence, share of right pixels and pixels of each bin in use."""
        return [
            (float(self.confidence[k] / n), float(self.correct[k] / n), int(n))
            for k, n in enumerate(self.count)
            if n
        ]


def reliability(
    probabilities: NDArray[Any],
    truth: NDArray[Any],
    values: tuple[int, ...],
    bins: int = BINS,
) -> Reliability:
    """Sort annotated pixels by the confidence of the most probable class.

    Parameters
    ----------
    probabilities : array of float, axes K then those of `truth`
    truth : array of int
        Values that are not in `values`, such as -1, do not count.
    values : tuple of int
        Label value of each of the K maps.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    if probabilities.shape != (len(values), *truth.shape):
        raise ValueError(f"{probabilities.shape} does not fit {truth.shape}")
    known = np.isin(truth, values)
    maps = np.asarray(probabilities[:, known], np.float64)
    best = maps.argmax(axis=0)
    confidence = np.clip(np.take_along_axis(maps, best[None], 0)[0], 0, 1)
    right = np.asarray(values)[best] == truth[known]
    # Bins are open to the left, so that 1 lies in the last one.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    return Reliability(
        np.bincount(place, minlength=bins),
        np.bincount(place, confidence, minlength=bins).astype(np.float64),
        np.bincount(place, right, minlength=bins).astype(np.int64),
    )


def tempered(probabilities: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """What probabilities become when the logits are divided by a temperature.

    Parameters
    ----------
    probabilities : ndarray, K …
        Of all classes; they sum to 1.
    """
    maps = np.maximum(np.asarray(probabilities, np.float32), TINY)
    if temperature == 1:
        return maps
    # In logarithms, so that powers of small numbers do not vanish together.
    logits = np.log(maps) / temperature
    maps = np.exp(logits - logits.max(axis=0))
    result: NDArray[np.float32] = maps / maps.sum(axis=0)
    return result


def tempered_one(probability: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """:func:`tempered` for the probability of one of two classes."""
    maps = np.asarray(probability, np.float32)
    return maps if temperature == 1 else tempered(both(maps), temperature)[1]


def both(probability: NDArray[Any]) -> NDArray[np.float32]:
    """Probabilities of background and foreground, from that of foreground."""
    foreground = np.asarray(probability, np.float32)
    return np.stack([1 - foreground, foreground])


def fit_temperature(
    images: Iterable[tuple[NDArray[Any], NDArray[np.integer[Any]]]],
) -> float:
    """The temperature under which the truth is most probable.

    Parameters
    ----------
    images : iterable of (ndarray, ndarray)
        Probabilities ``K …`` and, for each pixel, the class that is true; -1 where
        nobody knows.

    Returns
    -------
    float
        1 where fewer than `LEAST_WRONG` pixels are wrong: it would become as sure as
        it may.
    """
    from scipy.optimize import minimize_scalar

    logits, truths = [], []
    for maps, index in images:
        known = np.flatnonzero(index.ravel() >= 0)
        known = known[:: max(1, -(-known.size // MOST_PIXELS))]
        flat = maps.reshape(len(maps), -1)[:, known]
        logits.append(np.log(np.maximum(flat.astype(np.float64), TINY)))
        truths.append(index.ravel()[known].astype(np.int64))
    if not logits:
        return 1.0
    scores, truth = np.concatenate(logits, axis=1), np.concatenate(truths)
    if np.count_nonzero(scores.argmax(axis=0) != truth) < LEAST_WRONG:
        return 1.0

    def surprise(log_temperature: float) -> float:
        """Mean negative log-likelihood."""
        scaled = scores / math.exp(log_temperature)
        top = scaled.max(axis=0)
        total = top + np.log(np.exp(scaled - top).sum(axis=0))
        own = np.take_along_axis(scaled, truth[None], 0)[0]
        return float((total - own).mean())

    low, high = (math.log(t) for t in TEMPERATURES)
    found = minimize_scalar(surprise, bounds=(low, high), method="bounded")
    return float(np.exp(found.x))
