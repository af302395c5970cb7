"""The strokes of an annotation that grows: what teaches, and what only measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.config import Task
from napari_unet.data.annotation import UNANNOTATED, Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import Box
from napari_unet.data.targets import centre_distance, class_index
from napari_unet.live.numbering import Numbering
from napari_unet.live.sample_strokes import SampleStrokes

KEEP_APART = 3
"""Voxels around a held-out stroke that do not teach its class either."""
MIN_HELD_OUT = 3
"""Held-out strokes from which on a score means something."""
MAX_POINTS = 20_000
"""Annotated voxels per class and sample that are kept as places to sample around."""


class StrokeBook:
    """Keeps up with an annotation while it is painted.

    A stroke is a connected piece of one class (or one object) that was new when it was
    seen. A share of the strokes of a class is held out for good: they measure, and
    never teach. What is painted on to a stroke belongs to it.

    Parameters
    ----------
    annotation : Annotation
        Sparse; its array may change, and :meth:`update` is told where.
    task : {"classes", "objects"}
    classes : sequence of ClassInfo
    hold_out : float
        That share, 0 for none: with 0.2 it is every fifth stroke.
    """

    def __init__(
        self,
        annotation: Annotation,
        task: Task,
        classes: Sequence[ClassInfo],
        *,
        hold_out: float = 0.2,
    ) -> None:
        self.annotation = annotation
        self.task = task
        self.classes = list(classes)
        self.samples: dict[int, SampleStrokes] = {}
        self.limit: Box | None = None
        """Only what lies in this box (Z) Y X teaches and measures."""
        self.numbering = Numbering(hold_out=hold_out)

    # Reading -------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        """Classes that strokes can have."""
        return 2 if self.task == "objects" else len(self.classes)

    def counts(self) -> NDArray[np.int64]:
        """Teaching voxels of each class that are kept as points: see `MAX_POINTS`."""
        total = np.zeros(self.n_outputs, np.int64)
        for sample in self.samples.values():
            total += [len(p) for p in sample.points]
        return total

    def voxels(self) -> NDArray[np.int64]:
        """All teaching voxels of each class."""
        total = np.zeros(self.n_outputs, np.int64)
        for sample in self.samples.values():
            total += sample.voxels
        return total

    def stroke_counts(self) -> NDArray[np.int64]:
        """Strokes of each class, held-out ones included."""
        total = np.zeros(self.n_outputs, np.int64)
        for sample in self.samples.values():
            total += sample.strokes
        return total

    @property
    def can_teach(self) -> bool:
        """Whether there are at least two classes to tell apart."""
        return bool((self.counts() > 0).sum() >= 2)

    def held_out(self) -> list[tuple[int, NDArray[np.int64], int]]:
        """Held-out strokes: sample, voxels ``(n, (Z) Y X)``, and class.

        The classes take turns, the newest stroke of each is at the end: the last few
        are of every class, whichever was painted last.
        """
        found = [
            (number, sample, voxels, value)
            for sample, strokes in self.samples.items()
            for number, voxels, value in strokes.held
        ]
        found.sort(key=lambda f: -f[0])
        seen: dict[int, int] = {}
        turns = []
        for number, sample, voxels, value in found:
            seen[value] = seen.get(value, 0) + 1
            turns.append((-seen[value], number, (sample, voxels, value)))
        return [stroke for *_, stroke in sorted(turns, key=lambda t: t[:2])]

    # Changing ------------------------------------------------------------------------

    def set_limit(self, limit: Box | None) -> None:
        """Learn only inside a box of every sample."""
        self.limit = limit
        for sample in self.samples.values():
            self._collect(sample)

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Other classes: everything is read again; held-out strokes stay so."""
        self.classes = list(classes)
        for known in self.samples.values():
            # Sized for the classes that are now, whether a voxel changes or not.
            self._collect(known)
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
            known = self._add_sample(
                sample,
                np.full(shape, UNANNOTATED, np.int16),
                None if instances is None else np.zeros(shape, np.int32),
                np.zeros(shape, np.int32),
            )
        key = tuple(slice(*b) for b in box)
        changed = known.index[key] != index
        touched: NDArray[np.int32] | None = None
        if known.instances is not None and instances is not None:
            changed |= known.instances[key] != instances
            touched = np.union1d(known.instances[key][changed], instances[changed])
            known.instances[key] = instances
        if not changed.any():
            return False
        known.index[key] = index
        self.numbering.forget_repainted(known, key, changed, self.classes)
        self.numbering.number(known, box, self.classes, self.voxels())
        if touched is not None:
            self._measure_objects(known, touched)
        self._collect(known)
        return True

    def _add_sample(
        self,
        number: int,
        index: NDArray[np.int16],
        instances: NDArray[np.int32] | None,
        stroke: NDArray[np.int32],
    ) -> SampleStrokes:
        none = np.zeros(self.n_outputs, np.int64)
        points = [np.zeros((0, index.ndim), np.int64)] * self.n_outputs
        known = SampleStrokes(
            index, instances, stroke, points=points, voxels=none, strokes=none
        )
        self.samples[number] = known
        return known

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

    def _measure_objects(
        self, known: SampleStrokes, touched: NDArray[np.int32]
    ) -> None:
        """Centre distance and size again, where objects changed."""
        if known.instances is None:
            return
        if known.distance is None:
            known.distance = np.zeros(known.index.shape, np.float32)
        known.distance[known.instances == 0] = 0.0
        mine = np.isin(known.instances, touched[touched > 0])
        around = ndimage.find_objects(mine.astype(np.int8))
        if around:
            # One voxel more, where there is one, holds the edge.
            key = tuple(
                slice(max(0, b.start - 1), min(n, b.stop + 1))
                for b, n in zip(around[0], mine.shape, strict=True)
            )
            part = np.where(mine[key], known.instances[key], 0)
            spacing = self.annotation.source.voxel_size
            distance = centre_distance(part, spacing)
            known.distance[key] = np.where(mine[key], distance, known.distance[key])
        painted = known.instances[known.instances > 0]
        sizes = np.unique(painted, return_counts=True)[1]
        known.smallest = int(sizes.min()) if len(sizes) else None

    def _collect(self, known: SampleStrokes) -> None:
        """What teaches and what measures, from `index`, `stroke` and the limit."""
        limited = known.index
        if self.limit is not None:
            key = tuple(slice(*b) for b in self.limit)
            limited = np.full_like(known.index, UNANNOTATED)
            limited[key] = known.index[key]
        known.teaching = limited.copy()
        known.held = []
        shape = known.index.shape
        flat = np.flatnonzero(limited.ravel() != UNANNOTATED)
        value, stroke = limited.ravel()[flat], known.stroke.ravel()[flat]
        known.strokes = self._strokes_per_class(value, stroke)
        for number in np.unique(stroke[stroke < 0])[::-1].tolist():
            mine = stroke == number
            voxels = np.stack(np.unravel_index(flat[mine], shape), axis=1)
            known.held.append((-number, voxels, int(value[mine][0])))
            _keep_apart(known.teaching, voxels, int(value[mine][0]))
        teaching = known.teaching.ravel()[flat]
        chooser = np.random.default_rng(0)
        known.points, counts = [], []
        for position in range(self.n_outputs):
            own = flat[teaching == position]
            counts.append(len(own))
            if len(own) > MAX_POINTS:
                own = np.sort(chooser.choice(own, MAX_POINTS, replace=False))
            known.points.append(np.stack(np.unravel_index(own, shape), axis=1))
        known.voxels = np.array(counts, np.int64)

    def _strokes_per_class(
        self, value: NDArray[np.int16], stroke: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        numbers, first = np.unique(np.abs(stroke), return_index=True)
        of = value[first[numbers > 0]]
        return np.bincount(of, minlength=self.n_outputs)[: self.n_outputs]

    # Keeping -------------------------------------------------------------------------

    def counters(self) -> dict[str, int]:
        """Counters, so that a run that goes on holds out what it held out before."""
        return self.numbering.counters()

    def restore(
        self, counters: dict[str, int], strokes: dict[int, NDArray[np.int32]]
    ) -> None:
        """Take over what an earlier run held out, then read the annotation.

        Parameters
        ----------
        counters : dict
            From :meth:`counters`.
        strokes : dict of int to ndarray
            Per sample (Z) Y X: numbers of held-out strokes, 0 elsewhere. Other strokes
            taught the earlier run: they go on teaching.
        """
        self.samples.clear()
        self.numbering.restore(counters)
        for number in range(self.annotation.source.n_samples):
            self._restore_sample(number, strokes.get(number))

    def _restore_sample(self, number: int, stroke: NDArray[np.int32] | None) -> None:
        index, instances = self._interpret(self.annotation.read(number))
        if (index == UNANNOTATED).all():
            return
        stroke = np.zeros(index.shape, np.int32) if stroke is None else stroke.copy()
        stroke[index == UNANNOTATED] = 0
        known = self._add_sample(number, index, instances, stroke)
        self.numbering.recognise(known, self.classes)
        self.numbering.number_teaching(known, self.classes)
        if instances is not None:
            self._measure_objects(known, np.unique(instances))
        self._collect(known)


def _keep_apart(
    teaching: NDArray[np.int16], voxels: NDArray[np.int64], value: int
) -> None:
    """Take a held-out stroke, and its class close to it, out of what teaches."""
    key = tuple(
        slice(max(0, int(low) - KEEP_APART), int(high) + KEEP_APART + 1)
        for low, high in zip(voxels.min(axis=0), voxels.max(axis=0), strict=True)
    )
    part = teaching[key]
    held = np.zeros(part.shape, bool)
    held[tuple((voxels - [k.start for k in key]).T)] = True
    near = ndimage.binary_dilation(held, iterations=KEEP_APART)
    part[near & (part == value)] = UNANNOTATED
