"""Who is who in the next frame.

The first of two steps, as in Jaqaman et al. 2008 (doi:10.1038/nmeth.1237). Objects of
consecutive frames are assigned to each other, where appearing and disappearing has its
price, too. The second is :mod:`napari_unet.tracking.joining`.

The cost of a link is the squared distance of the centroids, as a share of the longest
one allowed, plus what the overlap (intersection over union) lacks to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_unet.tracking.assignment import assigned
from napari_unet.tracking.frames import FrameObjects

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DIAMETERS = 1.25
"""Longest distance between two frames, in median diameters of the objects."""

_PRICE = 1.01
"""Of appearing, and of disappearing: together a little more than the worst link, which
costs 2: at the longest distance, without any overlap."""


def link_frames(
    before: FrameObjects,
    after: FrameObjects,
    overlaps: csr_array,
    max_distance: float,
) -> list[tuple[int, int]]:
    """Pairs of places of the same object in two frames.

    Only pairs that are near enough are looked at, so that tens of thousands of objects
    take seconds.

    Parameters
    ----------
    before, after : FrameObjects
        N and M objects.
    overlaps : csr_array of float, N × M
        Intersection over union.
    max_distance : float
        Between centroids, in the unit of the voxel size.
    """
    from scipy.spatial import KDTree  # not before somebody tracks

    if not len(before) or not len(after):
        return []
    near = KDTree(before.centroids).sparse_distance_matrix(
        KDTree(after.centroids), max_distance, output_type="ndarray"
    )
    if not len(near):
        return []
    i, j = near["i"], near["j"]
    share = near["v"] / max_distance
    cost = share**2 + 1 - np.asarray(overlaps[i, j]).ravel()
    return assigned(i, j, cost, len(before), len(after), _PRICE)
