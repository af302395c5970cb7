"""Maps or classes of images of any size, tile by tile.

Three things go on at a time: a thread reads the next tiles, the device computes, and
who asked takes in what is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

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
from napari_unet.prediction.allocator import large_blocks_kept
from napari_unet.prediction.batches import Batch, TileMaps, Wanted, Work
from napari_unet.prediction.fusion import fuse_relu
from napari_unet.prediction.memory import largest_tile, measure_bytes_per_voxel
from napari_unet.prediction.pixels import normalize, stack_pixels, winner
from napari_unet.prediction.read_ahead import ReadAhead
from napari_unet.prediction.tiling import TileGrid
from napari_unet.prediction.views import averaged
from napari_unet.stopping import Stop, Stopped, never

__all__ = ["MemoryNote", "Predictor", "TileMaps", "Wanted", "Work"]

TILE = {("cpu", 2): 2048, ("cpu", 3): 128, ("gpu", 2): 2048, ("gpu", 3): 192}
"""Largest edge of a tile's core in voxels, by kind of device and dimensions."""
MAX_BATCH_VOXELS = {"cpu": 2**20, "gpu": 2**23}
"""Tiles of one shape are computed together up to about this many voxels."""
HALO_2D = 384
"""Context in 2D: all that a U-Net can see. A few networks can see further, but hardly
look there, and the full context would multiply the work."""
HALO_3D = 16
"""Context in 3D: a full one would multiply the work many times over."""
SMALL_VOXELS = 2**18
"""Tiles up to this many voxels fit into any memory."""


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
        Largest core of a tile; by default chosen by device, and so that it fits into
        the memory that is free.
    halo : sequence of int, optional
        Context around a core; by default the network's full reach in 2D (tiles then
        equal the whole image), and in 3D at most `HALO_3D`.
    views : bool
        Average over flips and quarter turns: eight times the work.
    temperature : float
        Divides logits before they become probabilities; the most probable class stays.
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
        views: bool = False,
        temperature: float = 1.0,
    ) -> None:
        description = cast("Network", network)
        self.task, self.views = task, views
        self.temperature = temperature
        # Packages of other programs end with what makes probabilities of logits.
        self._gives_maps = bool(getattr(network, "gives_maps", False))
        self.divisor = description.divisor
        self._ndim = len(self.divisor)
        if halo is None:
            limit = HALO_2D if self._ndim == 2 else HALO_3D
            halo = [min(reach, limit) for reach in description.halo]
        self.halo = tuple(halo)
        self._kind = "cpu" if device.type == "cpu" else "gpu"
        self._given_tile = tuple(tile) if tile else None
        self._fitting: tuple[int, ...] | None = None
        self.max_batch_voxels = MAX_BATCH_VOXELS[self._kind]
        self._folded = fold_batch_norm(deepcopy(network).to(torch.float32))
        self._place(device, precision)

    def _place(self, device: torch.device, precision: torch.dtype) -> None:
        self.device, self.precision = device, precision
        self._format = memory_format(device, self._ndim)
        network: Any = self._folded
        if device.type == "cpu":
            fuse_relu(network, precision)
        self._folded = network.to(device=device, memory_format=self._format)

    @property
    def largest(self) -> tuple[int, ...]:
        """Largest core of a tile, whatever memory is free."""
        return self._given_tile or (TILE[self._kind, self._ndim],) * self._ndim

    def tiles(self, source: ImageSource, box: Box | None = None) -> TileGrid:
        """Tiles of a sample of an image, or of a box (Z) Y X of it."""
        shape = source.spatial_shape
        box = box or tuple((0, n) for n in shape)
        tile = self.largest
        if self._given_tile is None:
            needed = [min(t, b - a) for t, (a, b) in zip(tile, box, strict=True)]
            tile = self._that_fits(needed, source.n_channels)
        return TileGrid(shape, tile, self.halo, self.divisor, box)

    def _that_fits(self, tile: Sequence[int], n_channels: int) -> tuple[int, ...]:
        if math.prod(tile) <= SMALL_VOXELS:
            return tuple(tile)
        if self._fitting is None:
            needed = measure_bytes_per_voxel(
                self._logits, n_channels, self.divisor, self.device
            )
            # Once: the tiles of a run must not change with what other programs do.
            self._fitting = largest_tile(
                self.largest, self.halo, self.divisor, needed, self.device
            )
        return tuple(min(t, f) for t, f in zip(tile, self._fitting, strict=True))

    def run(
        self,
        source: ImageSource,
        intensity: IntensityRange,
        sample: int,
        box: Box | None = None,
        stop: Stop = never,
    ) -> Iterator[TileMaps | MemoryNote]:
        """Maps of one sample, or of a box (Z) Y X of it, tile by tile.

        Context around the box comes from the image itself. The rest is as in
        :meth:`run_all`.
        """
        work = (Work(tile, sample) for tile in self.tiles(source, box))
        return self.run_all(source, intensity, work, stop=stop)

    def run_all(
        self,
        source: ImageSource,
        intensity: IntensityRange,
        work: Iterable[Work],
        *,
        wanted: Wanted = "maps",
        stop: Stop = never,
    ) -> Iterator[TileMaps | MemoryNote]:
        """What the network says about tiles, in their order.

        When the device runs out of memory, tiles are halved and the rest goes on; when
        even the smallest do not fit, the CPU takes over. A `MemoryNote` says so.

        Parameters
        ----------
        source : ImageSource
        intensity : IntensityRange
            Of the whole image.
        work : iterable of Work
            Taken only as far as it is needed.
        wanted : {"maps", "classes"}
            Classes are decided on the device; only their indices come back.
        stop : callable
            Asked before every layer of the network: a tile may take seconds.

        Raises
        ------
        Stopped
            If `stop` said so; tiles that were given out are good.
        DataError
            If even the CPU has too little memory for the smallest tile.
        """
        on_cpu = self.device.type == "cpu"
        with large_blocks_kept() if on_cpu else nullcontext():
            yield from self._run_all(source, intensity, work, wanted, stop)

    def _run_all(
        self,
        source: ImageSource,
        intensity: IntensityRange,
        work: Iterable[Work],
        wanted: Wanted,
        stop: Stop,
    ) -> Iterator[TileMaps | MemoryNote]:
        queue = ReadAhead(work, lambda batch: self._read(batch, source))
        running: Batch | None = None
        try:
            while (front := queue.front(self.max_batch_voxels, stop)) is not None:
                batch, pixels = front
                try:
                    with self._asking(stop):
                        begun = self._compute(batch, *pixels, intensity, wanted)
                except (RuntimeError, MemoryError) as error:
                    if not is_out_of_memory(error):
                        raise
                    queue.begin_again()
                    yield self._make_room(batch, queue)
                    continue
                queue.advance()
                if self.device.type == "cpu":
                    yield from begun.results()
                    continue
                # A GPU computes this batch while the one before is taken in.
                done, running = running, begun
                if done is not None:
                    yield from done.results()
        except Stopped:
            if running is not None:
                yield from running.results()
            raise
        finally:
            queue.close()
        if running is not None:
            yield from running.results()

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

    def _read(self, batch: list[Work], source: ImageSource) -> tuple[Tensor, bool]:
        parts = [w.tile.take(source.read(w.sample, w.tile.read_box)) for w in batch]
        return stack_pixels(parts, self.device)

    def _compute(
        self,
        batch: list[Work],
        pixels: Tensor,
        finite: bool,
        intensity: IntensityRange,
        wanted: Wanted,
    ) -> Batch:
        with torch.inference_mode():
            image = pixels.to(self.device, non_blocking=True)
            image = normalize(image, intensity, finite=finite)
            image = image.contiguous(memory_format=self._format)
            if self.views:
                maps = torch.cat(averaged(image, self._probabilities), dim=1)
            else:
                maps = self._logits(image)
            found = []
            for n, work in enumerate(batch):
                part = maps[n][(slice(None), *work.tile.crop)]
                if wanted == "classes":
                    part = winner(part[:-1] if self.views else part)
                elif not self.views:
                    part = self._normalized(part.float().contiguous(), dim=0)
                found.append(part)
            return Batch(batch, found, wanted)

    def _logits(self, image: Tensor) -> Tensor:
        with torch.inference_mode(), autocast(self.device, self.precision):
            logits: Tensor = self._folded(image)
            return logits

    def _probabilities(self, image: Tensor) -> Tensor:
        return self._normalized(self._logits(image).float(), dim=1)

    def _normalized(self, logits: Tensor, dim: int) -> Tensor:
        if self.task == "regression" or self._gives_maps:
            return logits  # values already
        if self.task == "classes":
            return (logits / self.temperature).softmax(dim=dim)
        if self.temperature != 1:
            # Of the foreground alone: the centre distance is no probability.
            foreground, rest = logits.tensor_split([1], dim=dim)
            logits = torch.cat([foreground / self.temperature, rest], dim=dim)
        return logits.sigmoid()

    def _make_room(self, batch: list[Work], queue: ReadAhead) -> MemoryNote:
        """Do with less memory: smaller batches, then smaller tiles, then the CPU."""
        release_memory(self.device)
        tile = batch[0].tile
        if len(batch) > 1:
            self.max_batch_voxels = math.prod(tile.outer_size) * (len(batch) // 2)
            return MemoryNote("Memory ran out: smaller batches are used.")
        halved = tile.halves()
        if len(halved) > 1 or halved[0].size != tile.size:
            queue.largest = max(math.prod(half.size) for half in halved)
            size = " × ".join(str(n) for n in halved[0].size)
            return MemoryNote(f"Memory ran out: tiles of {size} are used.")
        if self.device.type != "cpu":
            cpu = torch.device("cpu")
            self._place(cpu, pick_precision(cpu))
            return MemoryNote(
                "The device's memory is too small for this model: the CPU takes over."
            )
        raise DataError(
            "This computer's memory is too small for the model, even in small tiles: "
            "close other programs, or use a model with fewer channels."
        )
