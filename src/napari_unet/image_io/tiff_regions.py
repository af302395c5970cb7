"""Compressed TIFFs that are decoded where they are read."""

from __future__ import annotations

import itertools
import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

PIECE_BYTES = 2**22
"""Strips and tiles are decoded together up to about so many bytes."""
KEPT_BYTES = 2**30
"""Most bytes of decoded pieces that are kept."""
KEPT_SHARE = 0.125
"""… and the largest part of the memory that is free."""


class TiffRegions:
    """The first series of a TIFF, decoded piece by piece.

    Neighbouring regions need the same strips, which reach over the whole width: what
    was decoded last is kept for a while.

    Parameters
    ----------
    path : Path
    colours : int, optional
        Use only so many entries of the last axis: opacity is no channel.
    level : int
        Which resolution, the full one first.

    Attributes
    ----------
    largest_piece : int
        Bytes that have to be decoded at once, at least.
    """

    def __init__(self, path: Path, colours: int | None = None, level: int = 0) -> None:
        import tifffile
        import zarr

        self.path, self.colours, self.level = path, colours, level
        tif = tifffile.TiffFile(path)
        try:
            opened = zarr.open(tif.series[0].aszarr(level=level), mode="r")
        except BaseException:
            tif.close()
            raise
        self._array: Any = opened if isinstance(opened, zarr.Array) else opened["0"]
        weakref.finalize(self, tif.close)
        self.dtype: np.dtype[Any] = np.dtype(self._array.dtype)
        self._whole = tuple(int(n) for n in self._array.shape)
        chunk = tuple(int(n) for n in self._array.chunks)
        self.largest_piece = math.prod(chunk) * self.dtype.itemsize
        self._piece = _grouped(chunk, self._whole, self.dtype.itemsize)
        self.shape = (*self._whole[:-1], colours) if colours else self._whole
        self._kept: OrderedDict[tuple[int, ...], NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any, /) -> Any:
        """A region: whole numbers and slices."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in keys:
            at = keys.index(Ellipsis)
            keys[at : at + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        keys += [slice(None)] * (self.ndim - len(keys))
        box: list[tuple[int, int]] = []
        rest: list[Any] = []
        for k, n in zip(keys, self.shape, strict=True):
            if isinstance(k, slice):
                positions = range(n)[k]
                low, high = (
                    sorted((positions[0], positions[-1])) if positions else (0, -1)
                )
                box.append((low, high + 1))
                rest.append(slice(None, None, positions.step))
            else:
                box.append((range(n)[k], range(n)[k] + 1))
                rest.append(0)
        return self._read(box)[tuple(rest)]

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)

    def _read(self, box: list[tuple[int, int]]) -> NDArray[Any]:
        result = np.empty([b - a for a, b in box], self.dtype)
        if not result.size:
            return result
        with self._lock:
            for number in self._pieces(box):
                piece = self._decoded(number)
                here, there = [], []
                for (a, b), i, n in zip(box, number, self._piece, strict=True):
                    start, stop = max(a, i * n), min(b, (i + 1) * n)
                    here.append(slice(start - a, stop - a))
                    there.append(slice(start - i * n, stop - i * n))
                result[tuple(here)] = piece[tuple(there)]
        return result

    def _pieces(self, box: list[tuple[int, int]]) -> Iterator[tuple[int, ...]]:
        return itertools.product(
            *(
                range(a // n, math.ceil(b / n))
                for (a, b), n in zip(box, self._piece, strict=True)
            )
        )

    def _decoded(self, number: tuple[int, ...]) -> NDArray[Any]:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        free = KEPT_SHARE * psutil.virtual_memory().available
        room = min(KEPT_BYTES, free)
        size = math.prod(self._piece) * self.dtype.itemsize
        while self._kept and (len(self._kept) + 1) * size > room:
            self._kept.popitem(last=False)
        pairs = zip(number, self._piece, strict=True)
        part = np.asarray(
            self._array[tuple(slice(i * n, (i + 1) * n) for i, n in pairs)]
        )
        self._kept[number] = part
        return part


def _grouped(
    chunk: tuple[int, ...], shape: tuple[int, ...], itemsize: int
) -> tuple[int, ...]:
    """Several chunks along the last axis that has several, up to `PIECE_BYTES`."""
    piece = list(chunk)
    for axis in reversed(range(len(shape))):
        if chunk[axis] < shape[axis]:
            times = max(1, PIECE_BYTES // (math.prod(chunk) * itemsize))
            piece[axis] = chunk[axis] * min(times, math.ceil(shape[axis] / chunk[axis]))
            break
    return tuple(piece)
