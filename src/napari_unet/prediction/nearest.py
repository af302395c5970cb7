"""Masks in a coarser grid than their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_unet.data.source import ArrayLike


class NearestArray:
    """An array in a smaller grid over the same image: the pixel nearest to each middle.

    Parameters
    ----------
    array : array-like
    shape : sequence of int
        Of the smaller grid, with as many axes.
    """

    def __init__(self, array: ArrayLike, shape: Sequence[int]) -> None:
        self.array, self.shape = array, tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    def __getitem__(self, key: Any, /) -> Any:
        """A region: slices without steps, and whole numbers."""
        keys = key if isinstance(key, tuple) else (key,)
        keys = tuple(k for k in keys if k is not Ellipsis)
        keys += (slice(None),) * (len(self.shape) - len(keys))
        spans, places = [], []
        for k, n, m in zip(keys, self.array.shape, self.shape, strict=True):
            index = np.atleast_1d(np.arange(m)[k])
            position = (2 * index + 1) * int(n) // (2 * m)
            low = int(position.min(initial=int(n)))
            spans.append(slice(low, int(position.max(initial=-1)) + 1))
            places.append(position - low)
        part = np.asarray(self.array[tuple(spans)])[np.ix_(*places)]
        whole = [0 if not isinstance(k, slice) else slice(None) for k in keys]
        return part[tuple(whole)]

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> Any:
        return np.asarray(self[...], dtype)
