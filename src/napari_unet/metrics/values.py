"""How far predicted values are from true ones: MAE, RMSE and R²."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ValueErrors:
    """Errors of one image or of several pooled; addable.

    Errors are kept as sums about a mean, so that pooling loses no digits.
    """

    pixels: int
    absolute: float
    """Sum of absolute errors."""
    squared: float
    """Sum of squared errors."""
    mean: float
    """Mean of the true values."""
    variation: float
    """Sum of squared deviations of the true values from their mean."""

    def __add__(self, other: ValueErrors) -> ValueErrors:
        n = self.pixels + other.pixels
        if not n:
            return self
        apart = other.mean - self.mean
        # Chan, Golub and LeVeque 1979: joining the variations of two sets.
        return ValueErrors(
            n,
            self.absolute + other.absolute,
            self.squared + other.squared,
            self.mean + apart * other.pixels / n,
            self.variation
            + other.variation
            + apart**2 * self.pixels * other.pixels / n,
        )

    @property
    def mae(self) -> float:
        """Mean absolute error, in the unit of the values; NaN without a pixel."""
        return self.absolute / self.pixels if self.pixels else math.nan

    @property
    def rmse(self) -> float:
        """Root of the mean squared error, in the unit of the values."""
        return math.sqrt(self.squared / self.pixels) if self.pixels else math.nan

    @property
    def r2(self) -> float:
        """Share of the variation that is predicted, at most 1.

        0 is no better than the mean everywhere; NaN where the true values do not vary.
        """
        return 1 - self.squared / self.variation if self.variation else math.nan

    def as_dict(self) -> dict[str, float | int | None]:
        """Plain values for a file; ``None`` for what is undefined."""
        found = {"MAE": self.mae, "RMSE": self.rmse, "R²": self.r2}
        plain = {k: None if math.isnan(v) else v for k, v in found.items()}
        return {"pixels": self.pixels, **plain}


def value_errors(
    true: NDArray[np.floating], predicted: NDArray[np.floating]
) -> ValueErrors:
    """Compare images of values of one shape; NaN in `true` is not annotated.

    Parameters
    ----------
    true, predicted : ndarray
        Any axes, in the same unit.
    """
    known = np.isfinite(true)
    truth = true[known].astype(np.float64)
    error = predicted[known].astype(np.float64) - truth
    mean = float(truth.mean()) if truth.size else 0.0
    return ValueErrors(
        int(truth.size),
        float(np.abs(error).sum()),
        float((error**2).sum()),
        mean,
        float(((truth - mean) ** 2).sum()),
    )


def pool_values(errors: Iterable[ValueErrors]) -> ValueErrors:
    """The errors of several images as if they were one."""
    return sum(errors, ValueErrors(0, 0.0, 0.0, 0.0, 0.0))
