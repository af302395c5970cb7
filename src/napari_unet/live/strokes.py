"""The strokes of an annotation that grows: what teaches, and what only measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.config import Task
from napari_unet.data.annotation import UNANNOTATED, Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import Box
from napari_unet.data.targets import centre_distance, class_index

HOLD_OUT_EVERY = 5
"""Of the strokes of a class, each of this number measures instead of teaching."""
KEEP_APART = 3
"""Voxels around a held-out stroke that do not teach its class either."""
MIN_HELD_OUT = 3
"""Held-out strokes from which on a score means something."""
MAX_POINTS = 20_000
"""Annotated voxels per class and sample that are kept as places to sample around."""


@dataclass
class SampleStrokes:
    """What is annotated in one sample; arrays are (Z) Y X."""

    index: NDArray[np.int16]
    """Position of the class in the network's output (task ``objects``: 0 background,
    1 object); -1 not annotated."""
    instances: NDArray[np.int32] | None
    """Ids of objects, 0 elsewhere; task ``objects`` alone."""
    stroke: NDArray[np.int32]
    """Number of the stroke that a voxel belongs to, 0 without; negative: held out."""
    distance: NDArray[np.float32] | None = None
    teaching: NDArray[np.int16] | None = None
    """`index` without what is held out, made when it is needed."""
    points: list[NDArray[np.int64]] = field(default_factory=list)
    """Per class: voxels that teach, ``(n, (Z) Y X)``."""


class StrokeBook:
    """Keeps up with an annotation while it is painted.

    A stroke is a connected piece of one class (or one object) that was new when it was
    seen. Every fifth stroke of a class is held out for good: it measures, and never
    teaches. What is painted on to a stroke belongs to it.

    Parameters
    ----------
    annotation : Annotation
        Sparse; its array may change, and :meth:`update` is told where.
    task : {"classes", "objects"}
    classes : sequence of ClassInfo
    hold_out : bool
        Whether anything is held out at all.
    """

    def __init__(
        self,
        annotation: Annotation,
        task: Task,
        classes: Sequence[ClassInfo],
        *,
        hold_out: bool = True,
    ) -> None:
        self.annotation = annotation
        self.task = task
        self.classes = list(classes)
        self.samples: dict[int, SampleStrokes] = {}
        self.limit: Box | None = None
        """Only what lies in this box (Z) Y X teaches and measures."""
        self._hold_out = hold_out
        self._number = 0
        self._count: dict[int, int] = {}

    # Reading -------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """Classes that strokes can have."""
        return 2 if self.task == "objects" else len(self.classes)

    def counts(self) -> NDArray[np.int64]:
        """Teaching voxels of each class."""
        total = np.zeros(self.n_outputs, np.int64)
        for sample in self.samples.values():
            total += [len(p) for p in sample.points]
        return total

    def stroke_counts(self) -> NDArray[np.int64]:
        """Strokes of each class, held-out ones included."""
        total = np.zeros(self.n_outputs, np.int64)
        for sample in self.samples.values():
            for value in range(self.n_outputs):
                found = np.unique(sample.stroke[sample.index == value])
                total[value] += np.count_nonzero(found)
        return total

    @property
    def can_teach(self) -> bool:
        """Whether there are at least two classes to tell apart."""
        return bool((self.counts() > 0).sum() >= 2)

    def held_out(self) -> list[tuple[int, NDArray[np.int64], int]]:
        """Held-out strokes: sample, voxels ``(n, (Z) Y X)``, and class."""
        found = []
        for number, sample in self.samples.items():
            for stroke in np.unique(sample.stroke[sample.stroke < 0]).tolist():
                here = (sample.stroke == stroke) & (sample.index >= 0)
                voxels = np.argwhere(here & self._inside(here.shape))
                if len(voxels):
                    found.append((number, voxels, int(sample.index[tuple(voxels[0])])))
        return found

    def _inside(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        inside = np.ones(shape, bool)
        if self.limit is not None:
            inside[:] = False
            inside[tuple(slice(*b) for b in self.limit)] = True
        return inside

    # Changing ------------------------------------------------------------------------

    def set_limit(self, limit: Box | None) -> None:
        """Learn only inside a box of every sample."""
        self.limit = limit
        for sample in self.samples.values():
            self._collect(sample)

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Other classes: everything is read again; held-out strokes stay so."""
        self.classes = list(classes)
        for number in list(self.samples):
            self.update(number)

    def update(self, sample: int, box: Box | None = None) -> bool:
        """Read a box of one sample again; whether anything there is different.

        Parameters
        ----------
        sample : int
            Position along S.
        box : Box, optional
            (Z) Y X; the whole sample by default.
        """
        shape = self.annotation.source.spatial_shape
        box = box or tuple((0, n) for n in shape)
        labels = self.annotation.read(sample, box)
        index, instances = self._interpret(labels)
        known = self.samples.get(sample)
        if known is None:
            if (index == UNANNOTATED).all():
                return False
            known = SampleStrokes(
                index=np.full(shape, UNANNOTATED, np.int16),
                instances=None if instances is None else np.zeros(shape, np.int32),
                stroke=np.zeros(shape, np.int32),
            )
            self.samples[sample] = known
        key = tuple(slice(*b) for b in box)
        changed = known.index[key] != index
        if known.instances is not None and instances is not None:
            changed |= known.instances[key] != instances
            known.instances[key] = instances
        if not changed.any():
            return False
        known.index[key] = index
        # A repainted voxel belongs to another stroke than before.
        known.stroke[key][changed] = 0
        self._number_strokes(known, box)
        if (known.index == UNANNOTATED).all():
            del self.samples[sample]
            return True
        if known.instances is not None:
            spacing = self.annotation.source.voxel_size
            known.distance = centre_distance(known.instances, spacing)
        self._collect(known)
        return True

    def _interpret(
        self, labels: NDArray[np.int32]
    ) -> tuple[NDArray[np.int16], NDArray[np.int32] | None]:
        if self.task == "classes":
            return class_index(labels, self.classes), None
        index = np.full(labels.shape, 1, np.int16)
        index[labels == UNANNOTATED] = UNANNOTATED
        if self.annotation.background_value is not None:
            index[labels == self.annotation.background_value] = 0
        return index, np.where(index == 1, labels, 0)

    def _number_strokes(self, known: SampleStrokes, box: Box) -> None:
        """Give voxels of a box that have no stroke one: a neighbour's, or a new one."""
        grown = tuple(
            slice(max(0, a - 1), min(n, b + 1))
            for (a, b), n in zip(box, known.index.shape, strict=True)
        )
        index, stroke = known.index[grown], known.stroke[grown]
        kinds = index.astype(np.int64)
        if known.instances is not None:
            # Objects that touch are strokes of their own.
            kinds = np.where(index == 1, known.instances[grown].astype(np.int64), kinds)
        new = (stroke == 0) & (index != UNANNOTATED)
        around = np.ones((3,) * index.ndim)
        for kind in np.unique(kinds[new]):
            parts, n = ndimage.label((kinds == kind) & (index != UNANNOTATED), around)
            for part in range(1, n + 1):
                here = parts == part
                fresh = here & new
                if not fresh.any():
                    continue
                old = stroke[here & (stroke != 0)]
                value = int(index[fresh][0])
                stroke[fresh] = int(old[0]) if len(old) else self._next(value)

    def _next(self, value: int) -> int:
        self._number += 1
        self._count[value] = self._count.get(value, 0) + 1
        held = self._hold_out and self._count[value] % HOLD_OUT_EVERY == 0
        return -self._number if held else self._number

    def _collect(self, known: SampleStrokes) -> None:
        teaching = known.index.copy()
        held = known.stroke < 0
        teaching[held] = UNANNOTATED
        if held.any():
            for value in np.unique(known.index[held]):
                own = ndimage.binary_dilation(
                    held & (known.index == value), iterations=KEEP_APART
                )
                teaching[own & (known.index == value)] = UNANNOTATED
        teaching[~self._inside(teaching.shape)] = UNANNOTATED
        known.teaching = teaching
        chooser = np.random.default_rng(0)
        known.points = []
        for value in range(self.n_outputs):
            flat = np.flatnonzero(teaching == value)
            if len(flat) > MAX_POINTS:
                flat = np.sort(chooser.choice(flat, MAX_POINTS, replace=False))
            known.points.append(
                np.stack(np.unravel_index(flat, teaching.shape), axis=1)
            )

    # Keeping -------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Counters, so that a run that goes on holds out what it held out before."""
        return {"number": self._number, **{str(k): v for k, v in self._count.items()}}

    def restore(
        self, counters: dict[str, int], strokes: dict[int, NDArray[np.int32]]
    ) -> None:
        """Take over what an earlier run held out, then read the annotation."""
        self._number = counters["number"]
        self._count = {int(k): v for k, v in counters.items() if k != "number"}
        for number, stroke in strokes.items():
            labels = self.annotation.read(number)
            index, instances = self._interpret(labels)
            known = SampleStrokes(index, instances, stroke)
            known.stroke[index == UNANNOTATED] = 0
            self.samples[number] = known
            self._number_strokes(known, tuple((0, n) for n in index.shape))
            if instances is not None:
                spacing = self.annotation.source.voxel_size
                known.distance = centre_distance(instances, spacing)
            self._collect(known)
