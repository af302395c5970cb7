"""What the networks have in common."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from napari_unet.networks.blocks import Size, initialise
from napari_unet.networks.reach import Reach


class SegmentationNetwork(nn.Module):
    """A network that gives logits of the image's own size.

    Subclasses build layers, the last one as ``head``, then call :meth:`finish`, and
    compute in :meth:`logits`.

    Parameters
    ----------
    rescale : tuple of float, optional
        Offset and scale: the output is brought from spreads around 0 to the unit of
        what is predicted.
    """

    divisor: Size
    """What sizes along (Z) Y X must be divisible by."""
    halo: Size
    """Context in voxels along (Z) Y X on which an output voxel may depend; a multiple
    of :attr:`divisor`, so that a tile grown by it keeps the phase of the pooling grid.
    """
    head: nn.Module

    def __init__(self, rescale: Sequence[float] | None) -> None:
        super().__init__()
        self.rescale = None if rescale is None else (rescale[0], rescale[1])

    def finish(self, reach: Reach, *strides: Sequence[int]) -> None:
        """Draw the first weights, and take down size and reach.

        Parameters
        ----------
        reach : Reach
            Of the output.
        *strides
            Everything that makes maps coarser, from the image to the coarsest map.
        """
        initialise(self)
        for name, parameter in self.head.named_parameters():
            if parameter.is_meta:
                break  # only shapes are wanted
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            else:
                # Small logits: at first the network is sure of nothing.
                nn.init.normal_(parameter, std=0.01)
        self.divisor = tuple(math.prod(s) for s in zip(*strides, strict=True))
        self.halo = reach.halo(self.divisor)

    def logits(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:
        """Logits, or values in their unit, ``N n_out (Z) Y X`` of ``N C (Z) Y X``."""
        out = self.logits(image)
        if self.rescale is not None:
            offset, scale = self.rescale
            # In full precision: an offset may be large beside what varies.
            out = out.float() * scale + offset
        return out
