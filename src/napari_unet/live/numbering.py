"""Strokes get numbers: a neighbour's, or a new one, and some of them are held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.data.annotation import UNANNOTATED
from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import Box
from napari_unet.live.sample_strokes import SampleStrokes


class Numbering:
    """Numbers the strokes of all samples; held-out ones are negative.

    A stroke is a connected piece of one class (or one object) that was new when it was
    seen. What is painted on to a stroke belongs to it.

    Parameters
    ----------
    hold_out : float
        Share of the strokes of a class that measure instead of teaching; 0 for none.
    """

    def __init__(self, *, hold_out: float) -> None:
        self.every = round(1 / hold_out) if hold_out > 0 else 0
        """Each of this number of strokes is held out; 0 for none."""
        self._number = 0
        self._kind = [UNANNOTATED]
        """Per number of a stroke: what it is of, see :func:`kinds_of`."""
        self._since: dict[int, int] = {}
        """Per annotation value: strokes since one was held out."""

    def forget_repainted(
        self,
        known: SampleStrokes,
        key: tuple[slice, ...],
        changed: NDArray[np.bool_],
        classes: Sequence[ClassInfo],
    ) -> None:
        """A voxel that is painted otherwise belongs to another stroke than before."""
        stroke, kinds = known.stroke[key], kinds_of(known, key, classes)
        before = np.array(self._kind, np.int64)[np.abs(stroke)]
        changed = changed & (kinds != UNANNOTATED) & (kinds != before)
        stroke[changed] = 0

    def number(
        self,
        known: SampleStrokes,
        box: Box,
        classes: Sequence[ClassInfo],
        teaching: NDArray[np.int64],
    ) -> None:
        """Give voxels of a box that have no stroke one: a neighbour's, or a new one.

        Parameters
        ----------
        known : SampleStrokes
        box : Box
            (Z) Y X.
        classes : sequence of ClassInfo
        teaching : ndarray
            Per class: voxels that teach by now. No larger stroke is held out.
        """
        grown = tuple(
            slice(max(0, a - 1), min(n, b + 1))
            for (a, b), n in zip(box, known.index.shape, strict=True)
        )
        stroke, kinds = known.stroke[grown], kinds_of(known, grown, classes)
        new = (stroke == 0) & (kinds != UNANNOTATED)
        if not new.any():
            return
        wanted = np.unique(kinds[new])
        place = np.searchsorted(wanted, kinds).clip(max=len(wanted) - 1)
        compact = np.where(wanted[place] == kinds, place + 1, 0)
        around = np.ones((3,) * kinds.ndim)
        most = dict(enumerate(teaching.tolist()))
        for number, where in enumerate(ndimage.find_objects(compact), start=1):
            parts, _ = ndimage.label(compact[where] == number, around)
            inside = ndimage.find_objects(parts)
            for part in np.unique(parts[new[where] & (parts > 0)]).tolist():
                inner = inside[part - 1]
                here = parts[inner] == part
                piece = stroke[where][inner]
                fresh = here & (piece == 0)
                value = int(known.index[grown][where][inner][fresh][0])
                kind = int(wanted[number - 1])
                old, size = piece[here & (piece != 0)], int(fresh.sum())
                found = _neighbour(known, old, size)
                if found is None:
                    objects = known.instances is not None
                    group = value if objects else classes[value].value
                    largest = 0 if len(old) else most[value]
                    found = self._next(kind, group, size, largest)
                if found > 0:
                    most[value] += size
                piece[fresh] = found

    def _next(self, kind: int, group: int, size: int, largest: int) -> int:
        """Number of a new stroke; those of a `group` take turns to be held out."""
        self._number += 1
        self._kind.append(kind)
        self._since[group] = self._since.get(group, 0) + 1
        due = 0 < self.every <= self._since[group]
        if due and size <= largest:
            self._since[group] = 0
            return -self._number
        return self._number

    # Keeping -------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Counters, so that a run that goes on holds out what it held out before."""
        since = {str(k): v for k, v in self._since.items()}
        return {"number": self._number, **since}

    def restore(self, counters: dict[str, int]) -> None:
        """Take over what :meth:`counters` told."""
        self._number = counters["number"]
        self._kind = [UNANNOTATED] * (self._number + 1)
        self._since = {int(k): v for k, v in counters.items() if k != "number"}

    def recognise(self, known: SampleStrokes, classes: Sequence[ClassInfo]) -> None:
        """Learn what the held-out strokes of a sample are of."""
        stroke = known.stroke
        kinds = kinds_of(known, (slice(None),) * stroke.ndim, classes)
        for held in np.unique(stroke[stroke < 0]).tolist():
            self._kind[-held] = int(kinds[stroke == held][0])

    def number_teaching(
        self, known: SampleStrokes, classes: Sequence[ClassInfo]
    ) -> None:
        """Number all strokes of a sample without holding any out."""
        every, self.every = self.every, 0
        since = dict(self._since)
        none = np.zeros(max(2, len(classes)), np.int64)
        self.number(known, tuple((0, n) for n in known.index.shape), classes, none)
        self.every, self._since = every, since


def kinds_of(
    known: SampleStrokes, key: tuple[slice, ...], classes: Sequence[ClassInfo]
) -> NDArray[np.int64]:
    """What each voxel is: its annotation value, or the object it belongs to.

    Not its place among the classes, which may become another one. Objects that touch
    are strokes of their own.
    """
    index = known.index[key]
    if known.instances is not None:
        return np.where(index == 1, known.instances[key], index).astype(np.int64)
    # The last one is for index -1.
    values = [c.value for c in classes] + [UNANNOTATED]
    return np.array(values, np.int64)[index]


def _neighbour(known: SampleStrokes, old: NDArray[np.int32], size: int) -> int | None:
    """The stroke that `size` new voxels belong to, of those they touch.

    What is larger than the held-out stroke it touches, as a fill may be, is none of
    its: it is there to teach.
    """
    if not len(old):
        return None
    if (old > 0).any():
        return int(old[old > 0][0])
    held = int(old[0])
    whole = np.count_nonzero((known.stroke == held) & (known.index != UNANNOTATED))
    return held if size <= whole else None
