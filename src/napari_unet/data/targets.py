"""From an annotation to what the loss compares with.

A target has the *index* (-1 not annotated, else the position of the class in the
network's output) and, beside it, the *centre distance* of objects or the *values* of a
regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.config import Task
from napari_unet.data.annotation import UNANNOTATED, Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import Box
from napari_unet.data.values import ValueAnnotation


@dataclass(frozen=True)
class Target:
    """Target of one sample, or of a box of it.

    Parameters
    ----------
    index : ndarray, (Z) Y X
        -1 not annotated; task ``classes``: position of the class in the network's
        output; task ``objects``: 0 background, 1 object.
    distance : ndarray, (Z) Y X, or None
        Task ``objects``: normalised centre distance, 0 at an object's edge, 1 where it
        is farthest from it.
    values : ndarray, V (Z) Y X, or None
        Task ``regression``: what to predict; 0 where the index is -1.
    weight : ndarray, (Z) Y X, or None
        How much each voxel counts, for losses that weigh them.
    """

    index: NDArray[np.int16]
    distance: NDArray[np.float32] | None = None
    values: NDArray[np.float32] | None = None
    weight: NDArray[np.float32] | None = None

    def cut(self, box: Box) -> Target:
        """A copy of the part in a box."""
        key: tuple[Any, ...] = (..., *(slice(*b) for b in box))
        distance = None if self.distance is None else self.distance[key].copy()
        values = None if self.values is None else self.values[key].copy()
        weight = None if self.weight is None else self.weight[key].copy()
        return Target(self.index[key].copy(), distance, values, weight)


def make_target(
    annotation: Annotation, sample: int, task: Task, classes: Sequence[ClassInfo]
) -> Target:
    """Target of one sample of an annotation."""
    if isinstance(annotation, ValueAnnotation):
        values = annotation.read_values(sample)
        index = np.where(np.isnan(values), UNANNOTATED, 0).astype(np.int16)
        return Target(index, values=np.nan_to_num(values)[np.newaxis])
    labels = annotation.read(sample)
    if task == "classes":
        return Target(class_index(labels, classes))
    background = annotation.background_value
    index = np.full(labels.shape, 1, np.int16)
    index[labels == UNANNOTATED] = UNANNOTATED
    if background is not None:
        index[labels == background] = 0
    instances = np.where(index == 1, labels, 0)
    distance = centre_distance(instances, annotation.source.voxel_size)
    return Target(index, distance)


def class_index(
    labels: NDArray[np.int32], classes: Sequence[ClassInfo]
) -> NDArray[np.int16]:
    """Annotation values to positions in `classes`; others count as unannotated."""
    index = np.full(labels.shape, UNANNOTATED, np.int16)
    for position, info in enumerate(classes):
        index[labels == info.value] = position
    return index


def centre_distance(
    instances: NDArray[np.int32], voxel_size: Sequence[float]
) -> NDArray[np.float32]:
    """Distance to the object's own edge over its largest value in that object.

    Touching objects are told apart, since each distance is measured inside one object
    alone. The image border is no edge: an object cut by it keeps rising towards it.

    Parameters
    ----------
    instances : ndarray, (Z) Y X
        0 is background, other values are object ids.
    voxel_size : sequence of float
        Along (Z) Y X.
    """
    distance = np.zeros(instances.shape, np.float32)
    # Ids may be sparse and huge: find_objects wants them compact.
    ids, compact = np.unique(instances, return_inverse=True)
    compact = compact.reshape(instances.shape) + int(ids[0] != 0)
    for number, box in enumerate(ndimage.find_objects(compact), start=1):
        if box is None:
            continue
        # One voxel around, where there is one inside the image, holds the edge.
        grown = tuple(
            slice(max(0, b.start - 1), min(n, b.stop + 1))
            for b, n in zip(box, instances.shape, strict=True)
        )
        own = compact[grown] == number
        if own.all():
            distance[grown] = 1.0
            continue
        depth = ndimage.distance_transform_edt(own, sampling=tuple(voxel_size))
        distance[grown][own] = (depth[own] / depth.max()).astype(np.float32)
    return distance
