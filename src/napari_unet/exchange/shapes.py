"""Outlines with what a file says about them, and labels drawn from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError
from napari_unet.exchange.outlines import Ring

Meaning = Literal["objects", "classes"]

LARGEST_CORNER = 10_000_000
"""A coordinate beyond this is no pixel."""
LARGEST_PLANE = 2**31


@dataclass(frozen=True)
class Shape:
    """One outline of a file.

    Parameters
    ----------
    rings : tuple of array, (x, y) of corners
        What lies inside an odd number of them is inside.
    plane : mapping
        Index along ``T`` and ``Z``, where the file says it.
    label : int, optional
        Number of the object, where the file says it.
    class_name : str, optional
    color : str, optional
        ``#rrggbb`` of the class.
    """

    rings: tuple[Ring, ...]
    plane: Mapping[str, int] = field(default_factory=dict)
    label: int | None = None
    class_name: str | None = None
    color: str | None = None


@dataclass(frozen=True)
class Drawing:
    """Labels drawn from outlines."""

    labels: NDArray[np.int32]
    names: dict[int, str]
    colors: dict[int, str]
    notes: list[str]


def extent(shapes: Sequence[Shape]) -> tuple[str, tuple[int, ...]]:
    """Axes and shape of the smallest image that holds `shapes`.

    Raises
    ------
    DataError
        If coordinates are none of an image.
    """
    corners = [ring for shape in shapes for ring in shape.rings]
    x, y = (
        max(1, math.ceil(max(float(r[:, k].max()) for r in corners))) for k in (0, 1)
    )
    if max(x, y) > LARGEST_CORNER or x * y > LARGEST_PLANE:
        raise DataError(
            f"The outlines reach to {x:,} × {y:,} pixels, too far to guess the image: "
            "say which image they belong to."
        )
    lengths = {"Y": y, "X": x}
    for axis in "TZ":
        planes = [s.plane[axis] for s in shapes if axis in s.plane]
        if planes and max(planes) > 0:
            lengths[axis] = max(planes) + 1
    axes = "".join(a for a in "TZYX" if a in lengths)
    return axes, tuple(lengths[a] for a in axes)


def draw(
    shapes: Sequence[Shape], axes: str, size: Sequence[int], meaning: Meaning
) -> Drawing:
    """Fill outlines; a later one covers an earlier one.

    Parameters
    ----------
    shapes : sequence of Shape
    axes : str
        Of the labels, out of ``TZYX``.
    size : sequence of int
        Along `axes`.
    meaning : {"objects", "classes"}
        Whether each outline gets a number of its own, or each class of outlines.

    Raises
    ------
    DataError
        If no outline lies in the image.
    """
    order = sorted(axes, key="TZYX".index)
    lengths = dict(zip(axes, size, strict=True))
    labels = np.zeros([lengths[a] for a in order], np.int32)
    numbers = _numbers(shapes, meaning)
    missed = covered = everywhere = 0
    for shape, number in zip(shapes, numbers, strict=True):
        key, vague = _planes(shape, order[:-2], lengths)
        rows, columns = _inside(shape.rings, lengths["Y"], lengths["X"])
        if key is None or not rows.size:
            missed += 1
            continue
        everywhere += vague
        drawn = labels[key]
        before = drawn[..., rows, columns]
        covered += bool(((before != 0) & (before != number)).any())
        drawn[..., rows, columns] = number
    if missed == len(shapes):
        raise DataError(
            "None of the outlines lies in the image: choose the image that they were "
            "drawn on."
        )
    notes = _notes(missed, covered, everywhere)
    names = {n: s.class_name for s, n in zip(shapes, numbers, strict=True)}
    colors = {n: s.color for s, n in zip(shapes, numbers, strict=True)}
    by_class = meaning == "classes"
    return Drawing(
        labels.transpose([order.index(a) for a in axes]),
        {n: name for n, name in names.items() if by_class and name},
        {n: color for n, color in colors.items() if by_class and color},
        notes,
    )


def _numbers(shapes: Sequence[Shape], meaning: Meaning) -> list[int]:
    """A number for each outline, from 1."""
    if meaning == "classes":
        known: dict[str | None, int] = {}
        return [known.setdefault(s.class_name, len(known) + 1) for s in shapes]
    labels = [s.label for s in shapes if s.label is not None]
    if len(labels) == len(shapes):
        return labels  # pieces of one object in several planes have one number
    taken, numbers, free = set(labels), [], 1
    for shape in shapes:
        number = shape.label
        if number is None:
            while free in taken:
                free += 1
            number = free
            taken.add(number)
        numbers.append(number)
    return numbers


def _planes(
    shape: Shape, outer: Sequence[str], lengths: Mapping[str, int]
) -> tuple[tuple[int | slice, ...] | None, bool]:
    """Which planes a shape lies in, and whether that is all for want of a word."""
    key: list[int | slice] = []
    vague = False
    for axis in outer:
        index = shape.plane.get(axis)
        if index is None:
            key.append(slice(None))
            vague |= lengths[axis] > 1
        elif 0 <= index < lengths[axis]:
            key.append(slice(index, index + 1))
        else:
            return None, False
    return tuple(key), vague


def _inside(
    rings: Sequence[Ring], height: int, width: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the pixels whose centres lie inside."""
    from skimage.draw import polygon

    filled = []
    for ring in rings:
        # Centres of pixels lie half a pixel from their corners.
        rows, columns = polygon(ring[:, 1] - 0.5, ring[:, 0] - 0.5, (height, width))
        filled.append(rows * width + columns)
    if len(filled) == 1:
        flat = filled[0]
    else:
        pixels, times = np.unique(np.concatenate(filled), return_counts=True)
        flat = pixels[times % 2 == 1]
    found: tuple[NDArray[np.intp], NDArray[np.intp]] = np.divmod(flat, width)
    return found


def _notes(missed: int, covered: int, everywhere: int) -> list[str]:
    notes = []
    if missed:
        notes.append(
            f"{_count(missed)} outside the image or smaller than a pixel: left out."
        )
    if covered:
        notes.append(f"{_count(covered)} over others: the later one was kept.")
    if everywhere:
        notes.append(f"{_count(everywhere)} without a plane: drawn into all of them.")
    return notes


def _count(number: int) -> str:
    return "1 outline lies" if number == 1 else f"{number:,} outlines lie"
