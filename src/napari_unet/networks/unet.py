"""U-Net in two and three dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from napari_unet.networks.blocks import (
    CONV,
    CONV_TRANSPOSE,
    MAX_POOL,
    Beside,
    ConvBlock,
    Size,
)


class UNet(nn.Module):
    """Encoder, decoder and skip connections, with padded convolutions.

    After Ronneberger et al. 2015 (arXiv:1505.04597) and, with three axes, Çiçek et al.
    2016 (arXiv:1606.06650); batch normalisation (Ioffe and Szegedy 2015) after every
    convolution.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    channels : sequence of int
        Width of each level, finest first.
    strides : sequence of tuple
        Pooling along (Z) Y X between a level and the next: one fewer than levels. A
        stride of 1 along an axis leaves it alone, as coarsely sampled Z wants.
    kernels : sequence of tuple
        Kernel along (Z) Y X of each level.
    convolutions : sequence of int
        Convolutions in a row of each level, on the way down and on the way up.
    stem : tuple
        Stride along (Z) Y X of a first convolution, undone by the last one. With 2 the
        finest level, which costs most, runs at half resolution. 1 means no stem.
    dropout : float
        Share of the features at the end of the way down that is left out while
        training, as in the paper.
    rescale : tuple of float, optional
        Offset and scale: the output is brought from spreads around 0 to the unit of
        what is predicted.

    Notes
    -----
    Input ``N C (Z) Y X`` with sizes divisible by :attr:`divisor`; output logits
    ``N n_out (Z) Y X``.
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
        super().__init__()
        levels = len(channels)
        if {len(kernels), len(convolutions), len(strides) + 1} != {levels}:
            raise ValueError(
                "give a width, kernel and count per level, strides between"
            )
        self.stem_stride: Size = tuple(stem)
        self.strides: list[Size] = [tuple(s) for s in strides]
        self.kernels: list[Size] = [tuple(k) for k in kernels]
        self.convolutions = list(convolutions)
        self.rescale = None if rescale is None else (rescale[0], rescale[1])
        ndim = len(self.stem_stride)
        self.widths = widths = list(channels)

        self.stem: nn.Module = nn.Identity()
        n_first = n_in
        if max(self.stem_stride) > 1:
            n_first = widths[0]
            stem_args: Any = (n_in, n_first, self.stem_stride, self.stem_stride)
            self.stem = CONV[ndim](*stem_args)

        self.encoder = nn.ModuleList()
        self.pools = nn.ModuleList()
        for level, width in enumerate(widths):
            before = widths[level - 1] if level else n_first
            self.encoder.append(self._block(level, before, width))
            if level < len(widths) - 1:
                pool_args: Any = (self.strides[level],)
                self.pools.append(MAX_POOL[ndim](*pool_args))

        # Without parameters: weights fit networks with and without it.
        self.dropout: nn.Module = nn.Dropout(dropout) if dropout else nn.Identity()
        self.ups = nn.ModuleList()
        self.beside = Beside()
        self.decoder = nn.ModuleList()
        for level in reversed(range(len(widths) - 1)):
            stride: Any = self.strides[level]
            up = CONV_TRANSPOSE[ndim](widths[level + 1], widths[level], stride, stride)
            self.ups.append(up)
            self.decoder.append(self._block(level, 2 * widths[level], widths[level]))

        if max(self.stem_stride) > 1:
            head_args: Any = (widths[0], n_out, self.stem_stride, self.stem_stride)
            self.head = CONV_TRANSPOSE[ndim](*head_args)
        else:
            one: Any = (1,) * ndim
            self.head = CONV[ndim](widths[0], n_out, one)
        self._initialise()

    def _block(self, level: int, n_in: int, n_out: int) -> nn.Module:
        kernel, count = self.kernels[level], self.convolutions[level]
        sizes = [n_in] + [n_out] * count
        return nn.Sequential(
            *(ConvBlock(a, b, kernel) for a, b in itertools.pairwise(sizes))
        )

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        head: Any = self.head
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)

    @property
    def divisor(self) -> Size:
        """What sizes along (Z) Y X must be divisible by."""
        return tuple(math.prod(s) for s in zip(self.stem_stride, *self.strides))  # noqa: B905

    @property
    def halo(self) -> Size:
        """Context in voxels along (Z) Y X on which an output voxel may depend.

        Rounded up to a multiple of :attr:`divisor`, so that a tile grown by it keeps
        the phase of the pooling grid.
        """
        return tuple(self._halo(axis) for axis in range(len(self.stem_stride)))

    def _halo(self, axis: int) -> int:
        step, reach = self.stem_stride[axis], self.stem_stride[axis] - 1
        levels = len(self.kernels)
        for level, kernel in enumerate(self.kernels):
            # Once on the way down and, but for the coarsest level, once on the way up.
            passes = self.convolutions[level] * (2 if level < levels - 1 else 1)
            reach += passes * (kernel[axis] // 2) * step
            if level < levels - 1:
                # Pooling and its transpose each look at most one pooled cell aside.
                reach += 2 * (self.strides[level][axis] - 1) * step
                step *= self.strides[level][axis]
        return math.ceil(reach / step) * step

    def skip(self, number: int, skip: Tensor, coarse: Tensor) -> Tensor:
        """What the decoder sees of a skip; variants weigh it by what they know.

        Parameters
        ----------
        number : int
            Step of the way up, coarsest first.
        skip, coarse : Tensor, N C (Z) Y X
            The skip, and what comes from the next coarser level.
        """
        return skip

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        x = self.stem(image)
        skips: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            if level:
                x = self.pools[level - 1](x)
            x = block(x)
            skips.append(x)
        return self.decoded(skips)

    def decoded(self, skips: list[Tensor]) -> Tensor:
        """Logits from the features of every level, finest first."""
        x = self.dropout(skips.pop())
        for number, (up, block) in enumerate(zip(self.ups, self.decoder, strict=True)):
            skip = self.skip(number, skips.pop(), x)
            x = block(self.beside(skip, up(x)))
        out: Tensor = self.head(x)
        if self.rescale is not None:
            offset, scale = self.rescale
            # In full precision: an offset may be large beside what varies.
            out = out.float() * scale + offset
        return out
