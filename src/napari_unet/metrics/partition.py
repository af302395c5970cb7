"""Scores of a segmentation as a partition: Rand and information theoretic.

V_Rand and V_Info are the foreground-restricted scores of the ISBI 2012 challenge
(Arganda-Carreras et al. 2015, Frontiers in Neuroanatomy 9:142): of the pixels inside
true objects, how many *pairs* (Rand) or how much *information* are kept together and
apart as they should be. Both are F-scores, 1 is best. A low split score says that true
objects were cut into pieces, a low merge score that they were joined.

Predicted background inside true objects is one more segment, as in scikit-image and
funlib.evaluate, unless the borders are thinned away first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix

from napari_unet.metrics.overlaps import small_ids


@dataclass(frozen=True)
class PartitionScores:
    """Agreement of two partitions; NaN where no pixel lies in a true object."""

    rand: float
    """V_Rand; 1 minus it is the adapted Rand error."""
    rand_split: float
    rand_merge: float
    info: float
    """V_Info."""
    info_split: float
    info_merge: float
    voi_split: float
    """H(prediction | truth) in bits: variation of information by splitting."""
    voi_merge: float
    """H(truth | prediction) in bits: variation of information by merging."""


NOTHING = PartitionScores(*(math.nan,) * 8)


def partition_scores(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    mask: NDArray[np.bool_] | None = None,
) -> PartitionScores:
    """Compare two label images on the pixels of true objects.

    Parameters
    ----------
    truth, prediction : array of int
        Labels of one shape. Pixels whose truth is 0 or less do not count.
    mask : array of bool, optional
        Annotated pixels; all by default.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    inside = truth > 0 if mask is None else (truth > 0) & mask
    true, _ = small_ids(truth[inside])
    made, _ = small_ids(prediction[inside])
    n = len(true)
    if not n:
        return NOTHING
    table = coo_matrix((np.ones(n, np.int64), (true, made))).tocsr()
    both = table.data / n
    of_truth = np.bincount(true) / n
    of_made = np.bincount(made) / n
    pairs, pairs_truth, pairs_made = (
        float(np.square(p).sum()) for p in (both, of_truth, of_made)
    )
    joint, h_truth, h_made = (_entropy(p) for p in (both, of_truth, of_made))
    mutual = max(h_truth + h_made - joint, 0.0)
    return PartitionScores(
        rand=2 * pairs / (pairs_truth + pairs_made),
        rand_split=pairs / pairs_truth,
        rand_merge=pairs / pairs_made,
        info=_share(2 * mutual, h_truth + h_made),
        info_split=_share(mutual, h_made),
        info_merge=_share(mutual, h_truth),
        voi_split=max(joint - h_truth, 0.0),
        voi_merge=max(joint - h_made, 0.0),
    )


def pieces(foreground: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the connected pieces: 4-connected in 2D, 6-connected in 3D."""
    labels: NDArray[np.int32] = ndimage.label(foreground)[0]
    return labels


def thin_borders(
    prediction: NDArray[Any], truth: NDArray[Any], spacing: tuple[float, ...] = ()
) -> NDArray[Any]:
    """Give predicted background inside true objects to the nearest predicted object.

    Borders then have no width, so that a score compares how the plane is parted and
    not how thick a membrane was drawn.

    Parameters
    ----------
    prediction, truth : array of int, (Z) Y X
    spacing : tuple of float
        Voxel size along (Z) Y X; 1 by default.
    """
    empty = prediction == 0
    gaps = empty & (truth > 0)
    if not gaps.any() or empty.all():
        return prediction
    nearest = ndimage.distance_transform_edt(
        empty,
        sampling=spacing or None,
        return_distances=False,
        return_indices=True,
    )
    thinned: NDArray[Any] = prediction.copy()
    thinned[gaps] = prediction[tuple(axis[gaps] for axis in nearest)]
    return thinned


def _entropy(shares: NDArray[np.float64]) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log2(some)).sum())


def _share(part: float, whole: float) -> float:
    # One segment on either side holds no information, and nothing is lost.
    return part / whole if whole > 0 else 1.0
