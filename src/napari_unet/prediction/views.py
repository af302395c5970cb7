"""Test-time augmentation: a tile flipped and turned, and the answers averaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from napari_unet.device import memory_format


@dataclass(frozen=True, slots=True)
class View:
    """One of the eight ways to lay a plane: quarter turns, with and without a flip.

    In 3D a flip in the plane goes with one along Z, so that eight views see every axis
    from both sides.
    """

    turns: int
    flip: bool

    def apply(self, image: Tensor) -> Tensor:
        """`image` ``N C (Z) Y X`` seen this way."""
        if self.flip:
            image = image.flip(self._flipped(image))
        return image.rot90(self.turns, (-2, -1)) if self.turns else image

    def undo(self, maps: Tensor) -> Tensor:
        """Maps ``N K (Z) Y X`` of a view, brought back."""
        if self.turns:
            maps = maps.rot90(-self.turns, (-2, -1))
        return maps.flip(self._flipped(maps)) if self.flip else maps

    @staticmethod
    def _flipped(image: Tensor) -> tuple[int, ...]:
        return (-3, -1) if image.ndim == 5 else (-1,)


VIEWS = tuple(View(turns, flip) for flip in (False, True) for turns in range(4))


def averaged(
    image: Tensor, probabilities: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Mean probabilities over all views, and how far the views disagree.

    Parameters
    ----------
    image : Tensor, N C (Z) Y X
    probabilities : callable
        From an image to maps ``N K (Z) Y X``.

    Returns
    -------
    mean : Tensor, N K (Z) Y X
    disagreement : Tensor, N 1 (Z) Y X
        Standard deviation over the views of the map in which it is largest: 0 where
        all views agree, 0.5 at most.
    """
    mean = squares = None
    layout = memory_format(image.device, image.ndim - 2)
    for view in VIEWS:
        seen = view.apply(image).contiguous(memory_format=layout)
        found = view.undo(probabilities(seen))
        if mean is None or squares is None:
            mean, squares = found.clone(), found.square()
        else:
            mean += found
            squares += found.square()
    if mean is None or squares is None:
        raise ValueError("there are no views")
    mean /= len(VIEWS)
    variance = (squares / len(VIEWS) - mean.square()).clamp_(min=0)
    return mean, variance.sqrt().amax(dim=1, keepdim=True)
