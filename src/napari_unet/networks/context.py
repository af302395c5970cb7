"""Context of a whole window: means over cells of a fixed grid.

DeepLabV3+ and PSPNet take means over the whole image that they see. Tiles would then
give something else than the whole image. Here the means are over cells of a grid that
begins at the corner of the image, of the size of the window that the network learnt
from: within one window that is what the papers describe, and tiles that begin where
windows do fit together exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from napari_unet.networks.blocks import AVERAGE_POOL, CONV, Size, enlarge
from napari_unet.networks.reach import Reach


class WindowMean(nn.Module):
    """Means over cells, a 1 × 1 convolution, ReLU, and back to the grid linearly.

    There is no normalisation: a batch has too few cells for statistics.

    Parameters
    ----------
    n_in, n_out : int
    cell : tuple of int
        Size along (Z) Y X in voxels of the feature map.
    """

    def __init__(self, n_in: int, n_out: int, cell: Size) -> None:
        super().__init__()
        ndim = len(cell)
        one: Any = (1,) * ndim
        size: Any = (tuple(cell),)
        self._cell = tuple(cell)
        self.pool = AVERAGE_POOL[ndim](*size)
        self.conv = CONV[ndim](n_in, n_out, one)
        self.activation = nn.ReLU(inplace=True)

    def reach(self, before: Reach) -> Reach:
        """How far the output sees."""
        return before.down(self._cell).up(self._cell, smooth=True)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.activation(self.conv(self.pool(x)))
        return enlarge(mean, self._cell)


def cell_of(window: Sequence[int], stride: Sequence[int], bins: int) -> Size:
    """Size of a cell on a feature map if a window holds `bins` of them along an axis.

    Raises
    ------
    ValueError
        If the window cannot be cut like that.
    """
    cells = []
    for size, step in zip(window, stride, strict=True):
        if size % (step * bins):
            raise ValueError(
                f"a window of {size} does not hold {bins} times {step} voxels"
            )
        cells.append(size // (step * bins))
    return tuple(cells)
