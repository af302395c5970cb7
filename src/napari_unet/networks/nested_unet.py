"""UNet++: skips that are U-Nets themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import CONV, CONV_TRANSPOSE, MAX_POOL, ConvBlock
from napari_unet.networks.reach import Reach


class NestedUNet(SegmentationNetwork):
    """Between encoder and decoder lie further nodes, densely connected.

    Zhou et al. 2018 (arXiv:1807.10165). Node ``level, step`` sees all earlier nodes of
    its level and the node below, brought up. The last node of the finest level gives
    the answer (no deep supervision).

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    channels : sequence of int
        Width of each level, finest first.
    strides : sequence of tuple
        Pooling along (Z) Y X between a level and the next.
    kernels : sequence of tuple
        Along (Z) Y X of each level.
    convolutions : sequence of int
        Convolutions in a row of each level's nodes.
    stem : tuple
        Stride of a first convolution, undone by the last one; 1 means none.
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
        convolutions: Sequence[int],
        stem: Sequence[int],
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        if {len(kernels), len(convolutions), len(strides) + 1} != {len(channels)}:
            raise ValueError("give a width, kernel and count per level")
        ndim, levels, halve = len(stem), len(channels), tuple(stem)
        self._levels = levels
        self.stem: nn.Module = nn.Identity()
        before = n_in
        if max(halve) > 1:
            before = channels[0]
            stem_args: Any = (n_in, before, halve, halve)
            self.stem = CONV[ndim](*stem_args)
        self.nodes, self.ups = nn.ModuleDict(), nn.ModuleDict()
        self.pools = nn.ModuleList()
        reaches: dict[tuple[int, int], Reach] = {}
        reach = Reach.of_image(ndim).down(halve)
        for level, step in _nodes(levels):
            kernel, width = tuple(kernels[level]), channels[level]
            if step:
                stride: Any = tuple(strides[level])
                below = channels[level + 1]
                up = CONV_TRANSPOSE[ndim](below, width, stride, stride)
                self.ups[f"{level}-{step}"] = up
                seen = reaches[level + 1, step - 1].up(stride)
                seen = seen.join(*(reaches[level, s] for s in range(step)))
                before = (step + 1) * width
            elif level:
                pool: Any = (tuple(strides[level - 1]),)
                self.pools.append(MAX_POOL[ndim](*pool))
                seen = reaches[level - 1, 0].down(strides[level - 1])
                before = channels[level - 1]
            else:
                seen = reach
            sizes = [before] + [width] * convolutions[level]
            self.nodes[f"{level}-{step}"] = nn.Sequential(
                *(ConvBlock(a, b, kernel) for a, b in itertools.pairwise(sizes))
            )
            reaches[level, step] = seen.conv(kernel, times=convolutions[level])
        self.dropout = nn.Dropout(dropout)
        one: Any = (1,) * ndim
        if max(halve) > 1:
            head_args: Any = (channels[0], n_out, halve, halve)
            self.head = CONV_TRANSPOSE[ndim](*head_args)
        else:
            self.head = CONV[ndim](channels[0], n_out, one)
        self.finish(reaches[0, levels - 1].up(halve), halve, *strides)

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        found: dict[tuple[int, int], Tensor] = {}
        for level, step in _nodes(self._levels):
            if step:
                up = self.ups[f"{level}-{step}"](found[level + 1, step - 1])
                x = torch.cat([*(found[level, s] for s in range(step)), up], dim=1)
            elif level:
                x = self.pools[level - 1](found[level - 1, 0])
            else:
                x = self.stem(image)
            x = self.nodes[f"{level}-{step}"](x)
            if level == self._levels - 1:
                x = self.dropout(x)
            found[level, step] = x
        out: Tensor = self.head(found[0, self._levels - 1])
        return out


def _nodes(levels: int) -> list[tuple[int, int]]:
    """Level and step of every node, each after those that it needs."""
    return [
        (depth - step, step) for depth in range(levels) for step in range(depth + 1)
    ]
