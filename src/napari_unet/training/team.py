"""Several processes that train one network, each on a device and patches of its own.

Started by ``torchrun``, which tells each process its number. The first one decides,
measures, writes and speaks; all others follow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import torch
from torch import Tensor, nn

from napari_unet.device import pick_device
from napari_unet.errors import ConfigError

PATIENCE = timedelta(hours=2)
"""How long the others wait while the first one validates."""
STEPS_APART = 1_000_003
"""Between the seeds of two processes."""


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees it.

    Parameters
    ----------
    rank : int
        Number of this process, 0 for the first.
    size : int
        How many there are; 1 without ``torchrun``.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process decides, writes and speaks."""
        return self.rank == 0

    def seed(self, seed: int) -> int:
        """Of what this process draws, so that no two see the same patches."""
        return seed + self.rank * STEPS_APART

    def told(self, values: Sequence[float]) -> list[float]:
        """What the first process holds, everywhere."""
        if self.size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=_carrier())
        torch.distributed.broadcast(shared, src=0)
        return cast("list[float]", shared.tolist())

    def mean(self, value: float) -> float:
        """Mean over all processes; infinite or NaN if one of them is."""
        if self.size == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=_carrier())
        torch.distributed.all_reduce(shared)
        return float(shared) / self.size

    def average_gradients(self, network: nn.Module) -> None:
        """Give every parameter the mean of the gradients of all processes.

        In one piece: for networks of this size that costs less than overlapping many
        small ones with the backward pass, and keeps the network free of a wrapper.
        """
        if self.size == 1:
            return
        self._average([p.grad for p in network.parameters() if p.grad is not None])

    def share_statistics(self, network: nn.Module) -> None:
        """Statistics of batch normalisation become the mean over all processes."""
        if self.size == 1:
            return
        buffers = [b for b in network.buffers() if b.is_floating_point()]
        if buffers:
            self._average(buffers)

    def _average(self, tensors: Sequence[Tensor]) -> None:
        flat = torch.cat([t.flatten() for t in tensors])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [t.numel() for t in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))


ALONE = Team()


def _carrier() -> torch.device:
    """Where small messages have to lie."""
    backend: Any = torch.distributed.get_backend()
    if backend != "nccl":
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "RANK" in os.environ


@contextmanager
def team(device: Any = "auto") -> Iterator[Team]:
    """The processes that ``torchrun`` started; `ALONE` without it.

    Raises
    ------
    ConfigError
        If there are more processes than graphics cards.
    """
    if not started_by_torchrun():
        yield ALONE
        return
    kind = pick_device(device).type
    if kind == "mps":
        raise ConfigError("Apple's graphics cards cannot share a training: use one.")
    if kind == "cuda":
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"There are more processes than graphics cards: start at most "
                f"{torch.cuda.device_count()} with --nproc-per-node."
            )
        torch.cuda.set_device(local)
    backend = "nccl" if kind == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Team(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()
