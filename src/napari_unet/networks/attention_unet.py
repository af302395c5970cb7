"""U-Net whose skips are weighted by attention gates."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from napari_unet.networks.blocks import CONV, ConvBlock, Size, enlarge
from napari_unet.networks.reach import Reach
from napari_unet.networks.unet import UNet


class AttentionGate(nn.Module):
    """Weighs a skip by what the coarser level has found there.

    Oktay et al. 2018 (arXiv:1804.03999), equation 1: additive attention on the coarser
    grid, brought to the skip's grid linearly.

    Parameters
    ----------
    n_skip, n_coarse : int
        Channels of the skip and of the coarser features.
    stride : tuple of int
        Between their grids, along (Z) Y X.
    """

    def __init__(self, n_skip: int, n_coarse: int, stride: Size) -> None:
        super().__init__()
        ndim = len(stride)
        self._stride = tuple(stride)
        one: Any = (1,) * ndim
        size: Any = stride
        self.skip = CONV[ndim](n_skip, n_skip, size, size, bias=False)
        self.coarse = CONV[ndim](n_coarse, n_skip, one)
        self.weight = CONV[ndim](n_skip, 1, one)
        self.out = ConvBlock(n_skip, n_skip, (1,) * ndim, activation=False)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        both = (self.skip(skip) + self.coarse(coarse)).relu()
        weight = self.weight(both).sigmoid()
        out: Tensor = self.out(skip * enlarge(weight, self._stride))
        return out


class AttentionUNet(UNet):
    """A `UNet` with attention gates on its skips.

    After Oktay et al. 2018 (arXiv:1804.03999). Parameters and constraints are those of
    :class:`~napari_unet.networks.unet.UNet`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gates = nn.ModuleList(
            AttentionGate(self.widths[level], self.widths[level + 1], stride)
            for level, stride in reversed(list(enumerate(self.strides)))
        )

    def skip(self, number: int, skip: Tensor, coarse: Tensor) -> Tensor:
        """The skip as the decoder sees it."""
        gated: Tensor = self.gates[number](skip, coarse)
        return gated

    @property
    def halo(self) -> Size:
        """Context in voxels along (Z) Y X on which an output voxel may depend."""
        reach = Reach.of_image(len(self.stem_stride)).down(self.stem_stride)
        skips = []
        for level, kernel in enumerate(self.kernels):
            reach = reach.conv(kernel, times=self.convolutions[level])
            skips.append(reach)
            if level < len(self.strides):
                reach = reach.down(self.strides[level])
        for level in reversed(range(len(self.strides))):
            # The gate is interpolated, and looks a cell further than the way up.
            reach = reach.up(self.strides[level], smooth=True).join(skips[level])
            kernel = self.kernels[level]
            reach = reach.conv(kernel, times=self.convolutions[level])
        return reach.up(self.stem_stride).halo(self.divisor)
