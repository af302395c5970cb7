"""Whole images on the device that trains, where they fit: patches need no transfer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.data.annotation import UNANNOTATED

if TYPE_CHECKING:
    from napari_unet.data.sampling import Region
    from napari_unet.data.targets import Target

SHARE = {"cuda": 1 / 3, "mps": 1 / 8}
"""Of the free memory that images may take; the network needs the rest.

Not on a CPU: there NumPy cuts 128 × 128 patches out of an image in memory in 0.6 of the
time, and 48 × 48 × 48 ones in a fifth.
"""


@dataclass(frozen=True)
class CachedPatch:
    """One patch; fields as in :class:`~napari_unet.data.sampling.Batch`."""

    image: Tensor
    index: Tensor
    maps: list[Tensor | None]
    """Distance, values and weight, as far as there are any."""


class CachedRegion:
    """A region, normalised, with its targets, on a device.

    Parameters
    ----------
    region : Region
    target : Target
    device : torch.device
    """

    def __init__(self, region: Region, target: Target, device: torch.device) -> None:
        pixels = region.annotation.source.read(region.sample, region.box)
        self._image = torch.from_numpy(region.intensity.normalize(pixels)).to(device)
        self._index = torch.from_numpy(np.array(target.index)).to(device)
        self._maps = [
            None if m is None else torch.from_numpy(np.array(m)).to(device)
            for m in (target.distance, target.values, target.weight)
        ]

    def cut(self, start: Sequence[int], size: Sequence[int]) -> CachedPatch:
        """The patch at `start`, (Z) Y X; outside the region pixels are mirrored."""
        shape = self._index.shape
        if all(
            s >= 0 and s + d <= n for s, d, n in zip(start, size, shape, strict=True)
        ):
            key: Any = (
                ...,
                *(slice(s, s + d) for s, d in zip(start, size, strict=True)),
            )
            maps = [None if m is None else m[key] for m in self._maps]
            return CachedPatch(self._image[key], self._index[key].long(), maps)
        return self._cut_beyond(start, size)

    def _cut_beyond(self, start: Sequence[int], size: Sequence[int]) -> CachedPatch:
        device = self._index.device
        places = [np.arange(s, s + d) for s, d in zip(start, size, strict=True)]
        lengths = self._index.shape
        mirrored = [mirror(p, n) for p, n in zip(places, lengths, strict=True)]
        key: Any = (
            ...,
            *(torch.from_numpy(p).to(device) for p in np.ix_(*mirrored)),
        )
        outside = np.zeros([len(p) for p in places], bool)
        for axis, (place, n) in enumerate(zip(places, lengths, strict=True)):
            np.moveaxis(outside, axis, 0)[(place < 0) | (place >= n)] = True
        away = torch.from_numpy(outside).to(device)
        # Mirrored annotation teaches nothing that the annotation itself does not.
        index = self._index[key].long().masked_fill(away, UNANNOTATED)
        maps = [None if m is None else m[key].masked_fill(away, 0) for m in self._maps]
        return CachedPatch(self._image[key], index, maps)


def mirror(places: NDArray[Any], length: int) -> NDArray[Any]:
    """Where positions beyond an axis are mirrored to, without its ends twice."""
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    inside = places % period
    found: NDArray[Any] = np.minimum(inside, period - inside)
    return found


def cached_bytes(region: Region, target: Target) -> int:
    """What a region takes as a :class:`CachedRegion`."""
    voxels = math.prod(b - a for a, b in region.box)
    arrays = (target.index, target.distance, target.values, target.weight)
    targets = sum(a.nbytes for a in arrays if a is not None)
    return 4 * region.annotation.source.n_channels * voxels + targets
