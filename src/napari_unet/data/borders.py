"""The weight map of the U-Net paper: background between close objects counts most.

Ronneberger, Fischer and Brox 2015 (arXiv 1505.04597), equation 2: at each background
pixel the loss is multiplied by 1 + w₀ · exp(−(d₁ + d₂)² / (2σ²)), where d₁ and d₂ are
the distances to the two nearest objects. Balancing the classes, the other part of that
map, is what class weights are for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.data.annotation import UNANNOTATED
from napari_unet.data.classes import ClassInfo
from napari_unet.data.targets import Target

REACH = 4.0
"""Distances beyond so many σ are not looked at: the weight is 1 within 0.4 % there."""


@dataclass(frozen=True)
class BorderWeights:
    """How much background between objects counts.

    Parameters
    ----------
    weight : float
        w₀ of the paper, 10 there.
    sigma : float
        σ of the paper in pixels (of the finest axis), 5 there.
    """

    weight: float = 10.0
    sigma: float = 5.0

    def apply(
        self,
        target: Target,
        instances: NDArray[np.int32],
        voxel_size: Sequence[float],
    ) -> Target:
        """A target with weights; where objects touch, a border becomes background.

        Without the border, which the paper's training data have, there would be no
        background between objects that touch, and nothing to weigh.

        Parameters
        ----------
        target : Target
        instances : ndarray of int32, (Z) Y X
            Ids of objects or connected regions; 0 elsewhere.
        voxel_size : sequence of float
            Along (Z) Y X.
        """
        touching = _touching(instances)
        index = np.where(touching & (target.index > 0), 0, target.index)
        apart = np.where(touching, 0, instances)
        spacing = [size / min(voxel_size) for size in voxel_size]
        first, second = two_distances(apart, spacing, REACH * self.sigma)
        bonus = np.exp(-((first + second) ** 2) / (2 * self.sigma**2))
        weight = 1 + self.weight * bonus * (index == 0)
        return replace(
            target, index=index.astype(np.int16), weight=weight.astype(np.float32)
        )


def regions_of(
    index: NDArray[np.int16], classes: Sequence[ClassInfo]
) -> NDArray[np.int32]:
    """Connected regions of every class but background, each with an id of its own."""
    regions = np.zeros(index.shape, np.int32)
    count = 0
    for position, info in enumerate(classes):
        if info.background:
            continue
        found, more = ndimage.label(index == position)
        regions[found > 0] = found[found > 0] + count
        count += more
    return regions


def two_distances(
    instances: NDArray[np.int32], spacing: Sequence[float], reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances from each voxel to the nearest two objects, in units of `spacing`.

    Parameters
    ----------
    instances : ndarray of int32, (Z) Y X
        0 is background.
    spacing : sequence of float
        Size of a voxel along (Z) Y X.
    reach : float
        Larger distances are infinite.
    """
    first = np.full(instances.shape, np.inf, np.float32)
    second = first.copy()
    ids, compact = np.unique(instances, return_inverse=True)
    compact = compact.reshape(instances.shape) + int(ids[0] != 0)
    around = [int(np.ceil(reach / s)) for s in spacing]
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        if box is None:
            continue
        grown = tuple(
            slice(max(0, b.start - r), min(n, b.stop + r))
            for b, r, n in zip(box, around, instances.shape, strict=True)
        )
        depth = ndimage.distance_transform_edt(
            compact[grown] != number, sampling=tuple(spacing)
        ).astype(np.float32)
        depth[depth > reach] = np.inf
        near, next_ = first[grown], second[grown]
        second[grown] = np.minimum(next_, np.maximum(near, depth))
        first[grown] = np.minimum(near, depth)
    return first, second


def _touching(instances: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Voxels of objects that share a face with another object."""
    touching = np.zeros(instances.shape, bool)
    for axis in range(instances.ndim):
        here = (slice(None),) * axis + (slice(None, -1),)
        there = (slice(None),) * axis + (slice(1, None),)
        one, other = instances[here], instances[there]
        meet = (one != other) & (one > 0) & (other > 0)
        touching[here] |= meet
        touching[there] |= meet
    return touching


def border_weights_of(
    target: Target,
    labels: NDArray[np.int32],
    classes: Sequence[ClassInfo],
    voxel_size: Sequence[float],
    weights: BorderWeights,
) -> Target:
    """Weights for a target of task ``classes`` or ``objects``.

    Parameters
    ----------
    target : Target
    labels : ndarray of int32, (Z) Y X
        The annotation that it was made from.
    """
    if target.distance is None:
        instances = regions_of(target.index, classes)
    else:
        instances = np.where(target.index > 0, labels, 0).astype(np.int32)
    made = weights.apply(target, instances, voxel_size)
    known = target.index != UNANNOTATED
    return replace(made, index=np.where(known, made.index, target.index))
