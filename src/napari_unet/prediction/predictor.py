"""Probability maps of images of any size, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_unet.config import Task
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import Box, ImageSource
from napari_unet.device import (
    autocast,
    is_out_of_memory,
    memory_format,
    pick_precision,
    release_memory,
)
from napari_unet.errors import DataError
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.registry import Network
from napari_unet.prediction.tiling import Tile, plan_tiles
from napari_unet.stopping import Stop, Stopped, never

TILE = {("cpu", 2): 1024, ("cpu", 3): 96, ("gpu", 2): 2048, ("gpu", 3): 192}
"""Largest edge of a tile's core in voxels, by kind of device and dimensions."""
MAX_BATCH_VOXELS = {"cpu": 2**20, "gpu": 2**23}
"""Tiles of one shape are computed together up to about this many voxels."""
HALO_3D = 16
"""Context in 3D: a full one would multiply the work many times over."""


@dataclass(frozen=True, slots=True)
class TileMaps:
    """Maps of one tile, ready to be written at ``tile.target``."""

    tile: Tile
    maps: NDArray[np.float32]
    """Probabilities ``K (Z) Y X`` of the tile's inner part."""


@dataclass(frozen=True, slots=True)
class MemoryNote:
    """What was done because memory ran out, in a sentence."""

    text: str


class Predictor:
    """Runs a network over images.

    Batch normalisation is folded into the convolutions of a copy; the network that is
    passed in stays as it was.

    Parameters
    ----------
    network : nn.Module
        With ``divisor`` and ``halo``, as all in :mod:`napari_unet.networks`.
    task : {"classes", "objects"}
        Decides between softmax and sigmoid.
    device, precision
        From :mod:`napari_unet.device`.
    tile : sequence of int, optional
        Largest core of a tile; chosen by device otherwise.
    halo : sequence of int, optional
        Context around a core; by default the network's full reach in 2D (tiles then
        equal the whole image). In 3D at most `HALO_3D`, and none along an axis that
        one tile covers.
    """

    def __init__(
        self,
        network: nn.Module,
        task: Task,
        device: torch.device,
        precision: torch.dtype,
        *,
        tile: Sequence[int] | None = None,
        halo: Sequence[int] | None = None,
    ) -> None:
        description = cast("Network", network)
        self.task = task
        self.divisor = description.divisor
        ndim = len(self.divisor)
        self._exact = ndim == 2 or halo is not None
        if halo is None:
            limit = math.inf if ndim == 2 else HALO_3D
            halo = [int(min(reach, limit)) for reach in description.halo]
        self.halo = tuple(halo)
        kind = "cpu" if device.type == "cpu" else "gpu"
        self.tile = tuple(tile or (TILE[kind, ndim],) * ndim)
        self.max_batch_voxels = MAX_BATCH_VOXELS[kind]
        self._folded = fold_batch_norm(deepcopy(network).to(torch.float32))
        self._place(device, precision)

    def _place(self, device: torch.device, precision: torch.dtype) -> None:
        self.device, self.precision = device, precision
        self._format = memory_format(len(self.divisor))
        network: Any = self._folded
        self._folded = network.to(device=device, memory_format=self._format)

    def tiles(self, shape: Sequence[int], box: Box | None = None) -> list[Tile]:
        """Tiles of an image of `shape` (Z) Y X, or of a box of it."""
        box = box or tuple((0, n) for n in shape)
        halo = self.halo
        if not self._exact:
            # One tile along an axis has no seams there, and training saw borders too.
            halo = tuple(
                0 if span == (0, n) and n <= t else h
                for span, n, t, h in zip(box, shape, self.tile, halo, strict=True)
            )
        return plan_tiles(shape, self.tile, halo, self.divisor, box)

    def run(
        self,
        source: ImageSource,
        intensity: IntensityRange,
        sample: int,
        box: Box | None = None,
        stop: Stop = never,
    ) -> Iterator[TileMaps | MemoryNote]:
        """Maps of one sample, tile by tile.

        When the device runs out of memory, tiles are halved and the rest goes on; when
        even the smallest do not fit, the CPU takes over. A `MemoryNote` says so.

        Parameters
        ----------
        source, sample
            The image and the position along S.
        intensity : IntensityRange
            Of the whole image.
        box : Box, optional
            Region to predict; context around it comes from the image itself.
        stop : callable
            Asked before every layer of the network: a tile may take seconds.

        Raises
        ------
        Stopped
            If `stop` said so; tiles that were given out are good.
        DataError
            If even the CPU has too little memory for the smallest tile.
        """
        todo = self.tiles(source.spatial_shape, box)
        while todo:
            if stop():
                raise Stopped
            batch = self._next_batch(todo)
            try:
                with self._asking(stop):
                    maps = self._compute(batch, source, intensity, sample)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                note, todo = self._make_room(len(batch), todo)
                yield note
                continue
            del todo[: len(batch)]
            for tile, part in zip(batch, maps, strict=True):
                yield TileMaps(tile, part)

    @contextmanager
    def _asking(self, stop: Stop) -> Iterator[None]:
        """Let the network ask `stop` before every layer."""

        def ask(*_: object) -> None:
            if stop():
                raise Stopped

        layers = [m for m in self._folded.modules() if not any(m.children())]
        hooks = [layer.register_forward_pre_hook(ask) for layer in layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _next_batch(self, todo: list[Tile]) -> list[Tile]:
        """The longest run of equal tiles at the front that may be computed together."""
        size = todo[0].outer_size
        most = max(1, self.max_batch_voxels // math.prod(size))
        batch: list[Tile] = []
        for tile in todo[:most]:
            if tile.outer_size != size:
                break
            batch.append(tile)
        return batch

    def _compute(
        self,
        batch: list[Tile],
        source: ImageSource,
        intensity: IntensityRange,
        sample: int,
    ) -> list[NDArray[np.float32]]:
        pixels = [
            t.take(intensity.normalize(source.read(sample, t.read_box))) for t in batch
        ]
        image: Any = torch.from_numpy(np.stack(pixels))
        image = image.to(device=self.device, memory_format=self._format)
        with torch.inference_mode(), autocast(self.device, self.precision):
            logits = self._folded(image).float()
            if self.task == "classes":
                maps = logits.softmax(dim=1)
            else:
                maps = logits.sigmoid()
            return [
                maps[n][(slice(None), *tile.crop)].cpu().numpy()
                for n, tile in enumerate(batch)
            ]

    def _make_room(
        self, batch_size: int, todo: list[Tile]
    ) -> tuple[MemoryNote, list[Tile]]:
        """Do with less memory: smaller batches, then smaller tiles, then the CPU."""
        release_memory(self.device)
        if batch_size > 1:
            self.max_batch_voxels = math.prod(todo[0].outer_size) * (batch_size // 2)
            return MemoryNote("Memory ran out: smaller batches are used."), todo
        halved = [half for tile in todo for half in tile.halves(self.divisor)]
        if len(halved) > len(todo):
            size = " × ".join(str(n) for n in halved[0].size)
            return MemoryNote(f"Memory ran out: tiles of {size} are used."), halved
        if self.device.type != "cpu":
            cpu = torch.device("cpu")
            self._place(cpu, pick_precision(cpu))
            return MemoryNote(
                "The device's memory is too small for this model: the CPU takes over."
            ), todo
        raise DataError(
            "This computer's memory is too small for the model, even in small tiles: "
            "close other programs, or use a model with fewer channels."
        )
