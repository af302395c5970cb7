"""Normalised pixels with the context that a computation needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.data.source import Box
from napari_unet.prediction.tiling import mirror, round_up


class Pixels(Protocol):
    """Reads normalised pixels."""

    @property
    def spatial_shape(self) -> tuple[int, ...]: ...
    def read(self, sample: int, box: Box) -> NDArray[np.float32]: ...


def read_around(
    patches: Pixels,
    sample: int,
    box: Box,
    halo: Sequence[int],
    divisor: Sequence[int],
) -> tuple[Tensor, tuple[slice, ...]]:
    """Pixels ``1 C (Z) Y X`` of a box with context, and where the box lies in them.

    Context ends at the border of the image; what divisibility asks for is mirrored.
    """
    index, inner = [], []
    for (a, b), h, d, n in zip(box, halo, divisor, patches.spatial_shape, strict=True):
        # From a multiple of the divisor, so that coarse grids keep their phase.
        first = max(0, a - h) // d * d
        last = first + round_up(min(n, b + h) - first, d)
        index.append(mirror(np.arange(first, last), n))
        inner.append(slice(a - first, b - first))
    read = tuple((int(i.min()), int(i.max()) + 1) for i in index)
    pixels = patches.read(sample, read)
    take = np.ix_(*(i - i.min() for i in index))
    return torch.from_numpy(pixels[(slice(None), *take)])[None], tuple(inner)
