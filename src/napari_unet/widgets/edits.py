"""Corrections become annotation: exactly what a person changed, and no more.

An array of *annotation values* holds 0 wherever the annotation is to stay as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.classes import ClassInfo

BACKGROUND = 1
"""Background in a sparse annotation."""

FEW_NUMBERS = 2**22
"""Objects with smaller numbers are found in one pass over the labels."""


def annotation_values(classes: Sequence[ClassInfo]) -> dict[int, int]:
    """What each value of a result is in a sparse annotation.

    Where the classes come from a complete annotation, background was 0 there and is 1
    here, and every class moves up by one. Without a background class nothing moves,
    and 0 has no meaning.
    """
    ground = next((c for c in classes if c.background), None)
    shift = 0 if ground is None else BACKGROUND - ground.value
    return {c.result_value: c.value + shift for c in classes}


def class_edits(
    before: NDArray[Any], now: NDArray[Any], values: Mapping[int, int]
) -> NDArray[np.int32]:
    """Annotation values of the pixels that differ; unknown labels keep their number.

    Parameters
    ----------
    before, now : ndarray of int
        Labels of a result, and the same after a person changed them.
    values : mapping
        As :func:`annotation_values` gives it.
    """
    found = np.zeros(now.shape, np.int32)
    changed = now != before
    found[changed] = _mapped(now[changed], values)
    return found


def object_edits(
    before: NDArray[Any], now: NDArray[Any], first: int
) -> NDArray[np.int32]:
    """Annotation values for changed objects; each gets a new number from `first` on.

    An object that was painted, extended, cut or joined is taken as a whole, since an
    annotated object has to be complete. What was erased is background. Of a number
    that several objects carry, only those that were touched are taken.
    """
    from scipy import ndimage  # slow to import: not when the widget opens

    found = np.zeros(now.shape, np.int32)
    changed = now != before
    box = smallest_box(changed)
    if box is None:
        return found
    found[changed & (now == 0)] = BACKGROUND
    touched = np.union1d(now[changed], before[changed])
    touched = touched[touched != 0]
    number = first
    for mask, where in _objects(now, touched):
        parts, count = ndimage.label(mask, np.ones((3,) * mask.ndim))
        grown = ndimage.binary_dilation(changed[where], np.ones((3,) * mask.ndim))
        for part in range(1, count + 1):
            piece = parts == part
            # Erasing next to an object changes that object, too: its edge moved.
            if (piece & grown).any():
                found[where][piece] = number
                number += 1
    return found


def region_of_edits(
    before: NDArray[Any], now: NDArray[Any], changed: tuple[slice, ...]
) -> tuple[slice, ...]:
    """The smallest box around all changed objects, which :func:`object_edits` needs.

    Parameters
    ----------
    before, now : ndarray of int
    changed : tuple of slice
        The smallest box of the pixels that differ.
    """
    differ = now[changed] != before[changed]
    touched = np.union1d(now[changed][differ], before[changed][differ])
    boxes = [where for _, where in _objects(now, touched[touched != 0])]
    return tuple(
        slice(min(p.start for p in parts), max(p.stop for p in parts))
        for parts in zip(changed, *boxes, strict=True)
    )


def accepted_classes(
    shown: NDArray[Any], annotated: NDArray[Any], values: Mapping[int, int]
) -> NDArray[np.int32]:
    """Annotation values that accept what is shown where nobody painted."""
    found = _mapped(shown, values)
    found[annotated != 0] = 0
    return found


def accepted_objects(
    shown: NDArray[Any],
    annotated: NDArray[Any],
    first: int,
    cut: Sequence[tuple[bool, bool]],
) -> NDArray[np.int32]:
    """Annotation values that accept whole objects and the background between them.

    Objects that touch painted objects, or a side of the region that is `cut` out of a
    larger image, are left out: they may be only a part.

    Parameters
    ----------
    shown, annotated : ndarray of int
        Objects to accept, and the annotation of the same region.
    first : int
        Number of the first object.
    cut : sequence of (bool, bool)
        Whether the image goes on before and after the region, along each axis.
    """
    doubtful = set(np.unique(shown[annotated > BACKGROUND]).tolist())
    for axis, (before, after) in enumerate(cut):
        for is_cut, side in ((before, 0), (after, -1)):
            if is_cut:
                doubtful |= set(np.unique(shown.take(side, axis)).tolist())
    ids = [i for i in np.unique(shown).tolist() if i and i not in doubtful]
    place = np.searchsorted(ids, shown) if ids else np.zeros(shown.shape, int)
    place = np.minimum(place, max(len(ids) - 1, 0))
    found = np.zeros(shown.shape, np.int32)
    if ids:
        whole = np.asarray(ids)[place] == shown
        found[whole] = place[whole] + first
    found[shown == 0] = BACKGROUND
    # An object is accepted whole, also where background was painted under its rim.
    found[(annotated != 0) & (found == BACKGROUND)] = 0
    return found


def _mapped(labels: NDArray[Any], values: Mapping[int, int]) -> NDArray[np.int32]:
    mapped = labels.astype(np.int32)
    for value, meaning in values.items():
        mapped[labels == value] = meaning
    return mapped


def _objects(
    labels: NDArray[Any], ids: NDArray[Any]
) -> list[tuple[NDArray[np.bool_], tuple[slice, ...]]]:
    """The mask of each of `ids` with a rim of one pixel, and where it lies.

    The numbers may be huge.
    """
    from scipy import ndimage  # slow to import: not when the widget opens

    if not ids.size:
        return []
    if ids[0] > 0 and ids[-1] < FEW_NUMBERS:
        named, boxes = labels, ndimage.find_objects(labels, int(ids[-1]))
        chosen = [(int(i), boxes[i - 1]) for i in ids.tolist()]
    else:
        place = np.searchsorted(ids, labels)
        place[place == len(ids)] = 0
        named = np.where(ids[place] == labels, place + 1, 0)
        chosen = list(enumerate(ndimage.find_objects(named), 1))
    found = []
    for number, inner in chosen:
        if inner is not None:
            where = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in inner)
            found.append((named[where] == number, where))
    return found


def smallest_box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """Index of the smallest box that holds every true pixel, if there is one."""
    from scipy import ndimage  # slow to import: not when the widget opens

    found = ndimage.find_objects(mask.astype(np.uint8))
    return found[0] if found else None
