"""How far a network sees: worked out layer by layer while it is built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from napari_unet.networks.blocks import Size


class Reach(NamedTuple):
    """What the voxels of a feature map depend on, along (Z) Y X.

    Voxel ``c`` of the map stands for the voxels from ``c * step`` to ``c * step + step
    - 1`` of the image, and depends on `radius` more on either side.
    """

    step: Size
    radius: Size

    @classmethod
    def of_image(cls, ndim: int) -> Reach:
        """An image sees itself."""
        return cls((1,) * ndim, (0,) * ndim)

    def conv(self, kernel: Sequence[int], dilation: int = 1, times: int = 1) -> Reach:
        """After convolutions with odd kernels."""
        return self._wider([times * dilation * (k // 2) for k in kernel])

    def down(self, stride: Sequence[int], kernel: Sequence[int] | None = None) -> Reach:
        """After pooling, or a convolution with a stride.

        Windows lie side by side, or are centred (odd `kernel`) on the first voxel of
        each stride.
        """
        seen = self if kernel is None else self.conv(kernel)
        step = tuple(s * t for s, t in zip(self.step, stride, strict=True))
        return seen._replace(step=step)

    def up(self, stride: Sequence[int], *, smooth: bool = False) -> Reach:
        """After a transposed convolution as wide as its stride.

        Or after interpolation (`smooth`), which looks at the neighbouring cell, too.
        """
        step = tuple(s // t for s, t in zip(self.step, stride, strict=True))
        far = [
            (t - 1 + (t if smooth and t > 1 else 0)) * s
            for t, s in zip(stride, step, strict=True)
        ]
        radius = tuple(r + f for r, f in zip(self.radius, far, strict=True))
        return Reach(step, radius)

    def up_to(self, other: Reach) -> Reach:
        """After interpolation to the grid of another map."""
        pairs = zip(self.step, other.step, strict=True)
        return self.up([a // b for a, b in pairs], smooth=True)

    def join(self, *others: Reach) -> Reach:
        """Of a map that is put together from several of one grid."""
        radii = zip(self.radius, *(o.radius for o in others), strict=True)
        return self._replace(radius=tuple(max(r) for r in radii))

    def halo(self, divisor: Size) -> Size:
        """The radius, rounded up: a tile grown by it keeps the pooling grid's phase."""
        pairs = zip(self.radius, divisor, strict=True)
        return tuple(math.ceil(r / d) * d for r, d in pairs)

    def _wider(self, cells: Sequence[int]) -> Reach:
        pairs = zip(self.radius, cells, self.step, strict=True)
        return self._replace(radius=tuple(r + c * s for r, c, s in pairs))
