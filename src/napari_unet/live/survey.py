"""Where annotation would help most."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.data.source import Box, ImageSource
from napari_unet.live.learner import LiveLearner
from napari_unet.live.preview import uncertainty
from napari_unet.live.strokes import StrokeBook
from napari_unet.stopping import Stop, Stopped

BLOCK = 64
"""Edge in voxels of the regions that are compared."""
MAX_PLANES = 8
"""Planes that are looked at for one answer."""
MAX_EDGE = 1024
"""Of a large plane, a part of this edge is looked at."""
STRIP_BLOCKS = 4
"""Rows of blocks that are looked at between two questions whether to stop."""

Region = tuple[int, Box]
"""Sample, and box (Z) Y X."""
Cell = tuple[int, ...]
"""Sample, first plane, and place in a grid of blocks: a region, however it is cut."""


class Survey:
    """Finds uncertain regions without annotation, each time another one.

    Parameters
    ----------
    source : ImageSource
    book : StrokeBook
    seed : int
    """

    def __init__(self, source: ImageSource, book: StrokeBook, seed: int) -> None:
        self._source, self._book = source, book
        self._random = np.random.default_rng(seed)
        self._given: set[Cell] = set()

    def next_region(
        self, learner: LiveLearner, here: Region | None, stop: Stop
    ) -> Region | None:
        """The most uncertain region of a few planes, the one on screen first.

        Raises
        ------
        Stopped
            If `stop` said so before all of them were looked at.
        """
        previewer = learner.previewer()
        best, best_cell, best_value = None, None, -1.0
        for sample, box in self._strips(here):
            if stop():
                raise Stopped
            maps = previewer.maps(learner.patches, sample, box)
            unsure = uncertainty(maps, learner.task)
            for region, value in self._blocks(sample, box, unsure):
                cell = (sample, *(a for a, _ in region[1][:-2]))
                cell += tuple(a // BLOCK for a, _ in region[1][-2:])
                if value > best_value and cell not in self._given:
                    best, best_cell, best_value = region, cell, value
        if best_cell is not None:
            self._given.add(best_cell)
        return best

    def _strips(self, here: Region | None) -> Iterator[Region]:
        """The planes in pieces that do not cut a block in two."""
        height = STRIP_BLOCKS * BLOCK
        for sample, box in self._planes(here):
            first, last = box[-2]
            start = first
            while start < last:
                stop = min(last, start // BLOCK * BLOCK + height)
                yield sample, (*box[:-2], (start, stop), box[-1])
                start = stop

    def _planes(self, here: Region | None) -> list[Region]:
        shape = self._source.spatial_shape
        bounds = self._book.limit or tuple((0, n) for n in shape)
        planes = [] if here is None else _inside(here, bounds)
        first, last = bounds[0] if len(shape) == 3 else (0, 1)
        depth = last - first
        total = self._source.n_samples * depth
        drawn = self._random.permutation(total)[: MAX_PLANES - len(planes)]
        for number in drawn.tolist():
            sample, z = divmod(number, depth)
            box = []
            for low, high in bounds[-2:]:
                start = int(self._random.integers(low, max(low, high - MAX_EDGE) + 1))
                box.append((start, min(high, start + MAX_EDGE)))
            if len(shape) == 3:
                box.insert(0, (first + z, first + z + 1))
            planes.append((sample, tuple(box)))
        return planes

    def _blocks(
        self, sample: int, box: Box, unsure: NDArray[np.float32]
    ) -> list[tuple[Region, float]]:
        """Regions of a plane without annotation, and how uncertain they are."""
        found = []
        known = self._book.samples.get(sample)
        first = [a // BLOCK * BLOCK for a, _ in box[-2:]]
        # A mean over a few pixels beside: single edges are always uncertain.
        unsure = ndimage.uniform_filter(unsure, (0,) * (unsure.ndim - 2) + (5, 5))
        for y in range(first[0], box[-2][1], BLOCK):
            for x in range(first[1], box[-1][1], BLOCK):
                spans = tuple(
                    (max(a, s), min(b, s + BLOCK))
                    for (a, b), s in zip(box[-2:], (y, x), strict=True)
                )
                if min(b - a for a, b in spans) < BLOCK // 4:
                    continue
                region = (*box[:-2], *spans)
                key = tuple(slice(*b) for b in region)
                if known is not None and (known.index[key] >= 0).any():
                    continue
                part = tuple(
                    slice(a - c, b - c)
                    for (a, b), (c, _) in zip(region, box, strict=True)
                )
                found.append(((sample, region), float(unsure[part].mean())))
        return found


def _inside(region: Region, bounds: Box) -> list[Region]:
    """The part of a region within bounds, if there is one."""
    sample, box = region
    both = tuple(
        (max(a, low), min(b, high))
        for (a, b), (low, high) in zip(box, bounds, strict=True)
    )
    return [(sample, both)] if all(a < b for a, b in both) else []
