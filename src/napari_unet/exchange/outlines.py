"""Outlines along the edges of pixels, from which the very same pixels come back.

Coordinates are those of ImageJ and QuPath: (x, y) of corners, the first pixel reaching
from 0 to 1 along both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ring = NDArray[np.float64]
"""Corners (x, y) of a closed line; the first is not repeated at the end."""

Polygon = tuple[Ring, ...]
"""An outer ring and those of its holes."""


def objects_of(
    plane: NDArray[np.integer],
) -> Iterator[tuple[int, list[Polygon]]]:
    """Every label of a plane (Y X) but 0, in order, with the polygons of its pieces."""
    from scipy import ndimage

    values = np.unique(plane)
    values = values[values > 0]
    # Labels may be large and few: `find_objects` makes a list as long as the largest.
    compact = np.searchsorted(values, plane) + 1
    compact[plane <= 0] = 0
    for value, box in zip(values, ndimage.find_objects(compact), strict=True):
        offset = (box[1].start, box[0].start)
        yield int(value), polygons_of(plane[box] == value, offset)


def polygons_of(
    mask: NDArray[np.bool_], offset: tuple[int, int] = (0, 0)
) -> list[Polygon]:
    """Polygons of the pieces of a mask (Y X); `offset` (x, y) is added to corners.

    Pixels that touch at a corner alone are pieces of their own.
    """
    from scipy import ndimage

    pieces, count = ndimage.label(mask)
    found = []
    for number in range(1, count + 1):
        rings = _rings(pieces == number)
        rings.sort(key=_area, reverse=True)  # the outer one encloses the others
        shifted = [ring + np.asarray(offset, float) for ring in rings]
        found.append(tuple(shifted))
    return found


def one_line(polygons: Sequence[Polygon]) -> Ring:
    """All rings as one closed line, joined by ways that enclose nothing.

    An outline of ImageJ is a single line. The ways follow edges of pixels, once there
    and once back, so that no centre of a pixel changes sides.
    """
    first, *others = [ring for polygon in polygons for ring in polygon]
    line = [tuple(p) for p in first] + [tuple(first[0])]
    start = line[0]
    for ring in others:
        there = tuple(ring[0])
        corner = (there[0], start[1])
        line += [corner, *(tuple(p) for p in ring), there, corner, start]
    return np.array(line[:-1] if not others else line, float)


def _area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def _rings(mask: NDArray[np.bool_]) -> list[Ring]:
    """Closed lines between a piece and what surrounds it, and around its holes."""
    following: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for begin, end in _edges(mask):
        following[begin].append(end)
    rings = []
    while following:
        start = next(iter(following))
        ring, here, step = [start], start, (0, 0)
        while True:
            there = _leave(following, here, step)
            step = (there[0] - here[0], there[1] - here[1])
            here = there
            if here == start:
                break
            ring.append(here)
        rings.append(_corners(np.array(ring, float)))
    return rings


def _edges(
    mask: NDArray[np.bool_],
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Edges of pixels on the border, directed: the mask lies to the right (y down)."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    steps = {
        (-1, 0): ((0, 0), (1, 0)),  # above: from left to right
        (0, 1): ((1, 0), (1, 1)),  # right of it: down
        (1, 0): ((1, 1), (0, 1)),  # below: from right to left
        (0, -1): ((0, 1), (0, 0)),  # left of it: up
    }
    height, width = mask.shape
    for (dy, dx), (begin, end) in steps.items():
        beside = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        for y, x in np.argwhere(inside & ~beside).tolist():
            yield (x + begin[0], y + begin[1]), (x + end[0], y + end[1])


def _leave(
    following: dict[tuple[int, int], list[tuple[int, int]]],
    here: tuple[int, int],
    step: tuple[int, int],
) -> tuple[int, int]:
    """Take the edge that begins here; of two, the one to the right."""
    options = following[here]
    right = (here[0] - step[1], here[1] + step[0])
    chosen = right if len(options) > 1 and right in options else options[0]
    options.remove(chosen)
    if not options:
        del following[here]
    return chosen


def _corners(ring: Ring) -> Ring:
    """Leave out points in the middle of a straight line."""
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    turns = ((ring - before) != (after - ring)).any(axis=1)
    kept: Ring = ring[turns]
    return kept
