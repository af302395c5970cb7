"""Patches for a live run: around strokes, and anywhere in the images they lie in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator

from napari_unet.data.annotation import UNANNOTATED
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.sampling import Batch
from napari_unet.data.source import Box, ImageSource
from napari_unet.live.sample_strokes import SampleStrokes
from napari_unet.live.strokes import StrokeBook
from napari_unet.prediction.tiling import mirror

ANYWHERE = 0.5
"""Share of the patches that lie anywhere: they carry what the classifier holds true."""
NEAR = {2: 4.0, 3: 1.5}
"""They lie within this many patches of a stroke along every axis: far away may be void,
and features are kept only so far."""
MAX_KEPT_BYTES = 2**29
"""Normalised images are kept in memory up to this size together."""

Belief = Callable[[int, Box], NDArray[np.float32]]
"""Probabilities ``K (Z) Y X`` in a box of a sample."""


class LivePatches:
    """Draws patches of an annotation that grows.

    Parameters
    ----------
    source : ImageSource
    intensity : IntensityRange
        Of the whole image.
    book : StrokeBook
    patch_size, margin : tuple of int
        (Z) Y X in voxels; patches are cut larger by the margin on either side.
    """

    def __init__(
        self,
        source: ImageSource,
        intensity: IntensityRange,
        book: StrokeBook,
        patch_size: Sequence[int],
        margin: Sequence[int],
    ) -> None:
        self._source, self._intensity, self._book = source, intensity, book
        self._patch, self._margin = tuple(patch_size), tuple(margin)
        self._kept: dict[int, NDArray[np.float32]] = {}

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape of a sample, (Z) Y X."""
        return self._source.spatial_shape

    def resize(self, patch_size: Sequence[int], margin: Sequence[int]) -> None:
        """Draw patches of another size from now on."""
        self._patch, self._margin = tuple(patch_size), tuple(margin)

    def read(self, sample: int, box: Box) -> NDArray[np.float32]:
        """Normalised pixels ``C (Z) Y X`` of a box inside a sample."""
        shape = self._source.spatial_shape
        size = 4 * self._source.n_channels * int(np.prod(shape))
        if sample not in self._kept and size * (len(self._kept) + 1) <= MAX_KEPT_BYTES:
            self._kept[sample] = self._intensity.normalize(self._source.read(sample))
        if sample in self._kept:
            return self._kept[sample][(slice(None), *(slice(*b) for b in box))]
        return self._intensity.normalize(self._source.read(sample, box))

    def draw(
        self,
        batch_size: int,
        generator: Generator,
        belief: Belief,
    ) -> Batch:
        """`batch_size` patches, larger by the margin.

        `belief` tells the probabilities ``K (Z) Y X`` in a box of a sample.
        """
        drawn = [self._draw_one(generator, belief) for _ in range(batch_size)]
        image = torch.from_numpy(np.stack([d[0] for d in drawn]))
        index = torch.from_numpy(np.stack([d[1] for d in drawn]).astype(np.int64))
        distance = None
        if self._book.task == "objects":
            distance = torch.from_numpy(np.stack([d[3] for d in drawn]))
        held_true = torch.from_numpy(np.stack([d[2] for d in drawn]))
        return Batch(image, index, distance, held_true)

    def _draw_one(
        self, generator: Generator, belief: Belief
    ) -> tuple[NDArray[Any], ...]:
        r = torch.rand(4 + 2 * len(self._patch), generator=generator).tolist()
        number, sample, voxel = self._anchor(r)
        shape = self._source.spatial_shape
        ndim = len(shape)
        if r[0] < ANYWHERE:
            for axis in range(ndim):
                n, p = shape[axis], self._patch[axis]
                reach = NEAR[ndim] * p
                low, high = max(0, voxel[axis] - reach), min(n, voxel[axis] + reach)
                if self._book.limit is not None:
                    first, last = self._book.limit[axis]
                    low, high = max(low, first), min(high, last)
                voxel[axis] = int(low + r[4 + axis] * (high - low))
        start = []
        for axis in range(ndim):
            n, p = shape[axis], self._patch[axis]
            first = int(voxel[axis]) - int(r[4 + ndim + axis] * p)
            first = min(max(first, 0), n - p) if p < n else -((p - n) // 2)
            start.append(first - self._margin[axis])
        return self._cut(number, sample, start, belief)

    def _anchor(
        self, r: Sequence[float]
    ) -> tuple[int, SampleStrokes, NDArray[np.int64]]:
        """A voxel of a class drawn evenly, whatever its size, in a sample that has it.

        A class of ten pixels is learnt like one of ten thousand.
        """
        samples = self._book.samples
        present = [v for v, n in enumerate(self._book.counts()) if n]
        value = present[int(r[1] * len(present))]
        having = [k for k, s in samples.items() if len(s.points[value])]
        number = having[int(r[2] * len(having))]
        points = samples[number].points[value]
        return number, samples[number], points[int(r[3] * len(points))].copy()

    def _cut(
        self,
        number: int,
        sample: SampleStrokes,
        start: Sequence[int],
        belief: Belief,
    ) -> tuple[NDArray[Any], ...]:
        shape = self._source.spatial_shape
        outer = [
            np.arange(s, s + p + 2 * m)
            for s, p, m in zip(start, self._patch, self._margin, strict=True)
        ]
        inside = [mirror(o, n) for o, n in zip(outer, shape, strict=True)]
        box = tuple((int(i.min()), int(i.max()) + 1) for i in inside)
        take = np.ix_(*(i - i.min() for i in inside))
        image = self.read(number, box)[(slice(None), *take)]
        key = tuple(slice(*b) for b in box)
        teaching = sample.teaching if sample.teaching is not None else sample.index
        index = teaching[key][take]
        # Mirrored strokes teach nothing that the strokes themselves do not.
        for axis, (o, n) in enumerate(zip(outer, shape, strict=True)):
            beyond = [slice(None)] * len(shape)
            beyond[axis] = (o < 0) | (o >= n)  # type: ignore[call-overload]
            index[tuple(beyond)] = UNANNOTATED
        held_true = belief(number, box)[(slice(None), *take)]
        if sample.distance is None:
            return image, index, held_true
        # Neither does an object that is held out, by its middle.
        distance = np.where(index == 1, sample.distance[key][take], np.float32(0))
        return image, index, held_true, distance
