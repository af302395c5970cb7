"""U-Net with a deep residual encoder and a light decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import CONV, CONV_TRANSPOSE, Beside, ConvBlock
from napari_unet.networks.reach import Reach
from napari_unet.networks.resnet import ResidualStage


class ResidualUNet(SegmentationNetwork):
    """Residual blocks on the way down, one convolution a level on the way up.

    The residual encoder of nnU-Net (Isensee et al. 2024, arXiv:2404.09556), with
    blocks after He et al. 2016 (arXiv:1512.03385): strides in convolutions instead of
    pooling, more blocks where the resolution is low.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    channels : sequence of int
        Width of each level, finest first.
    strides : sequence of tuple
        Along (Z) Y X between a level and the next.
    kernels : sequence of tuple
        Along (Z) Y X of each level.
    blocks : sequence of int
        Residual blocks of each level.
    stem : tuple
        Stride of a first convolution, undone by the last one; 1 leaves the resolution.
    dropout : float
        At the end of the way down, while training.
    rescale : tuple of float, optional
        As in :class:`~napari_unet.networks.base.SegmentationNetwork`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        blocks: Sequence[int],
        stem: Sequence[int],
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        if {len(kernels), len(blocks), len(strides) + 1} != {len(channels)}:
            raise ValueError("give a width, kernel and count per level")
        ndim, first, halve = len(stem), channels[0], tuple(stem)
        reach = Reach.of_image(ndim)
        self.stem: nn.Module
        if max(halve) > 1:
            stem_args: Any = (n_in, first, halve, halve)
            self.stem = CONV[ndim](*stem_args)
        else:
            self.stem = ConvBlock(n_in, first, tuple(kernels[0]))
            reach = reach.conv(kernels[0])
        reach = reach.down(halve)
        self.encoder = nn.ModuleList()
        reaches = []
        for level, width in enumerate(channels):
            stage = ResidualStage(
                channels[level - 1] if level else first,
                width,
                blocks[level],
                tuple(kernels[level]),
                tuple(strides[level - 1]) if level else (1,) * ndim,
            )
            reach = stage.reach(reach)
            self.encoder.append(stage)
            reaches.append(reach)
        self.dropout = nn.Dropout(dropout)
        self.beside = Beside()
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(len(channels) - 1)):
            stride: Any = tuple(strides[level])
            width = channels[level]
            self.ups.append(
                CONV_TRANSPOSE[ndim](channels[level + 1], width, stride, stride)
            )
            self.decoder.append(ConvBlock(2 * width, width, tuple(kernels[level])))
            reach = reach.up(stride).join(reaches[level]).conv(kernels[level])
        one: Any = (1,) * ndim
        if max(halve) > 1:
            head_args: Any = (first, n_out, halve, halve)
            self.head = CONV_TRANSPOSE[ndim](*head_args)
        else:
            self.head = CONV[ndim](first, n_out, one)
        self.finish(reach.up(halve), halve, *strides)

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        x = self.stem(image)
        skips: list[Tensor] = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        skips.pop()
        x = self.dropout(x)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(self.beside(skips.pop(), up(x)))
        out: Tensor = self.head(x)
        return out
