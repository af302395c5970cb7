"""How much memory a network takes per voxel: measured, then tiles are chosen by it."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from napari_unet.device import free_memory
from napari_unet.prediction.tiling import round_up

PROBE = {2: 64, 3: 16}
"""Least edge in voxels of the tile that is computed to measure, by dimensions."""
SHARE = {"cpu": 0.25, "gpu": 0.6}
"""Part of the free memory that a tile may take: others need some, too."""
SPARE = 1.5
"""Libraries use some memory that cannot be seen from outside."""


def measure_bytes_per_voxel(
    forward: Callable[[Tensor], object],
    n_channels: int,
    divisor: Sequence[int],
    device: torch.device,
) -> float:
    """Largest memory in bytes per voxel of a tile that `forward` holds at one time.

    Parameters
    ----------
    forward : callable
        From an image ``N C (Z) Y X`` to whatever is kept of it.
    """
    edge = PROBE[len(divisor)]
    size = [round_up(max(edge, 2 * d), d) for d in divisor]
    image = torch.zeros((1, n_channels, *size), device=device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        forward(image)
        peak = float(torch.cuda.max_memory_allocated(device) - before)
    else:
        with _Watch() as watch:
            forward(image)
        peak = float(watch.peak)
    return (peak + image.nbytes) / math.prod(size)


def largest_tile(
    wanted: Sequence[int],
    halo: Sequence[int],
    divisor: Sequence[int],
    bytes_per_voxel: float,
    device: torch.device,
) -> tuple[int, ...]:
    """The largest core up to `wanted` whose tile fits into the memory that is free."""
    share = SHARE["cpu" if device.type == "cpu" else "gpu"]
    room = share * free_memory(device) / (SPARE * bytes_per_voxel)
    tile = [round_up(t, d) for t, d in zip(wanted, divisor, strict=True)]
    while math.prod(t + 2 * h for t, h in zip(tile, halo, strict=True)) > room:
        steps = [t // d for t, d in zip(tile, divisor, strict=True)]
        axis = steps.index(max(steps))
        if steps[axis] < 2:
            break
        tile[axis] = round_up(tile[axis] // 2, divisor[axis])
    return tuple(tile)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that live at the same time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
