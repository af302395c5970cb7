"""What teaches and what only measures: no training patch touches the held-out part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Task
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import Box

MIN_IMAGES = 5
"""From this many images on, whole images are held out; below, a slab of each."""
MIN_SIDE = {"Z": 2, "Y": 16, "X": 16}
"""Thinnest slab in voxels that is worth measuring on."""
MIN_VOXELS = 25
"""Annotated voxels of a class that both sides need."""


@dataclass(frozen=True)
class Part:
    """A box of one sample of an annotated image."""

    annotation: Annotation
    sample: int
    box: Box


@dataclass(frozen=True)
class Split:
    """Boxes for teaching and for measuring; they never overlap."""

    training: list[Part]
    validation: list[Part]
    note: str | None = None
    """Why nothing could be held out, if so."""


def split_annotations(
    annotations: Sequence[Annotation], task: Task, fraction: float, seed: int
) -> Split:
    """Hold out about `fraction` of the annotation.

    With `MIN_IMAGES` or more annotated images whole images are drawn; with fewer, each
    gives a slab at one end of one axis, chosen so that every class stands on both
    sides.
    """
    if fraction == 0:
        return Split(whole_parts(annotations), [])
    counted = [(a, c) for a in annotations if (c := _profiles(a, task))]
    if len(counted) >= MIN_IMAGES:
        return _whole_images(counted, fraction, seed)
    training: list[Part] = []
    validation: list[Part] = []
    for annotation, profiles in counted:
        cut = _best_cut(annotation, profiles, fraction)
        for sample in annotation.annotated_samples():
            if cut is None:
                whole: Box = tuple((0, n) for n in annotation.source.spatial_shape)
                training.append(Part(annotation, sample, whole))
            else:
                training.append(Part(annotation, sample, cut[0]))
                validation.append(Part(annotation, sample, cut[1]))
    note = None
    if not validation:
        note = (
            "Too few annotations to hold some back for measuring: annotate each class "
            "in more places to see an honest score."
        )
    return Split(training, validation, note)


def whole_parts(annotations: Sequence[Annotation]) -> list[Part]:
    """Every annotated sample of every image, as one box each."""
    return [
        Part(a, s, tuple((0, n) for n in a.source.spatial_shape))
        for a in annotations
        for s in a.annotated_samples()
    ]


Profiles = dict[int, list[NDArray[np.int64]]]
"""Per class, per spatial axis: annotated voxels at each position, over all samples."""


def _profiles(annotation: Annotation, task: Task) -> Profiles:
    source = annotation.source
    counts: Profiles = {}
    for sample in range(source.n_samples):
        labels = annotation.read(sample)
        if task == "objects":
            background = annotation.background_value
            is_object = labels >= 0
            if background is not None:
                is_object &= labels != background
            labels = np.where(is_object, 1, np.where(labels < 0, -1, 0))
        for value in np.unique(labels):
            if value < 0:
                continue
            hit = labels == value
            per_axis = counts.setdefault(
                int(value), [np.zeros(n, np.int64) for n in source.spatial_shape]
            )
            for axis, profile in enumerate(per_axis):
                others = tuple(a for a in range(hit.ndim) if a != axis)
                profile += hit.sum(axis=others)
    return counts


def _whole_images(
    counted: list[tuple[Annotation, Profiles]], fraction: float, seed: int
) -> Split:
    order = np.random.default_rng(seed).permutation(len(counted))
    n_held = max(1, round(fraction * len(counted)))
    left = {v: sum(v in p for _, p in counted) for _, p in counted for v in p}
    held: set[int] = set()
    for position in order:
        profiles = counted[position][1]
        # The last image that shows a class has to teach it.
        if len(held) < n_held and all(left[v] > 1 for v in profiles):
            held.add(int(position))
            for v in profiles:
                left[v] -= 1
    training = whole_parts([a for i, (a, _) in enumerate(counted) if i not in held])
    validation = whole_parts([a for i, (a, _) in enumerate(counted) if i in held])
    return Split(training, validation)


def _best_cut(
    annotation: Annotation, profiles: Profiles, fraction: float
) -> tuple[Box, Box] | None:
    """Boxes (training, validation) of the best slab at one end of one axis."""
    source = annotation.source
    whole = tuple((0, n) for n in source.spatial_shape)
    best: tuple[float, Box, Box] | None = None
    for axis, (letter, n) in enumerate(
        zip(source.spatial, source.spatial_shape, strict=True)
    ):
        below = {v: np.cumsum(p[axis]) for v, p in profiles.items()}
        total = sum(int(c[-1]) for c in below.values())
        for at in range(MIN_SIDE[letter], n - MIN_SIDE[letter] + 1):
            first = {v: int(c[at - 1]) for v, c in below.items()}
            share = sum(first.values()) / total
            for held_share, held_first in ((share, True), (1 - share, False)):
                if not 0.5 * fraction <= held_share <= 0.5:
                    continue
                sides = ((first[v], int(c[-1]) - first[v]) for v, c in below.items())
                if min(min(s) for s in sides) < MIN_VOXELS:
                    continue
                # A short cut across the image takes least context from training.
                size = at if held_first else n - at
                cost = abs(held_share - fraction) + 0.1 * size / n
                if best is None or cost < best[0]:
                    low, high = (0, at), (at, n)
                    held, kept = (low, high) if held_first else (high, low)
                    best = (
                        cost,
                        (*whole[:axis], kept, *whole[axis + 1 :]),
                        (*whole[:axis], held, *whole[axis + 1 :]),
                    )
    return None if best is None else best[1:]
