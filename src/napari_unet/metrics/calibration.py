"""Do probabilities mean what they say? Reliability and expected calibration error.

Of the pixels that a model calls a class with 80 % confidence, 80 % should be of it. The
expected calibration error (Guo et al. 2017, arXiv 1706.04599) is the mean distance
between confidence and accuracy over bins of confidence, weighted by their pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True)
class Reliability:
    """Sums over pixels by bin of confidence; add to pool images."""

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """Sum of the confidence of the pixels in each bin."""
    correct: NDArray[np.int64]

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.count + other.count,
            self.confidence + other.confidence,
            self.correct + other.correct,
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
