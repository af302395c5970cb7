"""Objects cut from the same maps again and again, while somebody moves the settings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.segmentation.objects import Basins, constrain, find_basins
from napari_unet.segmentation.pieces import Sides
from napari_unet.segmentation.settings import DecoderInfo

KEPT = 4
"""Foreground thresholds whose watershed is remembered: it takes most of the time."""


class Redecoder:
    """Keeps the maps of a part of an image, and what does not change with settings.

    Parameters
    ----------
    foreground, distance : ndarray, (Z) Y X
        As in :func:`~.objects.decode_objects`.
    crop : tuple of slice
        The part that is wanted; what lies around it only helps to tell objects apart.
    border : Sides
        At which ends of the axes the image ends.
    inside : ndarray of bool, (Z) Y X, optional
        Mask outside of which nothing is found.
    """

    def __init__(
        self,
        foreground: NDArray[Any],
        distance: NDArray[Any],
        *,
        crop: tuple[slice, ...],
        border: Sides,
        inside: NDArray[np.bool_] | None = None,
    ) -> None:
        self._foreground, self._distance = foreground, distance
        self._crop, self._border, self._inside = crop, border, inside
        self._basins: dict[float, Basins] = {}

    def decode(self, settings: DecoderInfo) -> NDArray[np.int32]:
        """Objects in the part that is wanted, (Z) Y X; sizes count around it, too."""
        basins = self._at(settings.foreground_threshold)
        labels = constrain(
            basins.joined(settings.prominence),
            settings,
            inside=self._inside,
            border=self._border,
        )
        return labels[self._crop]

    def _at(self, threshold: float) -> Basins:
        basins = self._basins.pop(threshold, None)
        if basins is None:
            mask = self._foreground > threshold
            if self._inside is not None:
                mask &= self._inside
            basins = find_basins(mask, self._distance)
        # The one used last is the last to go.
        self._basins[threshold] = basins
        while len(self._basins) > KEPT:
            del self._basins[next(iter(self._basins))]
        return basins
