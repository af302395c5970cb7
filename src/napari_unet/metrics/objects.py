"""Scores of instance segmentations by IoU threshold.

Precision, recall, F1, AP and panoptic quality.

AP ("average precision") is TP / (TP + FP + FN) as in the StarDist papers and the Data
Science Bowl 2018, with counts pooled over all images. Panoptic quality is that of
Kirillov et al. 2019 (arXiv 1801.00868): the sum of the IoU of all matches over
TP + FP / 2 + FN / 2.

Pixels that nobody annotated (outside `mask`, or truth below 0) never count: objects are
compared on the annotated pixels alone, and a predicted object that matches nothing and
lies by more than half on unannotated pixels is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from napari_unet.metrics.overlaps import Overlaps, overlaps

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU 0.5, 0.55, … 0.95."""


@dataclass(frozen=True)
class ObjectCounts:
    """Matched, surplus and missed objects at each threshold; add to pool images.

    Where there is nothing to find and nothing was found, every score is 1; where no
    object matches, every score is 0.
    """

    thresholds: tuple[float, ...]
    true_positives: tuple[int, ...]
    false_positives: tuple[int, ...]
    false_negatives: tuple[int, ...]
    matched_iou: tuple[float, ...]
    """Sum of the IoU of all matches."""

    def __add__(self, other: ObjectCounts) -> ObjectCounts:
        if self.thresholds != other.thresholds:
            raise ValueError("counts at different thresholds cannot be added")
        return ObjectCounts(
            self.thresholds,
            _sums(self.true_positives, other.true_positives),
            _sums(self.false_positives, other.false_positives),
            _sums(self.false_negatives, other.false_negatives),
            tuple(
                a + b for a, b in zip(self.matched_iou, other.matched_iou, strict=True)
            ),
        )

    @property
    def ap(self) -> tuple[float, ...]:
        """TP / (TP + FP + FN) at each threshold."""
        return tuple(_ratio(tp, tp + fp + fn, fp + fn) for tp, fp, fn in self._rows())

    @property
    def precision(self) -> tuple[float, ...]:
        """TP / (TP + FP) at each threshold."""
        return tuple(_ratio(tp, tp + fp, fp + fn) for tp, fp, fn in self._rows())

    @property
    def recall(self) -> tuple[float, ...]:
        """TP / (TP + FN) at each threshold."""
        return tuple(_ratio(tp, tp + fn, fp + fn) for tp, fp, fn in self._rows())

    @property
    def f1(self) -> tuple[float, ...]:
        """2 TP / (2 TP + FP + FN) at each threshold."""
        return tuple(
            _ratio(2 * tp, 2 * tp + fp + fn, fp + fn) for tp, fp, fn in self._rows()
        )

    @property
    def panoptic_quality(self) -> tuple[float, ...]:
        """Sum of the IoU of matches / (TP + FP / 2 + FN / 2) at each threshold.

        The published quality is that at IoU 0.5, where no object has two partners.
        """
        return tuple(
            f1 * iou / tp if tp else f1
            for f1, iou, tp in zip(
                self.f1, self.matched_iou, self.true_positives, strict=True
            )
        )

    def mean_ap(self, low: float = 0.5, high: float = 0.9) -> float:
        """Mean of `ap` over the thresholds from `low` to `high`, both included."""
        chosen = [
            ap
            for threshold, ap in zip(self.thresholds, self.ap, strict=True)
            if low - 1e-6 <= threshold <= high + 1e-6
        ]
        if not chosen:
            raise ValueError(f"no threshold between {low} and {high}")
        return sum(chosen) / len(chosen)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, by threshold such as ``"0.50"``."""
        columns = zip(
            self.thresholds,
            self._rows(),
            self.precision,
            self.recall,
            self.f1,
            self.ap,
            strict=True,
        )
        return {
            f"{threshold:.2f}": {
                "ap": ap,
                "f1": f1,
                "precision": precision,
                "recall": recall,
                "true_positives": tp,
                "false_positives": fp,
                "false_negatives": fn,
            }
            for threshold, (tp, fp, fn), precision, recall, f1, ap in columns
        }

    def _rows(self) -> list[tuple[int, int, int]]:
        return list(
            zip(
                self.true_positives,
                self.false_positives,
                self.false_negatives,
                strict=True,
            )
        )


def match_objects(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    thresholds: Sequence[float] = THRESHOLDS,
    mask: NDArray[np.bool_] | None = None,
) -> ObjectCounts:
    """Match the objects of one image one to one, as many as possible.

    Parameters
    ----------
    truth, prediction : array of int
        Labels of one shape: 0 is background, every other value an object. Truth below
        0 is not annotated.
    thresholds : sequence of float
        Smallest IoU of a match, above 0.
    mask : array of bool, optional
        Annotated pixels; all by default.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    units = match_units(overlaps(truth, prediction, mask), thresholds)
    return units.total(thresholds)


@dataclass(frozen=True)
class MatchUnits:
    """Right and wrong by object, shape (units, thresholds).

    A unit is a true object with the predicted one that overlaps it enough, or a
    predicted object alone: what can be drawn anew when an interval is estimated.
    """

    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]
    false_negatives: NDArray[np.int64]
    matched_iou: NDArray[np.float64]

    def total(self, thresholds: Sequence[float]) -> ObjectCounts:
        """All units together."""
        return ObjectCounts(
            tuple(float(t) for t in thresholds),
            tuple(self.true_positives.sum(axis=0).tolist()),
            tuple(self.false_positives.sum(axis=0).tolist()),
            tuple(self.false_negatives.sum(axis=0).tolist()),
            tuple(self.matched_iou.sum(axis=0).tolist()),
        )


def match_units(found: Overlaps, thresholds: Sequence[float]) -> MatchUnits:
    """Match objects at each threshold, and keep the outcome of each."""
    iou = found.iou
    n_truth, n_found = iou.shape
    shape = (n_truth + n_found, len(thresholds))
    right, surplus, missed = (np.zeros(shape, np.int64) for _ in range(3))
    quality = np.zeros(shape)
    # A predicted object belongs to the unit of its partner at the lowest threshold.
    first = match(iou, min(thresholds, default=0.5))
    unit = np.where(first >= 0, first, n_truth + np.arange(n_found))
    for column, threshold in enumerate(thresholds):
        partner = match(iou, threshold)
        matched = np.flatnonzero(partner >= 0)
        rows = partner[matched]
        right[rows, column] = 1
        missed[:n_truth, column] = 1
        missed[rows, column] = 0
        np.add.at(surplus[:, column], unit[(partner < 0) & ~found.ignorable], 1)
        if len(matched):
            quality[rows, column] = np.asarray(iou[rows, matched]).ravel()
    return MatchUnits(right, surplus, missed, quality)


def match(iou: csr_matrix, threshold: float) -> NDArray[np.intp]:
    """The true object of every predicted one, or -1: one to one, as many as can be."""
    good = iou.copy()
    # A hair of tolerance: 0.55 and 0.7 are not exact in binary.
    good.data = np.where(good.data >= threshold - 1e-9, 1, 0)
    good.eliminate_zeros()
    partner: NDArray[np.intp] = maximum_bipartite_matching(good, perm_type="row")
    return partner


def pool(counts: Iterable[ObjectCounts]) -> ObjectCounts:
    """Counts of several images together; at `THRESHOLDS` and all 0 without any."""
    total: ObjectCounts | None = None
    for one in counts:
        total = one if total is None else total + one
    if total is None:
        none = (0,) * len(THRESHOLDS)
        return ObjectCounts(THRESHOLDS, none, none, none, (0.0,) * len(THRESHOLDS))
    return total


def iou_table(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    mask: NDArray[np.bool_] | None = None,
) -> tuple[csr_matrix, NDArray[np.bool_]]:
    """Intersection over union of every true with every predicted object.

    Returns
    -------
    iou : sparse array of float, shape (true objects, predicted objects)
        In ascending order of their ids; objects without annotated pixels are left out.
    ignorable : array of bool, shape (predicted objects,)
        Whether more than half of the object lies on unannotated pixels.
    """
    found = overlaps(truth, prediction, mask)
    return found.iou, found.ignorable


def _sums(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _ratio(part: int, whole: int, wrong: int) -> float:
    if part == 0:
        return 0.0 if wrong else 1.0
    return part / whole
