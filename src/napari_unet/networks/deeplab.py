"""DeepLabV3+: dilated convolutions at several rates, and a light decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import CONV, ConvBlock, Size, enlarge, total_stride
from napari_unet.networks.context import WindowMean, cell_of
from napari_unet.networks.reach import Reach
from napari_unet.networks.resnet import ResNet

LOW_LEVEL = 48
"""Channels of the finer features in the decoder, for a width of 256."""


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, arXiv:1706.05587).

    Parameters
    ----------
    n_in, n_out : int
    kernel : tuple of int
        Along (Z) Y X.
    rates : sequence of int
        Dilations of the convolutions beside the 1 × 1 one: 6, 12 and 18 in the paper.
    cell : tuple of int
        Over which the image's mean is taken, in voxels of the feature map.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel: Size, rates: Sequence[int], cell: Size
    ) -> None:
        super().__init__()
        one = (1,) * len(kernel)
        self._kernel, self._rates = kernel, list(rates)
        self.branches = nn.ModuleList(
            [
                ConvBlock(n_in, n_out, one),
                *(ConvBlock(n_in, n_out, kernel, dilation=r) for r in rates),
                WindowMean(n_in, n_out, cell),
            ]
        )
        self.project = ConvBlock((len(rates) + 2) * n_out, n_out, one)

    def reach(self, before: Reach) -> Reach:
        """How far the output sees."""
        mean: Any = self.branches[-1]
        seen = [before.conv(self._kernel, rate) for rate in self._rates]
        return before.join(*seen, mean.reach(before))

    def forward(self, x: Tensor) -> Tensor:
        found = torch.cat([branch(x) for branch in self.branches], dim=1)
        out: Tensor = self.project(found)
        return out


class DeepLabV3Plus(SegmentationNetwork):
    """Residual encoder, atrous spatial pyramid pooling, decoder.

    Chen et al. 2018 (arXiv:1802.02611), on the ResNet of He et al. 2016 instead of
    Xception. The means of the pooling are over windows
    (:mod:`napari_unet.networks.context`).

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    base : int
        Width of the ResNet's first convolution; the pyramid is four times as wide.
    blocks : sequence of int
        Of the four stages.
    bottleneck : bool
        ResNet-50 and deeper have bottleneck blocks.
    strides : sequence of tuple
        Along (Z) Y X of the ResNet's first convolution, its maximum, and stages two to
        four: all 2, the last one 1, is the paper's output stride of 16.
    kernels : sequence of tuple
        Of the first convolution and the stages.
    rates : sequence of int
        Dilations of the pyramid.
    window : tuple of int
        Size along (Z) Y X of the window that means are taken over.
    dropout : float
        After the pyramid, while training.
    rescale : tuple of float, optional
        As in :class:`~napari_unet.networks.base.SegmentationNetwork`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        base: int,
        blocks: Sequence[int],
        bottleneck: bool,
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        rates: Sequence[int],
        window: Sequence[int],
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        ndim, width = len(window), 4 * base
        kernel = tuple(kernels[-1])
        coarse, self._fine = total_stride(strides), total_stride(strides[:2])
        self._decoded = total_stride(strides[2:])
        dilations = [1, 1, 1, 1 if max(strides[-1]) > 1 else 2]
        self.encoder = ResNet(
            n_in, base, blocks, bottleneck, strides, kernels, dilations
        )
        fine, *_, last = self.encoder.reaches
        cell = cell_of(window, coarse, 1)
        self.pyramid = AtrousPyramid(
            self.encoder.widths[-1], width, kernel, rates, cell
        )
        self.dropout = nn.Dropout(dropout)
        one = (1,) * ndim
        low = max(1, LOW_LEVEL * width // 256)
        self.low_level = ConvBlock(self.encoder.widths[0], low, one)
        near = tuple(kernels[1])
        self.decoder = nn.Sequential(
            ConvBlock(width + low, width, near), ConvBlock(width, width, near)
        )
        head_size: Any = one
        self.head = CONV[ndim](width, n_out, head_size)
        reach = self.pyramid.reach(last).up_to(fine).join(fine).conv(near, times=2)
        # The window is the divisor: tiles begin where windows do.
        self.finish(reach.up_to(Reach.of_image(ndim)), tuple(window))

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        fine, *_, coarse = self.encoder(image)
        x = self.dropout(self.pyramid(coarse))
        x = enlarge(x, self._decoded)
        x = self.decoder(torch.cat([self.low_level(fine), x], dim=1))
        return enlarge(self.head(x), self._fine)
