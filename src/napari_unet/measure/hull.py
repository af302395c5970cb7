"""Convex hulls of objects, also of those that come in pieces."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

LARGEST_RASTER = 2**22
"""Bounding boxes of more voxels are not filled: their hull's exact volume counts."""


def line_ends(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and last true voxel of every line along the last axis.

    All corners of the convex hull are among them.

    Parameters
    ----------
    mask : ndarray of bool, (Z) Y X

    Returns
    -------
    ndarray of int, N × (Z) Y X
        Indices into `mask`.
    """
    hit = mask.any(axis=-1)
    lines = np.argwhere(hit)
    first = mask.argmax(axis=-1)[hit]
    last = mask.shape[-1] - 1 - mask[..., ::-1].argmax(axis=-1)[hit]
    ends = [np.column_stack([lines, end]) for end in (first, last)]
    return np.concatenate(ends).astype(np.int64)


def corners(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of some voxels that are corners of their convex hull, or all if flat."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        kept: NDArray[np.int64] = points[ConvexHull(points).vertices]
    except QhullError:
        return points
    return kept


def hull_voxels(points: NDArray[np.int64]) -> float:
    """Voxels inside the convex hull of some voxels, as scikit-image counts them.

    Hulls too large to be filled, and flat ones in 3D, which scikit-image refuses, give
    the volume of the hull around whole voxels instead.

    Parameters
    ----------
    points : ndarray of int, N × (Z) Y X
        Indices; those of :func:`line_ends` suffice.
    """
    from skimage.morphology import convex_hull_image

    points = points - points.min(axis=0)
    shape = tuple(points.max(axis=0) + 1)
    if math.prod(shape) > LARGEST_RASTER or _is_flat(points):
        return _volume(points)
    mask = np.zeros(shape, bool)
    mask[tuple(points.T)] = True
    return float(np.count_nonzero(convex_hull_image(mask)))


def _is_flat(points: NDArray[np.int64]) -> bool:
    """Whether voxels in 3D lie in one plane."""
    spread = points - points[0]
    return points.shape[1] == 3 and int(np.linalg.matrix_rank(spread)) < 3


def _volume(points: NDArray[np.int64]) -> float:
    """Volume of the hull around whole voxels, in voxels."""
    from scipy.spatial import ConvexHull

    halves: NDArray[Any] = np.array(
        list(itertools.product((-0.5, 0.5), repeat=points.shape[1]))
    )
    corners = np.unique(
        (points[:, np.newaxis] + halves).reshape(-1, points.shape[1]), axis=0
    )
    return float(ConvexHull(corners).volume)
