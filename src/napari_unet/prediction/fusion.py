"""Convolution and ReLU in one step on the CPU, by oneDNN.

Each of the two reads and writes all of a large map, and memory is what a U-Net waits
for at full resolution. The operation is one that torch's own compiler uses; it has no
public name, so that it is tried out once, and left where it fails or differs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.networks.blocks import ConvBlock


def fuse_relu(network: nn.Module, precision: torch.dtype) -> int:
    """Fuse all convolutions of a folded network with the ReLU behind them, in place.

    Only for prediction on the CPU, and after
    :func:`~napari_unet.networks.blocks.fold_batch_norm`.

    Parameters
    ----------
    network : nn.Module
    precision : torch.dtype
        In which the convolutions run.

    Returns
    -------
    int
        Convolutions that were fused.
    """
    count = 0
    for block in list(network.modules()):
        if not isinstance(block, ConvBlock) or not isinstance(block[2], nn.ReLU):
            continue
        conv: Any = block[0]
        if not isinstance(conv, nn.Conv2d | nn.Conv3d) or conv.padding_mode != "zeros":
            continue
        if not isinstance(conv.padding, tuple) or conv.bias is None:
            continue
        if not _works(conv.weight.ndim - 2, precision):
            continue
        block[0], block[2] = FusedConv(conv, precision), nn.Identity()
        count += 1
    return count


class FusedConv(nn.Module):
    """A convolution with bias, and a ReLU.

    Parameters
    ----------
    conv : nn.Conv2d or nn.Conv3d
    precision : torch.dtype
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d | nn.Conv3d, precision: torch.dtype) -> None:
        super().__init__()
        if conv.bias is None:
            raise ValueError("only convolutions with a bias can be fused")
        self.register_buffer("weight", conv.weight.detach().to(precision))
        self.register_buffer("bias", conv.bias.detach().to(precision))
        self._arguments = (
            list(conv.padding),
            list(conv.stride),
            list(conv.dilation),
            conv.groups,
        )

    def forward(self, image: Tensor) -> Tensor:
        """Maps ``N C (Z) Y X``, none of them below 0."""
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            image.to(self.weight.dtype),
            self.weight,
            self.bias,
            *self._arguments,
            "relu",
            [],
            "",
        )
        return found


@lru_cache
def _works(ndim: int, precision: torch.dtype) -> bool:
    """Whether the fused operation is there, and says what the two say."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    kind = nn.Conv2d if ndim == 2 else nn.Conv3d
    layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = kind(3, 8, 3, padding=1)
        image = torch.randn((1, 3, *(9,) * ndim)).to(precision)
        image = image.contiguous(memory_format=layout)
        both = F.relu(conv.to(precision)(image))
        try:
            fused = FusedConv(conv, precision)(image)
        # Not there, or not for this type on this processor.
        except (AttributeError, RuntimeError, TypeError):
            return False
    return torch.allclose(both.float(), fused.float(), rtol=0.02, atol=0.02)
