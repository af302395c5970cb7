"""Residual blocks, and the encoder that DeepLab and PSPNet stand on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.networks.blocks import MAX_POOL, ConvBlock, Size
from napari_unet.networks.reach import Reach

WIDER = 4
"""How much wider a bottleneck block is at its ends than in its middle."""


def strided_kernel(kernel: Sequence[int], stride: Sequence[int]) -> Size:
    """The kernel, and 3 along axes that are made coarser: nothing is skipped."""
    pairs = zip(kernel, stride, strict=True)
    return tuple(max(k, 3) if s > 1 else k for k, s in pairs)


class ResidualBlock(nn.Module):
    """What is learnt is added to what came in (He et al. 2016, arXiv:1512.03385).

    Two convolutions, or a bottleneck: 1 × 1, 3 × 3 and 1 × 1, the middle one a quarter
    as wide. The stride is in the (first) 3 × 3 convolution.

    Parameters
    ----------
    n_in, n_out : int
    kernel, stride : tuple of int
        Along (Z) Y X.
    dilation : int
    bottleneck : bool
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: Size,
        stride: Size,
        dilation: int = 1,
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        one = (1,) * len(kernel)
        first = strided_kernel(kernel, stride)
        self._kernels = [first] if bottleneck else [first, kernel]
        self._stride, self._dilation = stride, dilation
        if bottleneck:
            middle = n_out // WIDER
            self.learnt = nn.Sequential(
                ConvBlock(n_in, middle, one),
                ConvBlock(middle, middle, first, stride, dilation),
                ConvBlock(middle, n_out, one, activation=False),
            )
        else:
            self.learnt = nn.Sequential(
                ConvBlock(n_in, n_out, first, stride, dilation),
                ConvBlock(n_out, n_out, kernel, None, dilation, activation=False),
            )
        self.shortcut: nn.Module = nn.Identity()
        if n_in != n_out or max(stride) > 1:
            self.shortcut = ConvBlock(n_in, n_out, one, stride, activation=False)

    def reach(self, before: Reach) -> Reach:
        """How far the output sees."""
        first, *rest = self._kernels
        reach = before.conv(first, self._dilation).down(self._stride)
        for kernel in rest:
            reach = reach.conv(kernel, self._dilation)
        return reach

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.learnt(x) + self.shortcut(x))


class ResidualStage(nn.Sequential):
    """Residual blocks in a row; the first one has the stride."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        blocks: int,
        kernel: Size,
        stride: Size,
        dilation: int = 1,
        bottleneck: bool = False,
    ) -> None:
        still = (1,) * len(kernel)
        super().__init__(
            *(
                ResidualBlock(
                    n_out if k else n_in,
                    n_out,
                    kernel,
                    still if k else stride,
                    dilation,
                    bottleneck,
                )
                for k in range(blocks)
            )
        )

    def reach(self, before: Reach) -> Reach:
        """How far the output sees."""
        for block in self:
            before = block.reach(before)  # type: ignore[operator]
        return before


class ResNet(nn.Module):
    """The encoder of He et al. 2016 (arXiv:1512.03385), in two or three dimensions.

    A 7 × 7 convolution and a maximum over 3 × 3, each of stride 2, then four stages. A
    stage that is dilated instead of strided keeps the resolution (Chen et al. 2017,
    arXiv:1606.00915).

    Parameters
    ----------
    n_in : int
    base : int
        Width of the first convolution: 64 in the paper.
    blocks : sequence of int
        Of the four stages: 2, 2, 2, 2 is ResNet-18; 3, 4, 6, 3 with `bottleneck` is
        ResNet-50.
    bottleneck : bool
    strides : sequence of tuple
        Along (Z) Y X of the first convolution, the maximum, and stages two to four.
    kernels : sequence of tuple
        Of the first convolution (3 means 7) and the four stages.
    dilations : sequence of int
        Of the four stages.

    Attributes
    ----------
    widths : list of int
        Channels of what the four stages give.
    reaches : list of Reach
        How far they see.
    """

    def __init__(
        self,
        n_in: int,
        base: int,
        blocks: Sequence[int],
        bottleneck: bool,
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        dilations: Sequence[int],
    ) -> None:
        super().__init__()
        if (len(blocks), len(strides), len(kernels)) != (4, 5, 5):
            raise ValueError("a ResNet has four stages, five strides and five kernels")
        stem, pooled, *later = (tuple(s) for s in strides)
        ndim = len(stem)
        wide = strided_kernel(kernels[0], stem)
        wide = tuple(7 if k > 1 else 1 for k in wide)
        over: Any = tuple(3 if s > 1 else 1 for s in pooled)
        self.stem = ConvBlock(n_in, base, wide, stem)
        self.pool: nn.Module = nn.Identity()
        if max(pooled) > 1:
            pool_stride: Any = pooled
            beside: Any = tuple(k // 2 for k in over)
            self.pool = MAX_POOL[ndim](over, pool_stride, beside)
        self.stages = nn.ModuleList()
        self.widths: list[int] = []
        self.reaches: list[Reach] = []
        reach = Reach.of_image(ndim).conv(wide).down(stem).down(pooled, over)
        before = base
        for k, stride in enumerate([(1,) * ndim, *later]):
            width = base * 2**k * (WIDER if bottleneck else 1)
            kernel = tuple(kernels[k + 1])
            stage = ResidualStage(
                before, width, blocks[k], kernel, stride, dilations[k], bottleneck
            )
            before, reach = width, stage.reach(reach)
            self.stages.append(stage)
            self.widths.append(width)
            self.reaches.append(reach)

    def forward(self, image: Tensor) -> list[Tensor]:
        """What the four stages give, finest first."""
        x = self.pool(self.stem(image))
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found
