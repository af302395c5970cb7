"""How fast this computer trains and predicts: a measurement of some seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from napari_unet.device import autocast, memory_format, pick_device, pick_precision
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.registry import build_network, design_network
from napari_unet.stopping import Stop, Stopped, never

SECONDS = 10.0
PATCH = 256
"""Side of the patches in pixels."""
BATCH = 4
WARM_UPS = 2
"""First rounds, which choose algorithms and fetch memory, are not measured."""


@dataclass(frozen=True)
class Speed:
    """What the usual 2D U-Net does here, on patches of 256 × 256 pixels."""

    steps_per_second: float
    """Of training, with four patches in a step."""
    megapixels_per_second: float
    """Of prediction, without writing anything."""

    @property
    def text(self) -> str:
        """The measurement in words."""
        return (
            f"{self.steps_per_second:.3g} training steps of {BATCH} patches "
            f"({PATCH} × {PATCH} pixels) and {self.megapixels_per_second:.3g} "
            "megapixels predicted in a second"
        )


def measure_speed(
    seconds: float = SECONDS, *, size: int = PATCH, stop: Stop = never
) -> Speed:
    """Train and predict on noise for half of the time each.

    Parameters
    ----------
    seconds : float
        How long to measure; the first rounds come on top.
    size : int
        Side of the patches in pixels.
    stop : callable
        Asked between two rounds whether to end.

    Raises
    ------
    Stopped
        If `stop` said so.
    """
    device = pick_device()
    precision = pick_precision(device)
    form = memory_format(device, 2)
    kind: Literal["cpu", "gpu"] = "cpu" if device.type == "cpu" else "gpu"
    request = NetworkRequest(1, 2, (size, size), (1.0, 1.0), kind)
    network = build_network(design_network("unet", request)[0])
    network = network.to(device, memory_format=form)  # type: ignore[call-overload]
    noise = torch.rand(BATCH, 1, size, size, device=device)
    noise = noise.contiguous(memory_format=form)
    optimizer = torch.optim.AdamW(network.parameters())

    def train() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast(device, precision):
            logits = network(noise)
        loss = nn.functional.mse_loss(logits.float(), torch.zeros_like(logits))
        torch.autograd.backward(loss)
        optimizer.step()

    def predict() -> None:
        with torch.inference_mode(), autocast(device, precision):
            network(noise)

    steps = _per_second(train, seconds / 2, device, stop)
    network.eval()
    rounds = _per_second(predict, seconds / 2, device, stop)
    return Speed(steps, rounds * noise.numel() / 1e6)


def _per_second(
    work: Callable[[], None], seconds: float, device: torch.device, stop: Stop
) -> float:
    for _ in range(WARM_UPS):
        _unless(stop)
        work()
    _wait_for(device)
    begun = time.perf_counter()
    rounds, passed = 0, 0.0
    while rounds == 0 or passed < seconds:
        _unless(stop)
        work()
        _wait_for(device)
        rounds += 1
        passed = time.perf_counter() - begun
    return rounds / passed


def _unless(stop: Stop) -> None:
    if stop():
        raise Stopped


def _wait_for(device: torch.device) -> None:
    """Graphics cards answer before they have computed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
