"""Boundaries of labels, for those who go on with lines instead of regions."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def boundaries(labels: NDArray[T], width: int = 1, *, ids: bool = True) -> NDArray[T]:
    """The outermost voxels of every object.

    A voxel belongs to a boundary of width w if another value is at most w steps along
    the axes away from it. The edge of the image is no boundary.

    Parameters
    ----------
    labels : array of int, (Z) Y X
        0 is background and has no boundary of its own.
    width : int
        In voxels, inwards from the object's edge; lines between two touching objects
        are twice as wide.
    ids : bool
        Whether boundary voxels keep their object's number, or are 1.

    Returns
    -------
    array of int, (Z) Y X
        Of the dtype of `labels`; 0 elsewhere.
    """
    if width < 1:
        raise ValueError(f"a boundary has a width of at least 1, not {width}")
    edge = _changes(labels)
    if width > 1:
        from scipy.ndimage import binary_dilation

        edge = binary_dilation(edge, iterations=width - 1)
    edge &= labels != 0
    kept: Any = labels if ids else labels.dtype.type(1)
    made: NDArray[T] = np.where(edge, kept, labels.dtype.type(0))
    return made


def _changes(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels with another value right beside them."""
    edge = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        before = (*[slice(None)] * axis, slice(None, -1))
        after = (*[slice(None)] * axis, slice(1, None))
        differs = labels[before] != labels[after]
        edge[before] |= differs
        edge[after] |= differs
    return edge
