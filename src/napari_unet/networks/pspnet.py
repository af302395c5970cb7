"""PSPNet: means over cells of four sizes tell what the surroundings are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import CONV, ConvBlock, enlarge, total_stride
from napari_unet.networks.context import WindowMean, cell_of
from napari_unet.networks.reach import Reach
from napari_unet.networks.resnet import ResNet

BINS = (1, 2, 3, 6)
"""Cells of a window along each axis, as in the paper."""


class PSPNet(SegmentationNetwork):
    """Dilated residual encoder and pyramid pooling.

    Zhao et al. 2017 (arXiv:1612.01105), without the auxiliary loss. The means of the
    pooling are over windows (:mod:`napari_unet.networks.context`).

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    base : int
        Width of the ResNet's first convolution.
    blocks : sequence of int
        Of the four stages.
    bottleneck : bool
        ResNet-50 and deeper have bottleneck blocks.
    strides : sequence of tuple
        Along (Z) Y X of the ResNet's first convolution, its maximum, and stages two to
        four: 2, 2, 2, 1, 1 is the paper's output stride of 8.
    kernels : sequence of tuple
        Of the first convolution and the stages.
    window : tuple of int
        Size along (Z) Y X of the window that means are taken over: divisible by 6
        times the strides.
    dropout : float
        Before the last layer, while training.
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
        window: Sequence[int],
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        ndim, kernel = len(window), tuple(kernels[-1])
        self.encoder = ResNet(
            n_in, base, blocks, bottleneck, strides, kernels, _dilations(strides)
        )
        deep, last = self.encoder.widths[-1], self.encoder.reaches[-1]
        part = max(1, deep // len(BINS))
        coarse = self._coarse = total_stride(strides)
        means = [WindowMean(deep, part, cell_of(window, coarse, b)) for b in BINS]
        self.means = nn.ModuleList(means)
        width = 8 * base
        self.join = ConvBlock(deep + len(BINS) * part, width, kernel)
        self.dropout = nn.Dropout(dropout)
        one: Any = (1,) * ndim
        self.head = CONV[ndim](width, n_out, one)
        reach = last.join(*(mean.reach(last) for mean in means)).conv(kernel)
        # The window is the divisor: tiles begin where windows do.
        self.finish(reach.up_to(Reach.of_image(ndim)), tuple(window))

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        x = self.encoder(image)[-1]
        x = self.join(torch.cat([x, *(mean(x) for mean in self.means)], dim=1))
        return enlarge(self.head(self.dropout(x)), self._coarse)


def _dilations(strides: Sequence[Sequence[int]]) -> list[int]:
    """Of the four stages: each that is not strided is dilated twice as far."""
    dilations, rate = [1], 1
    for stride in strides[2:]:
        rate = rate if max(stride) > 1 else 2 * rate
        dilations.append(rate)
    return dilations
