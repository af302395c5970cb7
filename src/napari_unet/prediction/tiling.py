"""Tiles: which voxels are read, which are computed, which are kept.

Along one axis::

              read (outer)
    |<---------------------------------->|
    [  halo  |        core       |  halo  ]
             |<----------------->|
              written (inner, cut at the end of the image or region)

The halo is the context on which an inner voxel may depend; it ends at the border of the
image, where the network itself pads. Cores start at multiples of the network's divisor,
so that every tile sees the pooling grid in the same phase. With a halo as wide as the
network's reach, tiles therefore give what the whole image would give. An image whose
size is no multiple of the divisor is mirrored at its far end up to the next one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import Box
from napari_unet.errors import ConfigError


@dataclass(frozen=True)
class Tile:
    """One tile; all positions in voxels of the image along (Z) Y X."""

    start: tuple[int, ...]
    """First voxel of the core; a multiple of the divisor."""
    size: tuple[int, ...]
    """Size of the core, a multiple of the divisor; it may reach beyond the image."""
    reach: tuple[int, ...]
    """Context that is wanted on either side; a multiple of the divisor."""
    divisor: tuple[int, ...]
    shape: tuple[int, ...]
    """Shape of the image."""
    bounds: Box
    """The region that is wanted; what lies outside is not written."""

    @property
    def halo(self) -> tuple[tuple[int, int], ...]:
        """Context before and after the core: the image's border ends it."""
        return tuple(
            (min(r, s), min(r, round_up(length, d) - s - n))
            for r, s, n, d, length in zip(
                self.reach, self.start, self.size, self.divisor, self.shape, strict=True
            )
        )

    @property
    def outer_size(self) -> tuple[int, ...]:
        """Size of what the network sees."""
        return tuple(n + a + b for n, (a, b) in zip(self.size, self.halo, strict=True))

    @cached_property
    def indices(self) -> list[NDArray[np.intp]]:
        """Per axis: the voxel of the image that each outer position shows."""
        return [
            mirror(np.arange(s - a, s + n + b), length)
            for s, n, (a, b), length in zip(
                self.start, self.size, self.halo, self.shape, strict=True
            )
        ]

    @property
    def read_box(self) -> Box:
        """The part of the image that has to be read."""
        return tuple((int(i.min()), int(i.max()) + 1) for i in self.indices)

    @property
    def inner(self) -> Box:
        """What is written, in the image."""
        return tuple(
            (max(s, low), min(s + n, high))
            for s, n, (low, high) in zip(
                self.start, self.size, self.bounds, strict=True
            )
        )

    @property
    def target(self) -> tuple[slice, ...]:
        """What is written, counted from the corner of the region."""
        return tuple(
            slice(a - low, b - low)
            for (a, b), (low, _) in zip(self.inner, self.bounds, strict=True)
        )

    @property
    def crop(self) -> tuple[slice, ...]:
        """The inner part, in the outer one."""
        return tuple(
            slice(a - s + before, b - s + before)
            for (a, b), s, (before, _) in zip(
                self.inner, self.start, self.halo, strict=True
            )
        )

    def take(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Outer pixels ``C (Z) Y X`` from those of :attr:`read_box`."""
        for axis, index in enumerate(self.indices, start=1):
            first = int(index.min())
            if index[0] != first or len(index) != pixels.shape[axis]:
                pixels = np.take(pixels, index - first, axis=axis)
        return pixels

    def halves(self) -> list[Tile]:
        """Two tiles that do the work of this one; itself alone if it is too small."""
        steps = [n // d for n, d in zip(self.size, self.divisor, strict=True)]
        axis = steps.index(max(steps))
        if steps[axis] < 2:
            return [self]
        first = steps[axis] // 2 * self.divisor[axis]
        spans = [
            (self.start[axis], first),
            (self.start[axis] + first, self.size[axis] - first),
        ]
        parts = [
            replace(
                self,
                start=(*self.start[:axis], begin, *self.start[axis + 1 :]),
                size=(*self.size[:axis], length, *self.size[axis + 1 :]),
            )
            for begin, length in spans
        ]
        return [p for p in parts if all(a < b for a, b in p.inner)]


class TileGrid(Sequence[Tile]):
    """Tiles whose inner parts cover an image, or a box of it, once.

    They are made when they are asked for: there may be millions.

    Parameters
    ----------
    shape : sequence of int
        Of the image, (Z) Y X.
    tile : sequence of int
        Largest core; evened out over the region and rounded up to `divisor`.
    halo : sequence of int
        Rounded up to `divisor`.
    divisor : sequence of int
        Of the network.
    box : Box, optional
        Region to cover; the whole image by default.

    Raises
    ------
    ConfigError
        If the tile is not at least one voxel along every axis.
    """

    def __init__(
        self,
        shape: Sequence[int],
        tile: Sequence[int],
        halo: Sequence[int],
        divisor: Sequence[int],
        box: Box | None = None,
    ) -> None:
        if min(tile) < 1 or min(halo) < 0:
            raise ConfigError(
                f"The tile {tuple(tile)} with halo {tuple(halo)} is too small: "
                "give at least 1 voxel per axis."
            )
        self._shape = tuple(shape)
        self._box: Box = box or tuple((0, n) for n in shape)
        self._divisor = tuple(divisor)
        self._reach = tuple(round_up(h, d) for h, d in zip(halo, divisor, strict=True))
        self._spans: list[list[tuple[int, int]]] = []
        for (low, high), t, d in zip(self._box, tile, divisor, strict=True):
            low = low // d * d
            count = math.ceil((high - low) / round_up(t, d))
            core = round_up(math.ceil((high - low) / count), d)
            starts = range(low, high, core)
            self._spans.append([(s, min(core, round_up(high - s, d))) for s in starts])
        self._counts = tuple(len(spans) for spans in self._spans)

    def __len__(self) -> int:
        return math.prod(self._counts)

    @overload
    def __getitem__(self, index: int) -> Tile: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tile]: ...
    def __getitem__(self, index: int | slice) -> Tile | list[Tile]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} tiles, not {index}")
        where = np.unravel_index(index % len(self), self._counts)
        spans = [s[int(i)] for s, i in zip(self._spans, where, strict=True)]
        return Tile(
            start=tuple(s for s, _ in spans),
            size=tuple(n for _, n in spans),
            reach=self._reach,
            divisor=self._divisor,
            shape=self._shape,
            bounds=self._box,
        )


def mirror(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Positions beyond an axis of `length`, mirrored at its end voxels."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = np.mod(index, period)
    mirrored: NDArray[np.intp] = np.minimum(folded, period - folded)
    return mirrored


def round_up(value: int, divisor: int) -> int:
    """The smallest multiple of `divisor` that is not below `value`."""
    return math.ceil(value / divisor) * divisor
