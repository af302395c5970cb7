"""Into which blocks an image is cut."""

from __future__ import annotations

import math
from collections.abc import Sequence

from napari_unet.data.source import Box
from napari_unet.image_io import label_store
from napari_unet.prediction.blocks import BlockGrid
from napari_unet.prediction.tiling import round_up
from napari_unet.workflows.preparation import Prepared

WHOLE_VOXELS = 2**25
"""Up to so many voxels, objects of a sample in memory are found all at once."""
BLOCK = {2: (2048, 2048), 3: (128, 256, 256)}
"""Voxels of a block along (Z) Y X: some chunks of a store."""
MARGIN = {2: 96, 3: 32}
"""Voxels, along the finest axis, that blocks look at beyond themselves for objects."""


def grid_in_memory(prepared: Prepared, samples: Sequence[int], box: Box) -> BlockGrid:
    """Blocks of a result in memory, of some samples in a box (Z) Y X."""
    lengths = [b - a for a, b in box]
    if prepared.model.info.task == "objects":
        whole = math.prod(lengths) <= WHOLE_VOXELS
        size: Sequence[int] = lengths if whole else BLOCK[prepared.image.ndim]
        return BlockGrid(samples, box, size, object_margin(prepared))
    # A block is a tile: each is seen as soon as it is there.
    predictor = prepared.predictor
    if prepared.resampling is None:
        size = [
            _even(n, t, d)
            for n, t, d in zip(
                lengths, predictor.largest, predictor.divisor, strict=True
            )
        ]
    else:
        size = [
            _even(n, max(1, int((t - 2 * d) / f)), 1)
            for n, t, d, f in zip(
                lengths,
                predictor.largest,
                predictor.divisor,
                prepared.resampling.factors,
                strict=True,
            )
        ]
    return BlockGrid(samples, box, size, [0] * len(box))


def _even(length: int, largest: int, divisor: int) -> int:
    """Size of pieces of about equal length, none of them above `largest`."""
    return round_up(math.ceil(length / math.ceil(length / largest)), divisor)


def store_block(prepared: Prepared) -> list[int]:
    """Voxels of a block of a store, along (Z) Y X: whole chunks.

    It is smaller where the network sees many voxels for each one of the image.
    """
    ndim = prepared.image.ndim
    size, chunk = list(BLOCK[ndim]), label_store.CHUNK[ndim]
    resampling = prepared.resampling
    more = math.prod(resampling.factors) if resampling else 1.0
    while more > 2 and size != list(chunk):
        size = [max(c, n // 2) for c, n in zip(chunk, size, strict=True)]
        more /= 2**ndim
    return size


def object_margin(prepared: Prepared) -> list[int]:
    """What blocks look at beyond themselves, in voxels of the image along (Z) Y X."""
    source, resampling = prepared.source, prepared.resampling
    finest = min(source.voxel_size)
    wide = MARGIN[source.ndim]
    factors = resampling.factors if resampling else (1.0,) * source.ndim
    return [
        max(2, round(wide * finest / s / f))
        for s, f in zip(source.voxel_size, factors, strict=True)
    ]
