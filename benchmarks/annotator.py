"""A person who paints strokes, simulated from ground truth.

Begins with a few strokes per class, then paints on the largest errors of what it is
shown, as somebody at a viewer does. Strokes are pieces of skeletons, a few pixels wide,
and never leave the class that they mark.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import skeletonize

REACH = 18
"""Half the edge in pixels of the window that one stroke may fill."""
MIN_ERROR = 4
"""Pixels of an error that a person would see."""


@dataclass
class Annotator:
    """Paints into :attr:`strokes`, one plane at a time.

    Parameters
    ----------
    truth : ndarray of int, P Y X
        Classes 0, 1, … of each plane (of an image series, a time-lapse or a volume).
    planes : sequence of int
        Planes that are looked at, in turn.
    seed : int
    """

    truth: NDArray[np.int32]
    planes: list[int]
    seed: int = 0
    strokes: NDArray[np.int32] = field(init=False)
    """P Y X, sparse: 0 not annotated, 1 background, 2, … classes."""
    count: int = 0

    def __post_init__(self) -> None:
        self.strokes = np.zeros(self.truth.shape, np.int32)
        self._random = np.random.default_rng(self.seed)

    def begin(self, per_class: int = 3) -> None:
        """`per_class` strokes of every class, anywhere in the first plane that has it.

        Further strokes of a class go to the next plane looked at, in turn.
        """
        for value in np.unique(self.truth[self.planes]):
            with_class = [p for p in self.planes if (self.truth[p] == value).any()]
            for i in range(per_class):
                plane = with_class[i % len(with_class)]
                self._stroke(plane, self.truth[plane] == value, int(value))

    def correct(self, plane: int, shown: NDArray[np.int32], strokes: int = 3) -> None:
        """`strokes` strokes on the largest errors of what is shown of a plane.

        Parameters
        ----------
        plane : int
        shown : ndarray of int, Y X
            Classes 0, 1, … as the preview has them.
        """
        truth = self.truth[plane]
        wrong = (shown != truth) & (self.strokes[plane] == 0)
        # Pixels at an edge that is off by one are no errors that people paint on.
        inner = ndimage.binary_opening(wrong, iterations=1)
        wrong = inner if inner.any() else wrong
        parts, n = ndimage.label(wrong)
        sizes = np.bincount(parts.ravel(), minlength=n + 1)[1:]
        for part in np.argsort(-sizes)[:strokes]:
            if sizes[part] < MIN_ERROR:
                break
            here = parts == part + 1
            value = int(np.bincount(truth[here]).argmax())
            self._stroke(plane, here & (truth == value), value)

    def _stroke(self, plane: int, mask: NDArray[np.bool_], value: int) -> None:
        skeleton = skeletonize(mask)
        points = np.argwhere(skeleton if skeleton.any() else mask)
        if not len(points):
            return
        y, x = points[self._random.integers(len(points))]
        window = np.zeros_like(mask)
        window[max(0, y - REACH) : y + REACH + 1, max(0, x - REACH) : x + REACH + 1] = 1
        line, _ = ndimage.label(
            (skeleton if skeleton.any() else mask) & window, np.ones((3, 3))
        )
        line = line == line[y, x]
        stroke = ndimage.binary_dilation(line) & (self.truth[plane] == value)
        self.strokes[plane][stroke] = value + 1
        self.count += 1
