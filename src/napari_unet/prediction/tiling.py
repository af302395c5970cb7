"""Tiles: which voxels are read, which are computed, which are kept.

Along one axis, with the image mirrored where a tile reaches beyond it::

              read (outer)
    |<---------------------------------->|
    [  halo  |        core       |  halo  ]
             |<----------------->|
              written (inner, cut at the end of the image or region)

The halo is the context on which an inner voxel may depend. Cores start at multiples of
the network's divisor, so that every tile sees the pooling grid in the same phase: with
a halo as wide as the network's reach, tiles give what the whole image would give.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

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
    halo: tuple[int, ...]
    shape: tuple[int, ...]
    """Shape of the image."""
    bounds: Box
    """The region that is wanted; what lies outside is not written."""

    @property
    def outer_size(self) -> tuple[int, ...]:
        """Size of what the network sees."""
        return tuple(n + 2 * h for n, h in zip(self.size, self.halo, strict=True))

    @cached_property
    def indices(self) -> list[NDArray[np.intp]]:
        """Per axis: the voxel of the image that each outer position shows."""
        return [
            mirror(np.arange(s - h, s + n + h), length)
            for s, n, h, length in zip(
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
            slice(a - s + h, b - s + h)
            for (a, b), s, h in zip(self.inner, self.start, self.halo, strict=True)
        )

    def take(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outer pixels ``C (Z) Y X`` from those of :attr:`read_box`."""
        for axis, index in enumerate(self.indices, start=1):
            pixels = np.take(pixels, index - index.min(), axis=axis)
        return pixels

    def halves(self, divisor: Sequence[int]) -> list[Tile]:
        """Two tiles that do the work of this one; itself alone if it is too small."""
        axis = max(range(len(self.size)), key=lambda a: self.size[a] // divisor[a])
        steps = self.size[axis] // divisor[axis]
        if steps < 2:
            return [self]
        first = steps // 2 * divisor[axis]
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


def mirror(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Positions beyond an axis of `length`, mirrored at its end voxels."""
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    folded = np.mod(index, period)
    mirrored: NDArray[np.intp] = np.minimum(folded, period - folded)
    return mirrored


def plan_tiles(
    shape: Sequence[int],
    tile: Sequence[int],
    halo: Sequence[int],
    divisor: Sequence[int],
    box: Box | None = None,
) -> list[Tile]:
    """Tiles whose inner parts cover an image, or a box of it, once.

    Parameters
    ----------
    shape : sequence of int
        Of the image, (Z) Y X.
    tile : sequence of int
        Largest core; evened out over the image and rounded up to `divisor`.
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
    if min(tile) < 1 or min(halo) < 0:
        raise ConfigError(
            f"The tile {tuple(tile)} with halo {tuple(halo)} is too small: "
            "give at least 1 voxel per axis."
        )
    box = box or tuple((0, n) for n in shape)
    halo = tuple(round_up(h, d) for h, d in zip(halo, divisor, strict=True))
    per_axis: list[list[tuple[int, int]]] = []
    for (low, high), t, d in zip(box, tile, divisor, strict=True):
        low = low // d * d
        count = math.ceil((high - low) / round_up(t, d))
        core = round_up(math.ceil((high - low) / count), d)
        starts = range(low, high, core)
        per_axis.append([(s, min(core, round_up(high - s, d))) for s in starts])
    return [
        Tile(
            start=tuple(s for s, _ in spans),
            size=tuple(n for _, n in spans),
            halo=halo,
            shape=tuple(shape),
            bounds=box,
        )
        for spans in itertools.product(*per_axis)
    ]


def round_up(value: int, divisor: int) -> int:
    """The smallest multiple of `divisor` that is not below `value`."""
    return math.ceil(value / divisor) * divisor
