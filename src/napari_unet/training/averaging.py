"""Exponential moving average of weights: what is validated, previewed and kept."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

MAX_DECAY = 0.998


class WeightAverage:
    """A copy of a network that follows it slowly.

    The decay grows with the steps, so that early averages do not remember the random
    start.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards `network` after its `step`-th step."""
        decay = min(MAX_DECAY, (1 + step) / (10 + step))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floating = [k for k, v in mine.items() if v.is_floating_point()]
        torch._foreach_lerp_(
            [mine[k] for k in floating], [theirs[k] for k in floating], 1 - decay
        )
        for name in mine.keys() - floating:
            mine[name].copy_(theirs[name])
