"""The U-Nets of 2015 and 2016 as their papers draw them: unpadded convolutions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.networks.base import SegmentationNetwork
from napari_unet.networks.blocks import (
    BATCH_NORM,
    CONV,
    CONV_TRANSPOSE,
    MAX_POOL,
    being_exported,
)
from napari_unet.networks.reach import Reach


class OriginalUNet(SegmentationNetwork):
    """Unpadded 3 × 3 convolutions, pooling by 2, skips cropped to what is left.

    The U-Net of Ronneberger et al. 2015 (arXiv:1505.04597): four times pooled, 64 to
    1024 channels, no normalisation, 572 × 572 pixels to 388 × 388. With
    `widen_before_pooling` and `normalise`, and three times pooled from 32 and 64
    channels, the 3D U-Net of Çiçek et al. 2016 (arXiv:1606.06650): 132 × 132 × 116
    voxels to 44 × 44 × 28.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    ndim : int
        2 or 3.
    base : int
        Width of the first convolution.
    levels : int
        Resolutions.
    widen_before_pooling : bool
        The second convolution of each level has twice the channels of the first, so
        that pooling is no bottleneck (Szegedy et al. 2016); else the first one widens.
    normalise : bool
        Batch normalisation after every 3 × 3 convolution.
    dropout : float
        At the end of the way down, while training.
    rescale : tuple of float, optional
        As in :class:`~napari_unet.networks.base.SegmentationNetwork`.

    Notes
    -----
    :meth:`valid` is the network of the papers. :meth:`forward` mirrors the image at its
    border first (the papers' overlap-tile strategy), so that the output is as large as
    the input, for sizes divisible by :attr:`divisor`.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        ndim: int = 2,
        base: int = 64,
        levels: int = 5,
        widen_before_pooling: bool = False,
        normalise: bool = False,
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
    ) -> None:
        super().__init__(rescale)
        self._ndim, self._levels, self._normalise = ndim, levels, normalise
        widths, outs = [], []
        for level in range(levels):
            width = base * 2**level
            widths.append(width)
            outs.append(2 * width if widen_before_pooling else width)
        two: Any = (2,) * ndim
        self.pool = MAX_POOL[ndim](two)
        self.dropout = nn.Dropout(dropout)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        self.ups = nn.ModuleList()
        before = n_in
        for width, out in zip(widths, outs, strict=True):
            self.encoder.append(self._block(before, width, out))
            before = out
        for level in reversed(range(levels - 1)):
            # The 3D U-Net keeps the channels when it goes up, the U-Net halves them.
            up = before if widen_before_pooling else outs[level]
            self.ups.append(
                CONV_TRANSPOSE[ndim](before, up, two, two, bias=not normalise)
            )
            self.decoder.append(self._block(up + outs[level], outs[level], outs[level]))
            before = outs[level]
        one: Any = (1,) * ndim
        self.head = CONV[ndim](before, n_out, one)
        self.finish(self._reach(), *[two] * (levels - 1))

    def _block(self, n_in: int, n_middle: int, n_out: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        three: Any = (3,) * self._ndim
        for a, b in itertools.pairwise((n_in, n_middle, n_out)):
            bias = not self._normalise
            layers.append(CONV[self._ndim](a, b, three, bias=bias))
            if self._normalise:
                layers.append(BATCH_NORM[self._ndim](b))
            layers.append(nn.ReLU(inplace=True))
        return nn.Sequential(*layers)

    def _reach(self) -> Reach:
        reach, two = Reach.of_image(self._ndim), (2,) * self._ndim
        three = (3,) * self._ndim
        for _ in range(self._levels - 1):
            reach = reach.conv(three, times=2).down(two)
        reach = reach.conv(three, times=2)
        for _ in range(self._levels - 1):
            reach = reach.up(two).conv(three, times=2)
        return reach

    @property
    def margin(self) -> int:
        """Voxels that unpadded convolutions take away on either side: 92 in 2015."""
        down = sum(2 << level for level in range(self._levels))
        return down + sum(2 << level for level in range(self._levels - 1))

    def valid(self, image: Tensor) -> Tensor:
        """Logits of the inner part of an image ``N C (Z) Y X``.

        Every size has to be even wherever it is pooled.
        """
        skips: list[Tensor] = []
        x = image
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        x = self.dropout(x)
        lost = 4
        for up, block in zip(self.ups, self.decoder, strict=True):
            x = up(x)
            x = block(torch.cat([_cropped(skips.pop(), lost), x], dim=1))
            lost = 2 * lost + 8
        out: Tensor = self.head(x)
        return out

    def logits(self, image: Tensor) -> Tensor:
        """Logits of the whole image: beyond its border it is mirrored."""
        margin, cell = self.margin, 2 ** (self._levels - 1)
        # A size fits if it is even at every pooling: 4 below a multiple of the cell.
        after = margin + (-4 - 2 * margin) % cell
        x = image
        for axis in range(2, image.ndim):
            x = mirrored(x, axis, margin, after)
        out = self.valid(x)
        inner: Any = (..., *(slice(0, n) for n in image.shape[2:]))
        cropped: Tensor = out[inner]
        return cropped


def mirrored(image: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Continue an image by its mirror image at both ends of an axis, however far."""
    length = image.shape[axis]
    exported = being_exported()
    # What is exported has to serve every size: it must not decide by the size.
    if not exported and max(before, after) < length:
        padding = [0] * (2 * (image.ndim - 2))
        place = 2 * (image.ndim - 1 - axis)
        padding[place], padding[place + 1] = before, after
        return F.pad(image, padding, mode="reflect")
    index = torch.arange(-before, length + after, device=image.device)
    if not exported and length == 1:
        return image.index_select(axis, torch.zeros_like(index))
    index = index.remainder(2 * (length - 1))
    return image.index_select(axis, torch.minimum(index, 2 * (length - 1) - index))


def _cropped(skip: Tensor, lost: int) -> Tensor:
    """``N C (Z) Y X`` without `lost` voxels on every side."""
    key: Any = (..., *[slice(lost, -lost)] * (skip.ndim - 2))
    cropped: Tensor = skip[key]
    return cropped
