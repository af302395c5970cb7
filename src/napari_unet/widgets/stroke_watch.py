"""Tells which part of an annotation layer changed, whatever changed it.

A stroke, a fill and a polygon announce themselves with what they changed. Undo, redo,
new data and other people's code do not: napari then only says that the layer is shown
anew, as it also does when a slider moves. So the layer is compared with what is known
of it: the planes on screen at once, the rest little by little.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.layers import Labels

Box = tuple[tuple[int, int], ...]

GATHER_MS = 150
"""Strokes within this time are told together."""
SLICE_SECONDS = 0.008
"""The viewer's thread compares for so long, then lets go."""
REST_MS = 20
"""How long it lets go."""
PIECE = 2**19
"""Most voxels that are compared in one go."""
AGAIN_MS = 1000
"""Pause before everything is compared once more, as when a slider moves on and on."""
MOST_BOXES = 8
"""More boxes than this are told as one that holds them all."""


class StrokeWatch:
    """Keeps a copy of a Labels layer equal to it, and tells what changed.

    Parameters
    ----------
    layer : Labels
        What a person paints in.
    known : ndarray
        The copy, of the layer's shape, which is written to. Pixels that differ from
        the layer count as changed.
    planes : callable, optional
        Gives the box of the planes on screen, which are compared first.
    """

    began = Signal()
    """After :meth:`begin`: the whole layer is in the copy for the first time."""
    changed = Signal(object)
    """The copy took over the pixels of this box."""
    fits_changed = Signal(bool)
    """Whether the layer has the shape of the copy; if not, nothing is watched."""

    def __init__(
        self,
        layer: Labels,
        known: NDArray[Any],
        planes: Callable[[], Box] | None = None,
    ) -> None:
        self._layer = layer
        self._known = known
        self._planes = planes
        self._fits = True
        self._beginning = False
        self._painted: list[Box] = []
        self._shown = False
        self._first: Iterator[Box] = iter(())
        """Pieces that most likely differ."""
        self._all: Iterator[Box] | None = None
        """Pieces of the whole layer, while it is compared."""
        self._again = False
        self._gather = _timer(GATHER_MS, self._gathered)
        self._rest = _timer(REST_MS, self._compare)
        self._later = _timer(AGAIN_MS, self._compare_all)
        for emitter, listener in self._links():
            emitter.connect(listener)

    def _links(self) -> list[tuple[Any, Any]]:
        events = self._layer.events
        return [
            (events.paint, self._on_paint),
            (events.set_data, self._on_shown),
            (events.data, self._on_shown),
        ]

    def close(self) -> None:
        """Watch no longer."""
        for emitter, listener in self._links():
            emitter.disconnect(listener)
        for timer in (self._gather, self._rest, self._later):
            timer.stop()

    def begin(self) -> None:
        """Take over the whole layer; `began` tells the end of it."""
        self._beginning = True
        self._compare_all()

    # What napari says ------------------------------------------------------------

    def _on_paint(self, event: Any) -> None:
        box = item_box(event.value, self._known.shape)
        if box is None:
            self._on_shown()
        else:
            self._painted.append(box)
            self._gather_soon()

    def _on_shown(self, _: Any = None) -> None:
        self._shown = True
        self._gather_soon()

    def _gather_soon(self) -> None:
        if not self._gather.isActive():
            self._gather.start()

    def _gathered(self) -> None:
        boxes, self._painted = self._painted, []
        if len(boxes) > MOST_BOXES:
            boxes = [union(boxes)]
        if self._shown:
            self._shown = False
            if self._planes is not None and self._check_fit():
                boxes.append(self._planes())
            self._compare_all()
        cut = (pieces(self._known.shape, box) for box in dict.fromkeys(boxes))
        self._first = itertools.chain(self._first, *cut)
        self._compare()

    def _check_fit(self) -> bool:
        fits = tuple(self._layer.data.shape) == self._known.shape
        if fits != self._fits:
            self._fits = fits
            self.fits_changed.emit(fits)
        return fits

    # Comparing -------------------------------------------------------------------

    def _compare_all(self) -> None:
        if self._all is not None:
            self._again = True  # what is being compared is finished first
            return
        self._all = pieces(self._known.shape)
        self._rest.start()

    def _compare(self) -> None:
        """Compare for a moment, and come back if something is left."""
        if not self._check_fit():
            self._first, self._all = iter(()), None
            return
        end = time.perf_counter() + SLICE_SECONDS
        for piece in itertools.chain(self._first, self._all or ()):
            self._take(piece)
            if time.perf_counter() > end:
                self._rest.start()
                return
        if self._all is not None:
            self._all = None
            self._compared_all()

    def _compared_all(self) -> None:
        if self._beginning:
            self._beginning = False
            self.began.emit()
        if self._again:
            self._again = False
            self._later.start()

    def _take(self, box: Box) -> None:
        """Take over what differs inside `box`, and tell the smallest box of it."""
        key = as_slices(box)
        new = np.asarray(self._layer.data[key])
        inner = bounds(new != self._known[key])
        if inner is None:
            return
        part = tuple(
            (start + a, start + b)
            for (start, _), (a, b) in zip(box, inner, strict=True)
        )
        self._known[as_slices(part)] = new[as_slices(inner)]
        if not self._beginning:
            self.changed.emit(part)


def item_box(item: Any, shape: Sequence[int]) -> Box | None:
    """Box of one undoable step of a Labels layer.

    ``None`` where it is not one of the forms that napari gives to such steps: boxes
    with a mask (from 0.7), or indices with old and new values.
    """
    boxes = []
    for atom in item:
        key = getattr(atom, "slice_key", None)
        if key is not None and all(isinstance(part, slice) for part in key):
            spans = [part.indices(n)[:2] for part, n in zip(key, shape, strict=True)]
        elif isinstance(atom, tuple) and len(atom) == 3:
            indices = [np.asarray(part) for part in atom[0]]
            if len(indices) != len(shape) or not all(i.size for i in indices):
                return None
            spans = [(int(i.min()), int(i.max()) + 1) for i in indices]
        else:
            return None
        boxes.append(
            tuple(
                (max(0, start), min(n, stop))
                for (start, stop), n in zip(spans, shape, strict=True)
            )
        )
    return union(boxes) if boxes else None


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of `boxes`."""
    return tuple(
        (min(start for start, _ in spans), max(stop for _, stop in spans))
        for spans in zip(*boxes, strict=True)
    )


def bounds(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds every true pixel; ``None`` if there is none."""
    found = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        where = np.flatnonzero(mask.any(axis=others))
        if not where.size:
            return None
        found.append((int(where[0]), int(where[-1]) + 1))
    return tuple(found)


def pieces(shape: Sequence[int], box: Box | None = None) -> Iterator[Box]:
    """Cut a box (default: everything) into blocks of at most about `PIECE` voxels."""
    box = box or tuple((0, int(n)) for n in shape)
    sizes = [stop - start for start, stop in box]
    steps = []
    inner = math.prod(sizes)
    for size in sizes:
        inner = inner // max(size, 1)
        steps.append(max(1, min(size, PIECE // max(inner, 1))))
    spans = [
        [(a, min(a + step, stop)) for a in range(start, stop, step)]
        for (start, stop), step in zip(box, steps, strict=True)
    ]
    return itertools.product(*spans)


def as_slices(box: Box) -> tuple[slice, ...]:
    """A box as an index."""
    return tuple(slice(*span) for span in box)


def _timer(milliseconds: int, call: Any) -> QTimer:
    timer = QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(call)
    return timer
