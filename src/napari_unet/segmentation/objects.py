"""Objects from the network's maps: one for every peak that stands out.

The centre distance is a landscape with a hill for each object. A watershed (Beucher and
Meyer 1993, as in scikit-image) gives every summit its basin; basins whose summit hardly
rises above the pass to a higher neighbour are no objects of their own, and join it.
How far a summit rises is its *prominence*, as in topography (0-dimensional persistence,
Edelsbrunner, Letscher and Zomorodian 2002). Against a fixed height above which seeds
stand, that tells objects apart that touch along a high pass, and does not cut a long
one whose ridge is uneven.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import local_maxima
from skimage.segmentation import watershed

from napari_unet.segmentation.pieces import (
    Sides,
    find_pieces,
    fits,
    number_pieces,
    settle,
)
from napari_unet.segmentation.settings import DecoderInfo


def decode_objects(
    foreground: NDArray[Any],
    distance: NDArray[Any],
    settings: DecoderInfo,
    *,
    inside: NDArray[np.bool_] | None = None,
    border: Sides | None = None,
) -> NDArray[np.int32]:
    """Label the objects of one image.

    Parameters
    ----------
    foreground : ndarray, (Z) Y X
        Probability that a voxel belongs to an object, 0 to 1.
    distance : ndarray, (Z) Y X
        Normalised centre distance, 0 to 1.
    settings : DecoderInfo
    inside : ndarray of bool, (Z) Y X, optional
        Nothing is found outside of it.
    border : Sides, optional
        At which ends of the axes the image ends, too; at all by default.

    Returns
    -------
    ndarray of int32, (Z) Y X
        0 is background; objects are 1, 2, … without gaps.
    """
    mask = foreground > settings.foreground_threshold
    if inside is not None:
        mask &= inside
    labels = find_basins(mask, distance).joined(settings.prominence)
    return constrain(labels, settings, inside=inside, border=border)


def constrain(
    labels: NDArray[np.int32],
    settings: DecoderInfo,
    *,
    inside: NDArray[np.bool_] | None = None,
    border: Sides | None = None,
) -> NDArray[np.int32]:
    """Keep of objects (Z) Y X what the settings allow, numbered without gaps.

    `inside` and `border` are those of :func:`decode_objects`.
    """
    if not settings.needs_pieces:
        return compact_labels(labels, settings.min_size, settings.max_size)
    everywhere: Sides = ((True, True),) * labels.ndim
    numbers = number_pieces(labels)
    pieces = find_pieces(
        labels, numbers, ends=everywhere, border=border or everywhere, inside=inside
    )
    own = np.arange(int(labels.max(initial=0)) + 1, dtype=np.int32)
    (table,), _ = settle([pieces], [own], [], settings)
    constrained: NDArray[np.int32] = table[numbers]
    return constrained


@dataclass(frozen=True)
class Basins:
    """A landscape cut into N basins, before any of them join.

    Parameters
    ----------
    labels : ndarray of int32, (Z) Y X
        0 is background, basins are 1 to N.
    summits : ndarray of float32, N + 1
        Height of the highest place of each basin; that of background is not used.
    pairs : ndarray of int64, E × 2
        Basins that touch.
    passes : ndarray of float32, E
        Height of the highest pass between them.
    """

    labels: NDArray[np.int32]
    summits: NDArray[np.float32]
    pairs: NDArray[np.int64]
    passes: NDArray[np.float32]

    def joined(self, prominence: float) -> NDArray[np.int32]:
        """Labels in which every summit rises by `prominence`, or stands alone."""
        parent = list(range(len(self.summits)))

        def root(basin: int) -> int:
            while parent[basin] != basin:
                parent[basin] = parent[parent[basin]]
                basin = parent[basin]
            return basin

        heights = self.summits.tolist()
        # From the highest pass down: each summit meets its closest rival first.
        order = np.argsort(-self.passes, kind="stable")
        for (a, b), height in zip(
            self.pairs[order].tolist(), self.passes[order].tolist(), strict=True
        ):
            a, b = root(a), root(b)
            low, high = (a, b) if heights[a] < heights[b] else (b, a)
            if heights[low] - height < prominence:
                parent[low] = high
        roots = np.array([root(basin) for basin in parent], np.int32)
        labels: NDArray[np.int32] = roots[self.labels]
        return labels


def find_basins(mask: NDArray[np.bool_], distance: NDArray[Any]) -> Basins:
    """Basins of the centre distance ``(Z) Y X`` inside a mask."""
    heights = np.where(mask, distance, -1).astype(np.float32)
    if not mask.any():
        none = np.zeros(0, np.float32)
        labels = np.zeros(mask.shape, np.int32)
        return Basins(labels, np.zeros(1, np.float32), np.zeros((0, 2), np.int64), none)
    around = np.ones((3,) * mask.ndim, bool)
    seeds, count = ndimage.label(local_maxima(heights) & mask, around)
    labels = watershed(-heights, seeds, mask=mask).astype(np.int32, copy=False)
    summits = np.zeros(count + 1, np.float32)
    top = seeds > 0
    summits[seeds[top]] = heights[top]
    return Basins(labels, summits, *_passes(labels, heights))


def _passes(
    labels: NDArray[np.int32], heights: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Pairs of basins that touch along a face, and the highest pass between them."""
    lows, highs, passes = [], [], []
    for axis in range(labels.ndim):
        here = (slice(None),) * axis + (slice(None, -1),)
        there = (slice(None),) * axis + (slice(1, None),)
        one, other = labels[here], labels[there]
        meet = (one != other) & (one > 0) & (other > 0)
        lows.append(np.minimum(one[meet], other[meet]))
        highs.append(np.maximum(one[meet], other[meet]))
        passes.append(np.minimum(heights[here][meet], heights[there][meet]))
    pairs = np.stack([np.concatenate(lows), np.concatenate(highs)], 1).astype(np.int64)
    height = np.concatenate(passes)
    order = np.lexsort((-height, pairs[:, 1], pairs[:, 0]))
    pairs, height = pairs[order], height[order]
    first = np.ones(len(pairs), bool)
    first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[first], height[first]


def compact_labels(
    labels: NDArray[Any], min_size: int = 0, max_size: int | None = None
) -> NDArray[np.int32]:
    """Renumber objects 1, 2, … and drop those outside a range of sizes in voxels."""
    sizes = np.bincount(labels.ravel())
    keep = fits(sizes, DecoderInfo(min_size=min_size, max_size=max_size))
    keep[:1] = False
    renumber = np.zeros(len(sizes), np.int32)
    renumber[keep] = np.arange(1, int(keep.sum()) + 1)
    compact: NDArray[np.int32] = renumber[labels]
    return compact
