"""Blocks: pieces of a result that are made, written and, after a stop, found again.

A block is cut into tiles for the network, and is itself one or several chunks of a
store. For objects it is seen with a margin: objects of neighbouring blocks are compared
there (:mod:`napari_unet.segmentation.stitching`)::

    |<------------ outer ------------>|
    [ margin |      inner    | margin ]

"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from napari_unet.data.source import Box


@dataclass(frozen=True)
class Block:
    """One block of one sample; boxes in voxels of the image, (Z) Y X."""

    number: int
    position: int
    """Which of the chosen samples it belongs to."""
    sample: int
    """The same as an index along S."""
    inner: Box
    """What it writes."""
    outer: Box
    """What it looks at."""

    @property
    def crop(self) -> tuple[slice, ...]:
        """The inner part, in the outer one."""
        return inside(self.inner, self.outer)


def inside(part: Box, whole: Box) -> tuple[slice, ...]:
    """Where `part` lies, counted from the corner of `whole`."""
    return tuple(
        slice(a - low, b - low) for (a, b), (low, _) in zip(part, whole, strict=True)
    )


class BlockGrid(Sequence[Block]):
    """Blocks that cover a box of some samples once, sample by sample.

    Parameters
    ----------
    samples : sequence of int
        Indices along S.
    box : Box
        Region of each of them, (Z) Y X.
    size : sequence of int
        Of a block; the last one along an axis may be smaller.
    margin : sequence of int
        Voxels that a block looks at beyond its inner part, inside `box`.
    """

    def __init__(
        self,
        samples: Sequence[int],
        box: Box,
        size: Sequence[int],
        margin: Sequence[int],
    ) -> None:
        self.samples, self.box = samples, box
        self.size, self.margin = tuple(size), tuple(margin)
        self.counts = tuple(
            math.ceil((b - a) / n) for (a, b), n in zip(box, size, strict=True)
        )
        """Blocks along each axis of a sample."""
        self.per_sample = math.prod(self.counts)

    def __len__(self) -> int:
        return len(self.samples) * self.per_sample

    @overload
    def __getitem__(self, index: int) -> Block: ...
    @overload
    def __getitem__(self, index: slice) -> list[Block]: ...
    def __getitem__(self, index: int | slice) -> Block | list[Block]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(f"there are {len(self)} blocks, not {index}")
        position, rest = divmod(index, self.per_sample)
        inner, outer = [], []
        for i, (low, high), n, m in zip(
            np.unravel_index(rest, self.counts),
            self.box,
            self.size,
            self.margin,
            strict=True,
        ):
            start = low + int(i) * n
            stop = min(start + n, high)
            inner.append((start, stop))
            outer.append((max(low, start - m), min(high, stop + m)))
        return Block(
            index, position, self.samples[position], tuple(inner), tuple(outer)
        )

    def around(self, number: int) -> Iterator[tuple[int, int, int]]:
        """The blocks beside `number`: axis, 0 before or 1 after, and its number."""
        where = np.unravel_index(number % self.per_sample, self.counts)
        for axis, (i, count) in enumerate(zip(where, self.counts, strict=True)):
            step = math.prod(self.counts[axis + 1 :])
            if i > 0:
                yield axis, 0, number - step
            if i < count - 1:
                yield axis, 1, number + step

    def pairs(self, numbers: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Axis and numbers of neighbours, each two once."""
        for number in numbers:
            for axis, side, other in self.around(number):
                if side == 1:
                    yield axis, number, other

    def seen_by_both(self, first: int, second: int) -> Box:
        """What two blocks both look at."""
        pairs = zip(self[first].outer, self[second].outer, strict=True)
        return tuple((max(a, c), min(b, d)) for (a, b), (c, d) in pairs)
