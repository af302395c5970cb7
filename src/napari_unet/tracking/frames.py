"""What linking has to know of one frame: its objects, and how two frames overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FrameObjects:
    """The N objects of one frame.

    Parameters
    ----------
    ids : array of int, N
        Their labels in this frame, ascending.
    centroids : array of float, N × axes of the frame
        In the unit of the voxel size.
    sizes : array of float, N
        Area or volume in the unit of the voxel size.
    """

    ids: _Ints
    centroids: _Floats
    sizes: _Floats

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def diameters(self) -> _Floats:
        """Diameters of circles or balls of the objects' sizes."""
        if self.centroids.shape[1] == 2:
            return np.asarray(2 * np.sqrt(self.sizes / math.pi))
        return np.asarray(np.cbrt(6 * self.sizes / math.pi))


def number(frame: NDArray[Any]) -> tuple[_Ints, NDArray[np.int32]]:
    """Labels in a frame, ascending, and the frame with 1, 2, 3, … in their place.

    0 stays 0; the numbers are places in the first array, plus one.
    """
    highest = int(frame.max(initial=0))
    if highest <= 4 * frame.size:  # a table is faster than sorting all pixels
        present = np.zeros(highest + 1, bool)
        present[frame.ravel()] = True
        present[0] = False
        table = np.zeros(highest + 1, np.int32)
        ids = np.flatnonzero(present)
        table[ids] = np.arange(1, len(ids) + 1)
        return ids, table[frame]
    values, places = np.unique(frame, return_inverse=True)
    first = int(values[0] != 0)
    numbered = places.reshape(frame.shape).astype(np.int32)
    numbered += np.int32(first)
    return values[values != 0].astype(np.int64), numbered


def describe(
    ids: _Ints, numbered: NDArray[np.int32], spacing: Sequence[float]
) -> FrameObjects:
    """Measure the objects of a frame as :func:`number` gives it.

    Parameters
    ----------
    ids, numbered
        What :func:`number` returns.
    spacing : sequence of float
        Size of a voxel along each axis of the frame.
    """
    count = len(ids) + 1
    flat = np.flatnonzero(numbered)
    owner = numbered.ravel()[flat]
    voxels = np.bincount(owner, minlength=count)[1:]
    places = np.unravel_index(flat, numbered.shape)
    centroids = np.zeros((len(ids), numbered.ndim))
    for axis, (place, size) in enumerate(zip(places, spacing, strict=True)):
        total = np.bincount(owner, place, minlength=count)[1:]
        centroids[:, axis] = total / voxels * size
    sizes = np.asarray(voxels * math.prod(spacing), np.float64)
    return FrameObjects(ids, centroids, sizes)


def overlap(
    before: NDArray[np.int32], after: NDArray[np.int32], counts: tuple[int, int]
) -> csr_array:
    """Intersection over union of the objects of two frames.

    Parameters
    ----------
    before, after : array of int32
        Two frames of one shape, as :func:`number` gives them.
    counts : tuple of int
        Numbers of objects N and M in them.

    Returns
    -------
    csr_array of float, N × M
        Sparse: most objects share nothing.
    """
    from scipy.sparse import coo_array  # not before somebody tracks

    n, m = counts
    both = (before > 0) & (after > 0)
    places = before[both].astype(np.int64) - 1, after[both].astype(np.int64) - 1
    shared = coo_array((np.ones(len(places[0])), places), (n, m)).tocsr().tocoo()
    sizes_before = np.bincount(before.ravel(), minlength=n + 1)[1:]
    sizes_after = np.bincount(after.ravel(), minlength=m + 1)[1:]
    union = sizes_before[shared.row] + sizes_after[shared.col] - shared.data
    return coo_array((shared.data / union, (shared.row, shared.col)), (n, m)).tocsr()
