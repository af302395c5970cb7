"""Layers that a person corrects, and how corrections reach the annotation."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Task
from napari_unet.errors import AnnotationError
from napari_unet.models.info import ModelInfo
from napari_unet.widgets.annotation_layer import set_pixels
from napari_unet.widgets.edits import (
    BACKGROUND,
    accepted_classes,
    accepted_objects,
    annotation_values,
    class_edits,
    object_edits,
    region_of_edits,
    smallest_box,
)
from napari_unet.widgets.placement import shifted

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_unet.widgets.prediction_run import PredictionResult

Box = tuple[tuple[int, int], ...]

MAX_VOXELS = 2**27
"""Larger results are not kept a second time to compare with."""


@dataclass(frozen=True)
class Original:
    """What a layer of ours held before anybody changed it."""

    labels: NDArray[Any]
    box: Box
    """Where it lies in the image, in voxels along the axes of the labels."""
    shape: tuple[int, ...]
    """Of the labels of the whole image."""
    task: Task
    values: Mapping[int, int]
    """For task `classes`: what each value is in an annotation."""


_originals: weakref.WeakKeyDictionary[Labels, Original] = weakref.WeakKeyDictionary()


def remember_original(layer: Labels, original: Original) -> None:
    """Keep what a layer of ours held, so that edits can be told from it."""
    if original.labels.size <= MAX_VOXELS:
        _originals[layer] = original


def remember_result(
    layer: Labels, box: Box, shape: tuple[int, ...], info: ModelInfo
) -> None:
    """Keep what a result of a model held, in as few bytes as will do."""
    labels = np.asarray(layer.data)
    if labels.size <= MAX_VOXELS:
        small = np.min_scalar_type(int(labels.max(initial=0)))
        values = annotation_values(info.classes) if info.task == "classes" else {}
        original = Original(labels.astype(small), box, shape, info.task, values)
        remember_original(layer, original)


def first_to_paint(result: PredictionResult) -> int:
    """The label that a brush should begin with: a class, or a new object.

    napari's own choice is 1, which no class may have, or one of the objects.
    """
    values = [c.result_value for c in result.info.classes if c.result_value]
    if result.info.task == "classes" and values:
        return values[0]
    most = int(np.iinfo(result.labels.dtype).max)
    return min(int(result.labels.max(initial=0)) + 1, most)


def original_of(layer: Any) -> Original | None:
    """What a layer held; ``None`` for layers that are not ours."""
    return None if layer is None else _originals.get(layer)


def editable_copy(
    labels: NDArray[Any],
    box: Box,
    shape: tuple[int, ...],
    place: Mapping[str, Any],
    task: Task,
    values: Mapping[int, int],
    **look: Any,
) -> Labels:
    """A layer to correct: as large as the image, or as the box if that is too much.

    Parameters
    ----------
    labels : ndarray of int
        What is shown, of the shape of `box`.
    box : Box
        Where it lies in the image.
    shape : tuple of int
        Shape of the labels of the whole image.
    place : mapping
        Arguments that put a layer over the whole image.
    task, values
        As in `Original`.
    **look
        Name, colours and so on of the layer.
    """
    from napari.layers import Labels

    if math.prod(shape) <= MAX_VOXELS:
        # Pages that nobody writes to take no memory.
        whole = np.zeros(shape, np.int32)
        whole[tuple(slice(*span) for span in box)] = labels
        box = tuple((0, n) for n in shape)
    else:
        whole = labels.astype(np.int32)
        place = shifted(place, [start for start, _ in box])
    before = np.zeros(whole.shape, np.int32)
    inside = smallest_box(whole != 0)
    if inside is not None:
        before[inside] = whole[inside]
    layer = Labels(whole, **look, **place)
    remember_original(layer, Original(before, box, shape, task, dict(values)))
    return layer


def learn_from_edits(layer: Labels, annotation: Labels) -> int:
    """Write what a person changed in `layer` into the annotation, as one undoable step.

    Returns
    -------
    int
        Number of pixels that the annotation gained or changed.

    Raises
    ------
    AnnotationError
        If nothing was changed, or the layers do not belong together.
    """
    original = original_of(layer)
    if original is None:
        raise AnnotationError(
            f"{layer.name!r} is not a copy to edit: press Edit, and correct that copy."
        )
    now = np.asarray(layer.data)
    if now.shape != original.labels.shape or original.shape != annotation.data.shape:
        raise AnnotationError(
            f"{layer.name!r} and {annotation.name!r} do not belong to one image: "
            "choose the annotation of the image that was edited."
        )
    changed = smallest_box(now != original.labels)
    if changed is None:
        raise AnnotationError(
            f"Nothing was changed in {layer.name!r} yet: correct it first."
        )
    if original.task == "classes":
        found = class_edits(original.labels[changed], now[changed], original.values)
    else:
        # Far less than the whole, most often, which would keep the viewer waiting.
        changed = region_of_edits(original.labels, now, changed)
        first = next_object(annotation)
        found = object_edits(original.labels[changed], now[changed], first)
    offset = [
        start + part.start
        for (start, _), part in zip(original.box, changed, strict=True)
    ]
    count = write(annotation, found, offset)
    _originals[layer] = replace(original, labels=_known(original.labels, now, changed))
    return count


def _known(
    before: NDArray[Any], now: NDArray[Any], changed: tuple[slice, ...]
) -> NDArray[Any]:
    """What is known of a layer once its changes are learnt; ours to write to."""
    if int(now[changed].max(initial=0)) > np.iinfo(before.dtype).max:
        return now.copy()
    before[changed] = now[changed]
    return before


def accept(
    shown: NDArray[Any],
    box: Box,
    annotation: Labels,
    task: Task,
    values: Mapping[int, int],
) -> int:
    """Take what is shown in a box as correct, where nobody painted; one undoable step.

    Returns
    -------
    int
        Number of pixels that the annotation gained.
    """
    annotated = np.asarray(annotation.data[tuple(slice(*span) for span in box)])
    if task == "classes":
        found = accepted_classes(shown, annotated, values)
    else:
        # Planes that are not in the box are other places, not the rest of an object.
        cut = [
            (start > 0 and stop - start > 1, stop < n and stop - start > 1)
            for (start, stop), n in zip(box, annotation.data.shape, strict=True)
        ]
        found = accepted_objects(shown, annotated, next_object(annotation), cut)
    return write(annotation, found, [start for start, _ in box])


def next_object(annotation: Labels) -> int:
    """A number that no object of the annotation has, and none below it."""
    return max(int(np.max(annotation.data)) + 1, BACKGROUND + 1)


def write(annotation: Labels, values: NDArray[np.int32], offset: Sequence[int]) -> int:
    """Write annotation values at `offset`; zeros change nothing."""
    largest = int(values.max(initial=0))
    if largest > np.iinfo(annotation.data.dtype).max:
        raise AnnotationError(
            f"{annotation.name!r} cannot hold label {largest:,}: right-click it, "
            "choose Convert data type, and take int32."
        )
    inside = np.nonzero(values)
    if not inside[0].size:
        return 0
    new = values[inside].astype(annotation.data.dtype)
    indices = tuple(i + start for i, start in zip(inside, offset, strict=True))
    differ = np.asarray(annotation.data[indices]) != new
    if differ.any():
        kept = tuple(i[differ] for i in indices)
        set_pixels(annotation, kept, new[differ])
    return int(differ.sum())
