"""Tiles of a prediction: what is asked for, and what the device has found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.prediction.tiling import Tile

Wanted = Literal["maps", "classes"]
"""All maps of a tile, or only which class is the most probable."""


@dataclass(frozen=True, slots=True)
class Work:
    """A tile of one sample."""

    tile: Tile
    sample: int
    block: int = 0
    """A number that whoever asked gave it."""


@dataclass(frozen=True, slots=True)
class TileMaps:
    """What was found in the inner part of a tile, to be written at ``tile.target``."""

    work: Work
    maps: NDArray[np.float32]
    """Probabilities ``K (Z) Y X``; with several views, their disagreement comes last.
    No map where only classes were wanted."""
    classes: NDArray[np.integer[Any]] | None = None
    """Index of the most probable map, (Z) Y X, where only classes were wanted."""

    @property
    def tile(self) -> Tile:
        return self.work.tile


class Batch:
    """Tiles that the device has computed, or is computing."""

    def __init__(self, works: list[Work], found: list[Tensor], wanted: Wanted) -> None:
        self._works, self._wanted = works, wanted
        self._ready: torch.cuda.Event | None = None
        if found[0].device.type == "cuda":
            # The copies queue up behind this batch and in front of the next one.
            pinned = [
                torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in found
            ]
            for target, part in zip(pinned, found, strict=True):
                target.copy_(part, non_blocking=True)
            self._ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._ready.record()
            found = pinned
        self._found = found

    def results(self) -> Iterator[TileMaps]:
        """Wait for the device, and give out what it found."""
        if self._ready is not None:
            self._ready.synchronize()
        none = np.empty((0,) * 4, np.float32)
        for work, part in zip(self._works, self._found, strict=True):
            array = part.cpu().numpy()
            if self._wanted == "classes":
                yield TileMaps(work, none, array)
            else:
                yield TileMaps(work, array)
