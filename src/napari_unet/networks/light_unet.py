"""A small U-Net for computers without a graphics card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import CONV, CONV_TRANSPOSE, ConvBlock, Size
from napari_unet.networks.reach import Reach


class SeparableBlock(nn.Sequential):
    """A convolution of each channel alone, then one across channels.

    Depthwise separable convolution (Howard et al. 2017, arXiv:1704.04861), without an
    activation between the two.
    """

    def __init__(
        self, n_in: int, n_out: int, kernel: Size, stride: Sequence[int] | None = None
    ) -> None:
        super().__init__(
            ConvBlock(n_in, n_in, kernel, stride, groups=n_in, activation=False),
            ConvBlock(n_in, n_out, (1,) * len(kernel)),
        )


class LightUNet(SegmentationNetwork):
    """Narrow, coarser from the first convolution on, and skips are added.

    After LinkNet (Chaurasia and Culurciello 2017, arXiv:1707.03718): a U-Net whose
    skips are added instead of put side by side, which halves what the decoder has to
    do. Depthwise separable convolutions (Howard et al. 2017, arXiv:1704.04861) make it
    twice as fast again; in a trial on nuclei that cost five points of AP, and narrow
    whole convolutions one.

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
    stem : tuple
        Stride of the first convolution, undone by the last one.
    convolutions : int
        Of each level on the way down; there is one on the way up.
    separable : bool
        Depthwise separable convolutions instead of whole ones.
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
        stem: Sequence[int],
        convolutions: int = 2,
        separable: bool = False,
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        if {len(kernels), len(strides) + 1} != {len(channels)}:
            raise ValueError("give a width and kernel per level, strides between")
        ndim, halve = len(stem), tuple(stem)
        block: Any = SeparableBlock if separable else ConvBlock
        stem_args: Any = (n_in, channels[0], halve, halve)
        self.stem = CONV[ndim](*stem_args)
        reach = Reach.of_image(ndim).down(halve)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.ups = nn.ModuleList()
        reaches = []
        for level, width in enumerate(channels):
            kernel, layers = tuple(kernels[level]), []
            if level:
                # Coarser by a convolution as wide as its stride: nothing is seen twice.
                down: Any = tuple(strides[level - 1])
                layers.append(CONV[ndim](channels[level - 1], width, down, down))
                reach = reach.down(down)
            layers += [block(width, width, kernel) for _ in range(convolutions)]
            self.encoder.append(nn.Sequential(*layers))
            reach = reach.conv(kernel, times=convolutions)
            reaches.append(reach)
        self.dropout = nn.Dropout(dropout)
        for level in reversed(range(len(channels) - 1)):
            kernel, width = tuple(kernels[level]), channels[level]
            stride: Any = tuple(strides[level])
            self.ups.append(
                CONV_TRANSPOSE[ndim](channels[level + 1], width, stride, stride)
            )
            self.decoder.append(block(width, width, kernel))
            reach = reach.up(stride).join(reaches[level]).conv(kernel)
        head_args: Any = (channels[0], n_out, halve, halve)
        self.head = CONV_TRANSPOSE[ndim](*head_args)
        self.finish(reach.up(halve), halve, *strides)

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        x = self.stem(image)
        skips: list[Tensor] = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        skips.pop()
        x = self.dropout(x)
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = block(up(x) + skips.pop())
        out: Tensor = self.head(x)
        return out
