"""Cutting big labels into blocks that fit into memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from napari_unet.data.source import Box, ImageSource

BLOCK_VOXELS = 2**23
"""Most voxels that are read in one go."""


def cut(shape: Sequence[int], chunks: Sequence[int], most: int) -> list[Box]:
    """Boxes that cover `shape`, of at most about `most` voxels each.

    Parameters
    ----------
    shape : sequence of int
        (Z) Y X in voxels.
    chunks : sequence of int
        How the array is stored: blocks are made of whole chunks where these are not
        larger than `most`.
    most : int
        Largest block in voxels.
    """
    sizes = list(shape)
    steps = [min(c, n) for c, n in zip(chunks, shape, strict=True)]
    while math.prod(sizes) > most:
        counts = [n / step for n, step in zip(sizes, steps, strict=True)]
        axis = counts.index(max(counts))
        if counts[axis] <= 1:
            if max(sizes) == 1:
                break
            steps = [1] * len(sizes)
            continue
        step = steps[axis]
        half = math.ceil(sizes[axis] / step / 2) * step
        sizes[axis] = half if half < sizes[axis] else step
    spans = [
        [(a, min(a + size, n)) for a in range(0, n, size)]
        for size, n in zip(sizes, shape, strict=True)
    ]
    return list(itertools.product(*spans))


def chunk_sizes(source: ImageSource) -> tuple[int, ...]:
    """How the first array of a source is stored along (Z) Y X, in voxels."""
    array = source.arrays[0]
    chunks = getattr(array, "chunks", None)
    if not isinstance(chunks, tuple) or len(chunks) != len(source.axes):
        return (1,) * source.ndim
    # dask gives the length of every chunk along an axis, zarr one for all.
    lengths = [c if isinstance(c, int) else max(c) for c in chunks]
    return tuple(int(lengths[source.axes.index(a)]) for a in source.spatial)
