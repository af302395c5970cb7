"""Distances between boundaries, in the units of the voxel size.

The Hausdorff distance at the 95th percentile is the larger of the two one-sided ones
(as in MONAI): 95 % of either boundary lie within it of the other. The boundary F-score
(Csurka et al. 2013; Martin et al. 2004 without assignment) counts how much of either
boundary lies within a tolerance of the other.

A boundary runs along the inner side of an object, through pixels that touch (4 or 6
neighbours) another label, background or the edge of the image. Where nobody annotated
there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Spacing = tuple[float, ...]


@dataclass(frozen=True)
class BoundaryDistances:
    """From every boundary pixel of one side to the nearest one of the other."""

    to_truth: NDArray[np.float64]
    """From the predicted boundary."""
    to_prediction: NDArray[np.float64]
    """From the true boundary."""

    def hausdorff(self, percentile: float = 95.0) -> float:
        """Hausdorff distance at a percentile; NaN where a side has no boundary."""
        sides = (self.to_truth, self.to_prediction)
        if not all(len(s) and np.isfinite(s).all() for s in sides):
            return math.nan
        return max(float(np.percentile(s, percentile)) for s in sides)

    def hits(self, tolerance: float) -> tuple[int, int, int, int]:
        """Predicted boundary pixels near enough and in all; true ones likewise."""
        # Distances are square roots: a tolerance of just as much must hold.
        limit = tolerance * (1 + 1e-9)
        return (
            int((self.to_truth <= limit).sum()),
            len(self.to_truth),
            int((self.to_prediction <= limit).sum()),
            len(self.to_prediction),
        )

    def f_score(self, tolerance: float) -> float:
        """Boundary F-score; NaN where neither side has a boundary."""
        near, n, met, m = self.hits(tolerance)
        if not n and not m:
            return math.nan
        precision, recall = near / n if n else 0.0, met / m if m else 0.0
        total = precision + recall
        return 2 * precision * recall / total if total else 0.0


def boundary_distances(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    spacing: Spacing = (),
    annotated: NDArray[np.bool_] | None = None,
) -> BoundaryDistances:
    """Measure both ways between the boundaries of two label images or masks.

    Parameters
    ----------
    truth, prediction : array of int or bool, (Z) Y X
        Objects of any number; 0 and False are background.
    spacing : tuple of float
        Voxel size along (Z) Y X; 1 by default.
    annotated : array of bool, optional
        Pixels that count; all by default.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    edges = [edges_of(labels, annotated) for labels in (truth, prediction)]
    box = _box(edges[0] | edges[1])
    if box is None:
        return BoundaryDistances(np.zeros(0), np.zeros(0))
    true_edge, made_edge = (e[box] for e in edges)
    return BoundaryDistances(
        _distances(made_edge, true_edge, spacing),
        _distances(true_edge, made_edge, spacing),
    )


def edges_of(
    labels: NDArray[Any], annotated: NDArray[np.bool_] | None = None
) -> NDArray[np.bool_]:
    """Boundary pixels of all objects."""
    labels = np.maximum(labels, 0) if labels.dtype.kind == "i" else labels
    if annotated is not None:
        labels = np.where(annotated, labels, 0)
    padded = np.pad(labels, 1)
    inner = (slice(1, -1),) * labels.ndim
    found = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        for step in (-1, 1):
            found |= np.roll(padded, step, axis)[inner] != labels
    found &= labels != 0
    if annotated is not None and not annotated.all():
        # Annotation that ends is not the end of the object.
        found &= ~ndimage.binary_dilation(~annotated)
    return found


def _distances(
    start: NDArray[np.bool_], goal: NDArray[np.bool_], spacing: Spacing
) -> NDArray[np.float64]:
    if not goal.any():
        return np.full(int(start.sum()), np.inf)
    away = ndimage.distance_transform_edt(~goal, sampling=spacing or None)
    found: NDArray[np.float64] = away[start]
    return found


def _box(where: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The smallest box that holds all of `where`."""
    found = ndimage.find_objects(where.astype(np.int8))
    return found[0] if found else None
