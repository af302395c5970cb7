"""Features of pixels, and what the classifier holds true, computed once per tile."""

from __future__ import annotations

import itertools
from collections import OrderedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.data.source import Box
from napari_unet.live.patches import LivePatches
from napari_unet.live.reading import read_around
from napari_unet.networks.pixel_unet import PixelUNet

TILE = {2: (256, 256), 3: (32, 64, 64)}
"""Size of a tile, (Z) Y X."""
HALO = {2: 48, 3: 16}
"""Context of a tile in voxels, less than the coarsest features ask for, as in previews:
a full one would multiply the work."""
MAX_KEPT_BYTES = 2**29
"""Features of the tiles used last are kept up to this size."""

Cell = tuple[int, ...]
"""Sample, and position in the grid of tiles."""


class FeatureTiles:
    """Multiscale features where they are needed.

    Parameters
    ----------
    network : PixelUNet
        Its `scale_space` makes the features, its `pixels` the beliefs.
    patches : LivePatches
        Reads normalised pixels.
    """

    def __init__(self, network: PixelUNet, patches: LivePatches) -> None:
        self._network, self._patches = network, patches
        self._edge = TILE[network.scale_space.ndim]
        self._kept: OrderedDict[Cell, Tensor] = OrderedDict()
        self._beliefs: dict[Cell, Tensor] = {}

    def of(self, sample: int, voxels: NDArray[np.int64]) -> Tensor:
        """Features ``P F`` of voxels ``(P, (Z) Y X)`` of a sample, not standardised."""
        cells = voxels // np.array(self._edge)
        out = torch.empty(len(voxels), self._network.scale_space.n_out)
        for cell in np.unique(cells, axis=0):
            here = (cells == cell).all(axis=1)
            inside = voxels[here] - cell * np.array(self._edge)
            tile = self._tile((sample, *cell.tolist()))
            at = torch.from_numpy(inside.T.copy())
            out[torch.from_numpy(here)] = tile[(slice(None), *at)].T
        return out

    def block(self, sample: int, box: Box) -> Tensor:
        """Features ``F (Z) Y X`` of a box inside one tile, not standardised."""
        corner = tuple(a // e for (a, _), e in zip(box, self._edge, strict=True))
        tile = self._tile((sample, *corner))
        inside = tuple(
            slice(a - c * e, b - c * e)
            for (a, b), c, e in zip(box, corner, self._edge, strict=True)
        )
        return tile[(slice(None), *inside)]

    def spread(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of every feature over the tiles that are kept."""
        drawn = [
            tile.flatten(1)[:, :: max(1, tile[0].numel() // 4096)]
            for tile in self._kept.values()
        ]
        values = torch.cat(drawn, dim=1)
        return values.mean(1), values.std(1).clamp(min=1e-6)

    def cells(self) -> list[tuple[int, Box]]:
        """Sample and box of each tile that is kept."""
        return [(cell[0], self._box(cell)) for cell in self._kept]

    def forget_beliefs(self) -> None:
        """The classifier is another one now."""
        self._beliefs.clear()

    def belief(self, sample: int, box: Box) -> NDArray[np.float32]:
        """Probabilities ``K (Z) Y X`` of the classifier in a box inside a sample."""
        sizes = [b - a for a, b in box]
        out = np.empty((self._network.pixels.n_classes, *sizes), np.float32)
        spans = [
            range(a // e, (b - 1) // e + 1)
            for (a, b), e in zip(box, self._edge, strict=True)
        ]
        for cell in itertools.product(*spans):
            corner = [c * e for c, e in zip(cell, self._edge, strict=True)]
            both = [
                (max(a, c), min(b, c + e))
                for (a, b), c, e in zip(box, corner, self._edge, strict=True)
            ]
            to = tuple(
                slice(p - a, q - a) for (p, q), (a, _) in zip(both, box, strict=True)
            )
            of = tuple(
                slice(p - c, q - c) for (p, q), c in zip(both, corner, strict=True)
            )
            out[(slice(None), *to)] = self._belief((sample, *cell))[(slice(None), *of)]
        return out

    def _belief(self, cell: Cell) -> Tensor:
        if cell not in self._beliefs:
            with torch.inference_mode():
                log = self._network.pixels(self._tile(cell)[None])[0]
                self._beliefs[cell] = log.exp().half()
        return self._beliefs[cell]

    def _tile(self, cell: Cell) -> Tensor:
        if cell in self._kept:
            self._kept.move_to_end(cell)
            return self._kept[cell]
        tile = self._compute(cell)
        self._kept[cell] = tile
        while len(self._kept) * tile.numel() * 4 > MAX_KEPT_BYTES:
            gone, _ = self._kept.popitem(last=False)
            self._beliefs.pop(gone, None)
        return tile

    def _compute(self, cell: Cell) -> Tensor:
        box = self._box(cell)
        space = self._network.scale_space
        halo = [min(reach, HALO[len(box)]) for reach in space.reach]
        pixels, inner = read_around(self._patches, cell[0], box, halo, space.divisor)
        with torch.inference_mode():
            features: Tensor = space(pixels)[(0, slice(None), *inner)]
        return features.clone()

    def _box(self, cell: Cell) -> Box:
        return tuple(
            (p * e, min(p * e + e, n))
            for p, e, n in zip(
                cell[1:], self._edge, self._patches.spatial_shape, strict=True
            )
        )
