"""Scores as ratios of sums, so that images can be pooled and drawn anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.evaluation.pairs import Frame
from napari_unet.evaluation.places import Places
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.metrics import (
    MatchUnits,
    Overlaps,
    boundary_distances,
    confusion,
    match,
    partition_scores,
    pieces,
    thin_borders,
)

BLOCKS = {2: 8, 3: 4}
"""Blocks along each axis, by dimensions, into which a lone image is cut."""
MOST_OBJECTS = 2000
"""Matched objects of one frame whose Hausdorff distance is measured."""
MOST_SURFACE_VOXELS = 2**27
"""Distances in larger frames would take more memory than many machines have."""

ALL = "all"
"""What a score is about that concerns everything."""
FOREGROUND = "foreground"


@dataclass(frozen=True)
class Key:
    """A score, and what it is about: a class, an IoU, all."""

    name: str
    of: str = ALL


@dataclass(frozen=True)
class Tally:
    """Sums of a score, shape (units, columns): one ratio a column, then their mean."""

    parts: NDArray[np.float64]
    wholes: NDArray[np.float64]
    empty: float = math.nan
    """The ratio where there is nothing to count."""

    def total(self) -> Tally:
        """All units as one."""
        return Tally(
            self.parts.sum(axis=0, keepdims=True),
            self.wholes.sum(axis=0, keepdims=True),
            self.empty,
        )


Tallies = dict[Key, Tally]


def stacked(tallies: Sequence[Tallies]) -> Tallies:
    """Units of several images below each other; what one lacks is 0 there."""
    keys = dict.fromkeys(key for some in tallies for key in some)
    made = {}
    for key in keys:
        known = [some.get(key) for some in tallies]
        first = next(t for t in known if t is not None)
        none = np.zeros((1, first.parts.shape[1]))
        made[key] = Tally(
            np.concatenate([none if t is None else t.parts for t in known]),
            np.concatenate([none if t is None else t.wholes for t in known]),
            first.empty,
        )
    return made


def object_tallies(
    frame: Frame,
    found: Overlaps,
    units: MatchUnits,
    settings: EvaluationSettings,
    spacing: tuple[float, ...],
    *,
    blocks: bool,
) -> Tallies:
    """Scores of task ``objects``: matches by object, pixels by block."""
    right = units.true_positives.astype(float)
    surplus = units.false_positives.astype(float)
    missed = units.false_negatives.astype(float)
    made: Tallies = {}
    for k, threshold in enumerate(settings.thresholds):
        tp, fp, fn = (a[:, k : k + 1] for a in (right, surplus, missed))
        of = f"IoU {threshold:.2f}"
        made[Key("AP", of)] = Tally(tp, tp + fp + fn, 1.0)
        made[Key("F1", of)] = Tally(2 * tp, 2 * tp + fp + fn, 1.0)
        made[Key("precision", of)] = Tally(tp, tp + fp)
        made[Key("recall", of)] = Tally(tp, tp + fn)
        made[Key("panoptic quality", of)] = Tally(
            units.matched_iou[:, k : k + 1], tp + fp / 2 + fn / 2, 1.0
        )
    if len(settings.thresholds) > 1:
        low, high = min(settings.thresholds), max(settings.thresholds)
        made[Key("mean AP", f"IoU {low:.2f} to {high:.2f}")] = Tally(
            right, right + surplus + missed, 1.0
        )
    made.update(_partition(frame.truth, frame.prediction, spacing))
    # Background 0, objects 1, unannotated pixels -1.
    inside, found_inside = np.sign(frame.truth), np.sign(frame.prediction)
    matrices = confusions(inside, found_inside, (0, 1), blocks=blocks)
    made.update(_of_class(matrices, 1, FOREGROUND))
    made[Key("pixel error", FOREGROUND)] = _pixel_error(matrices)
    if frame.truth.size <= MOST_SURFACE_VOXELS:
        tolerance = settings.tolerance or 2 * min(spacing)
        distances = boundary_distances(
            frame.truth, frame.prediction, spacing, frame.truth >= 0
        )
        made[Key("boundary F-score", ALL)] = _one(distances.f_score(tolerance))
        each = _object_distances(frame, found, settings, spacing)
        made[Key("Hausdorff 95", "matched objects")] = _one(
            float(np.mean(each)) if each else math.nan
        )
    return made


def class_tallies(
    frame: Frame,
    matrices: NDArray[np.int64],
    values: Sequence[int],
    settings: EvaluationSettings,
    spacing: tuple[float, ...],
) -> Tallies:
    """Scores of task ``classes``, from confusion matrices of all units."""
    background = 0 if settings.background else None
    made: Tallies = {}
    parts = []
    for row, value in enumerate(values):
        some = _of_class(matrices, row, str(value))
        made.update(some)
        if value != background:
            parts.append(some)
    for name in ("Dice", "IoU") if parts else ():
        kept = [
            next(t for key, t in some.items() if key.name == name) for some in parts
        ]
        made[Key(f"mean {name}")] = Tally(
            np.concatenate([t.parts for t in kept], axis=1),
            np.concatenate([t.wholes for t in kept], axis=1),
        )
    made[Key("pixel error")] = _pixel_error(matrices)
    if frame.truth.size <= MOST_SURFACE_VOXELS:
        made.update(_class_distances(frame, values, settings, spacing))
    if settings.pieces:
        inside = [_foreground(a, background) for a in (frame.truth, frame.prediction)]
        truth = np.where(frame.truth < 0, -1, pieces(inside[0]))
        made.update(_partition(truth, pieces(inside[1]), spacing))
    return made


def confusions(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    values: Sequence[int],
    *,
    blocks: bool,
) -> NDArray[np.int64]:
    """Confusion matrices by block, or of all pixels, shape (units, K, K + 1)."""
    cuts = list(_blocks(truth.shape)) if blocks else [()]
    return np.stack([confusion(truth[c], prediction[c], values) for c in cuts])


def _foreground(labels: NDArray[Any], background: int | None) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = labels > 0 if background == 0 else labels >= 0
    return found


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Cut a plane or volume into boxes of about equal size."""
    edges = [
        np.unique(np.linspace(0, n, min(n, BLOCKS[len(shape)]) + 1).astype(int))
        for n in shape
    ]
    counts = [len(e) - 1 for e in edges]
    for index in np.ndindex(*counts):
        yield tuple(
            slice(int(e[i]), int(e[i + 1])) for e, i in zip(edges, index, strict=True)
        )


def _of_class(matrices: NDArray[np.int64], row: int, of: str) -> Tallies:
    """Pixel scores of one class from confusion matrices, shape (units, K, K + 1)."""
    hits = matrices[:, row, row].astype(float)[:, None]
    true = matrices[:, row, :].sum(axis=1).astype(float)[:, None]
    made = matrices[:, :, row].sum(axis=1).astype(float)[:, None]
    return {
        Key("Dice", of): Tally(2 * hits, true + made),
        Key("IoU", of): Tally(hits, true + made - hits),
        Key("precision", of): Tally(hits, made),
        Key("recall", of): Tally(hits, true),
    }


def _pixel_error(matrices: NDArray[np.int64]) -> Tally:
    total = matrices.sum(axis=(1, 2)).astype(float)
    right = np.trace(matrices[:, :, :-1], axis1=1, axis2=2).astype(float)
    return Tally((total - right)[:, None], total[:, None])


def _one(score: float) -> Tally:
    """A score of a whole frame, which is averaged over frames."""
    there = not math.isnan(score)
    return Tally(np.array([[score if there else 0.0]]), np.array([[float(there)]]))


def _partition(
    truth: NDArray[Any], prediction: NDArray[Any], spacing: tuple[float, ...]
) -> Tallies:
    plain = partition_scores(truth, prediction)
    thin = partition_scores(truth, thin_borders(prediction, truth, spacing))
    return {
        Key("V_Rand"): _one(plain.rand),
        Key("V_Rand", "split"): _one(plain.rand_split),
        Key("V_Rand", "merge"): _one(plain.rand_merge),
        Key("V_Rand", "borders thinned"): _one(thin.rand),
        Key("V_Info"): _one(plain.info),
        Key("V_Info", "split"): _one(plain.info_split),
        Key("V_Info", "merge"): _one(plain.info_merge),
        Key("V_Info", "borders thinned"): _one(thin.info),
        Key("variation of information", "split, bits"): _one(plain.voi_split),
        Key("variation of information", "merge, bits"): _one(plain.voi_merge),
    }


def _class_distances(
    frame: Frame,
    values: Sequence[int],
    settings: EvaluationSettings,
    spacing: tuple[float, ...],
) -> Tallies:
    tolerance = settings.tolerance or 2 * min(spacing)
    annotated = frame.truth >= 0
    made: Tallies = {}
    for value in values:
        if settings.background and value == 0:
            continue
        found = boundary_distances(
            frame.truth == value, frame.prediction == value, spacing, annotated
        )
        made[Key("Hausdorff 95", str(value))] = _one(found.hausdorff())
        made[Key("boundary F-score", str(value))] = _one(found.f_score(tolerance))
    return made


def _object_distances(
    frame: Frame,
    found: Overlaps,
    settings: EvaluationSettings,
    spacing: tuple[float, ...],
) -> list[float]:
    """Hausdorff distance of matched objects, of a random choice where many."""
    partner = match(found.iou, settings.error_iou)
    columns = np.flatnonzero(partner >= 0)
    if len(columns) > MOST_OBJECTS:
        rng = np.random.default_rng(settings.seed)
        columns = rng.choice(columns, MOST_OBJECTS, replace=False)
    truths, made = Places(frame.truth), Places(frame.prediction)
    annotated = frame.truth >= 0
    distances = []
    for column in columns.tolist():
        ours, theirs = int(found.ids[column]), int(found.true_ids[partner[column]])
        box = tuple(
            # A pixel more, so that annotation that ends outside is seen.
            slice(max(min(a.start, b.start) - 1, 0), max(a.stop, b.stop) + 1)
            for a, b in zip(truths.box(theirs), made.box(ours), strict=True)
        )
        measured = boundary_distances(
            frame.truth[box] == theirs,
            frame.prediction[box] == ours,
            spacing,
            annotated[box],
        ).hausdorff()
        if not math.isnan(measured):
            distances.append(measured)
    return distances
