"""Where the objects of a label image are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.metrics.overlaps import small_ids

Slices = tuple[slice, ...]


class Places:
    """Boxes of all objects, found in one go."""

    def __init__(self, labels: NDArray[Any]) -> None:
        small, self._names = small_ids(labels.ravel())
        self._labels: NDArray[Any] = small.reshape(labels.shape)
        self._boxes: list[Slices] = ndimage.find_objects(self._labels)

    def box(self, label: int) -> Slices:
        """The smallest box around an object."""
        return self._boxes[self._number(label) - 1]

    def pixels(self, label: int) -> tuple[Slices, NDArray[np.bool_]]:
        """The box of an object, and its pixels inside the box."""
        box = self.box(label)
        inside: NDArray[np.bool_] = self._labels[box] == self._number(label)
        return box, inside

    def _number(self, label: int) -> int:
        if self._names is None:
            return label
        return int(np.searchsorted(self._names, label))
