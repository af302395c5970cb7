"""HRNet: several resolutions side by side that keep telling each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import CONV, ConvBlock, Size, enlarge, total_stride
from napari_unet.networks.reach import Reach
from napari_unet.networks.resnet import WIDER, ResidualStage, strided_kernel


class Fusion(nn.Module):
    """Every resolution becomes the sum of all, brought to its grid.

    Parameters
    ----------
    widths : sequence of int
        Channels of each resolution, finest first.
    strides : sequence of tuple
        Between a resolution and the next.
    kernels : sequence of tuple
        Of each resolution.
    """

    def __init__(
        self,
        widths: Sequence[int],
        strides: Sequence[Size],
        kernels: Sequence[Size],
    ) -> None:
        super().__init__()
        self._strides, self._kernels = list(strides), list(kernels)
        self.ways = nn.ModuleList(
            nn.ModuleList(self._way(widths, i, j) for j in range(len(widths)))
            for i in range(len(widths))
        )

    def _way(self, widths: Sequence[int], to: int, start: int) -> nn.Module:
        """From one resolution to another; interpolation comes later."""
        if to == start:
            return nn.Identity()
        if start > to:
            one = (1,) * len(self._kernels[0])
            return ConvBlock(widths[start], widths[to], one, activation=False)
        layers = []
        for level in range(start, to):
            last = level == to - 1
            kernel = strided_kernel(self._kernels[level + 1], self._strides[level])
            layers.append(
                ConvBlock(
                    widths[start],
                    widths[to] if last else widths[start],
                    kernel,
                    self._strides[level],
                    activation=not last,
                )
            )
        return nn.Sequential(*layers)

    def reach(self, before: Sequence[Reach]) -> list[Reach]:
        """How far the outputs see."""
        found = []
        for to, own in enumerate(before):
            others = [other.up_to(own) for other in before[to + 1 :]]
            for start in range(to):
                seen = before[start]
                for level in range(start, to):
                    stride = self._strides[level]
                    kernel = strided_kernel(self._kernels[level + 1], stride)
                    seen = seen.down(stride, kernel)
                others.append(seen)
            found.append(own.join(*others))
        return found

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fused = []
        for to, ways in enumerate(self.ways):
            together: Any = 0
            for start, (way, other) in enumerate(zip(ways, maps, strict=True)):  # type: ignore[call-overload]
                x = way(other)
                if start > to:
                    x = enlarge(x, total_stride(self._strides[to:start]))
                together = together + x
            fused.append(F.relu(together))
        return fused


class Exchange(nn.Module):
    """Residual blocks on every resolution, then a fusion."""

    def __init__(
        self,
        widths: Sequence[int],
        strides: Sequence[Size],
        kernels: Sequence[Size],
        blocks: int,
    ) -> None:
        super().__init__()
        still = (1,) * len(kernels[0])
        self.branches = nn.ModuleList(
            ResidualStage(width, width, blocks, kernel, still)
            for width, kernel in zip(widths, kernels, strict=True)
        )
        self.fusion = Fusion(widths, strides, kernels)

    def reach(self, before: Sequence[Reach]) -> list[Reach]:
        """How far the outputs see."""
        branches: Any = self.branches
        pairs = zip(branches, before, strict=True)
        return self.fusion.reach([branch.reach(seen) for branch, seen in pairs])

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        pairs = zip(self.branches, maps, strict=True)
        fused: list[Tensor] = self.fusion([branch(x) for branch, x in pairs])
        return fused


class HRNet(SegmentationNetwork):
    """Up to four resolutions in parallel, with repeated fusion; all of them answer.

    HRNetV2 of Wang et al. 2020 (arXiv:1908.07919).

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    width : int
        Channels of the finest resolution: 18 to 48 in the paper; each next one has
        twice as many.
    strides : sequence of tuple
        Along (Z) Y X of the two first convolutions, and between resolutions: one
        fewer than these.
    kernels : sequence of tuple
        Of each resolution, finest first.
    modules : sequence of int
        Exchanges with two, three, … resolutions: 1, 4, 3 in the paper.
    blocks : int
        Residual blocks before each fusion: 4 in the paper.
    stem : int
        Channels of the first convolutions: 64 in the paper.
    dropout : float
        Before the last layer, while training.
    rescale : tuple of float, optional
        As in :class:`~napari_unet.networks.base.SegmentationNetwork`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        width: int,
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        modules: Sequence[int] = (1, 4, 3),
        blocks: int = 4,
        stem: int = 64,
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        first, second, *between = (tuple(s) for s in strides)
        sizes = [tuple(k) for k in kernels]
        if not len(between) == len(modules) == len(sizes) - 1:
            raise ValueError(
                "give a kernel per resolution, strides and modules between"
            )
        ndim, fine = len(first), sizes[0]
        widths = [width * 2**k for k in range(len(sizes))]
        kernel = [strided_kernel(fine, first), strided_kernel(fine, second)]
        self.stem = nn.Sequential(
            ConvBlock(n_in, stem, kernel[0], first),
            ConvBlock(stem, stem, kernel[1], second),
            stage := ResidualStage(
                stem, WIDER * stem, blocks, fine, (1,) * ndim, bottleneck=True
            ),
        )
        reach = Reach.of_image(ndim).down(first, kernel[0]).down(second, kernel[1])
        reaches = [stage.reach(reach)]
        before = [WIDER * stem]
        self.openings, self.stages = nn.ModuleList(), nn.ModuleList()
        for count in range(2, len(sizes) + 1):
            opening, reaches = self._opening(
                before, widths[:count], between[count - 2], sizes[:count], reaches
            )
            self.openings.append(opening)
            exchanges = [
                Exchange(widths[:count], between[: count - 1], sizes[:count], blocks)
                for _ in range(modules[count - 2])
            ]
            for exchange in exchanges:
                reaches = exchange.reach(reaches)
            self.stages.append(nn.Sequential(*exchanges))
            before = widths[:count]
        self._first = total_stride([first, second])
        self._factors = [
            total_stride([(1,) * ndim, *between[:k]]) for k in range(len(widths))
        ]
        one: Any = (1,) * ndim
        total = sum(widths)
        self.mix = ConvBlock(total, total, one)
        self.dropout = nn.Dropout(dropout)
        self.head = CONV[ndim](total, n_out, one)
        whole = reaches[0].join(*(r.up_to(reaches[0]) for r in reaches[1:]))
        self.finish(whole.up_to(Reach.of_image(ndim)), first, second, *between)

    @staticmethod
    def _opening(
        before: Sequence[int],
        widths: Sequence[int],
        stride: Size,
        kernels: Sequence[Size],
        reaches: Sequence[Reach],
    ) -> tuple[nn.ModuleList, list[Reach]]:
        """What leads to one resolution more, and how far it sees."""
        layers: list[nn.Module] = []
        seen = list(reaches)
        for k, old in enumerate(before):
            if old == widths[k]:
                layers.append(nn.Identity())
            else:
                layers.append(ConvBlock(old, widths[k], kernels[k]))
                seen[k] = seen[k].conv(kernels[k])
        kernel = strided_kernel(kernels[-1], stride)
        layers.append(ConvBlock(before[-1], widths[-1], kernel, stride))
        return nn.ModuleList(layers), [*seen, reaches[-1].down(stride, kernel)]

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        maps = [self.stem(image)]
        for opening, stage in zip(self.openings, self.stages, strict=True):
            last = maps[-1]
            layers: list[Any] = list(opening)  # type: ignore[call-overload]
            maps = [layer(x) for layer, x in zip(layers[:-1], maps, strict=True)]
            maps.append(layers[-1](last))
            maps = stage(maps)
        pairs = zip(maps, self._factors, strict=True)
        together = torch.cat([enlarge(m, f) for m, f in pairs], dim=1)
        out = self.head(self.dropout(self.mix(together)))
        return enlarge(out, self._first)
