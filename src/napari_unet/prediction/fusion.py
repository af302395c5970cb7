"""Convolution and ReLU in one step on the CPU, by oneDNN, and skips without a copy.

Each of the two reads and writes all of a large map, and memory is what a U-Net waits
for at full resolution. So does putting a skip beside what comes from below: both are
convolved by their part of the weights instead, and the second adds to the first. The
operations are those that torch's own compiler uses; they have no public name, so that
they are tried out once, and left where they fail or differ.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.networks.blocks import Beside, ConvBlock


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
    for part in list(network.modules()):
        if isinstance(getattr(part, "beside", None), Beside):
            _join_at_last(part)
    return count


def _join_at_last(network: Any) -> None:
    """Let the decoder's convolutions take skip and coarse maps as they are."""
    firsts = [_first_layer(block) for block in network.decoder]
    if all(isinstance(conv, FusedConv) and conv.adds() for conv in firsts):
        network.beside = Apart()


def _first_layer(block: nn.Module) -> nn.Module:
    while isinstance(block, nn.Sequential):
        block = block[0]
    return block


class Apart(nn.Module):
    """Instead of :class:`~napari_unet.networks.blocks.Beside`: no copy."""

    def forward(self, skip: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they are."""
        return skip, coarse


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
        flat = conv.weight.ndim == 4
        self._layout = torch.channels_last if flat else torch.channels_last_3d
        self._parts: tuple[Tensor, Tensor] | None = None

    def adds(self) -> bool:
        """Whether it can take two maps."""
        ndim = self.weight.ndim - 2
        return self._arguments[-1] == 1 and _works(ndim, self.weight.dtype, pair=True)

    def forward(self, image: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Maps ``N C (Z) Y X``, none of them below 0.

        Of a pair the answer is that of both, one behind the other as channels.
        """
        if not isinstance(image, tuple):
            return self._convolved(image, self.weight, "relu")
        skip, coarse = image
        mine, other = self._halves(skip.shape[1])
        partial = self._convolved(skip, mine, "none")
        found: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            # It adds in no other layout; nothing happens where it is this one.
            coarse.to(self.weight.dtype).contiguous(memory_format=self._layout),
            partial.contiguous(memory_format=self._layout),
            other,
            None,  # the bias is in the first part
            *self._arguments,
            "add",
            1.0,
            "relu",
            [],
            "",
        )
        return found

    def _convolved(self, image: Tensor, weight: Tensor, then: str) -> Tensor:
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(
            image.to(weight.dtype), weight, self.bias, *self._arguments, then, [], ""
        )
        return found

    def _halves(self, width: int) -> tuple[Tensor, Tensor]:
        """Weights of the first `width` channels, and of the others."""
        if self._parts is None:
            first, second = self.weight[:, :width], self.weight[:, width:]
            self._parts = first.contiguous(), second.contiguous()
        return self._parts


@lru_cache
def _works(ndim: int, precision: torch.dtype, *, pair: bool = False) -> bool:
    """Whether the fused operation is there, and says what its parts say."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    kind = nn.Conv2d if ndim == 2 else nn.Conv3d
    layout = torch.channels_last if ndim == 2 else torch.channels_last_3d
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = kind(6, 8, 3, padding=1)
        image = torch.randn((1, 6, *(9,) * ndim)).to(precision)
        image = image.contiguous(memory_format=layout)
        both = F.relu(conv.to(precision)(image))
        try:
            parts = (image[:, :4], image[:, 4:]) if pair else image
            fused = FusedConv(conv, precision)(parts)
        # Not there, or not for this type on this processor.
        except (AttributeError, RuntimeError, TypeError):
            return False
    return torch.allclose(both.float(), fused.float(), rtol=0.02, atol=0.02)
