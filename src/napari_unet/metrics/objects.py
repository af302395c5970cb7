"""Scores of instance segmentations: precision, recall, F1 and AP by IoU threshold.

AP ("average precision") is TP / (TP + FP + FN) as in the StarDist papers and the Data
Science Bowl 2018, with counts pooled over all images.

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
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""IoU 0.5, 0.55, … 0.95."""

LARGEST_DIRECT_LABEL = 10_000_000
"""Above it, ids are renumbered first so that tables stay small."""


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

    def __add__(self, other: ObjectCounts) -> ObjectCounts:
        if self.thresholds != other.thresholds:
            raise ValueError("counts at different thresholds cannot be added")
        return ObjectCounts(
            self.thresholds,
            _sums(self.true_positives, other.true_positives),
            _sums(self.false_positives, other.false_positives),
            _sums(self.false_negatives, other.false_negatives),
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
    iou, ignorable = iou_table(truth, prediction, mask)
    n_truth, n_prediction = iou.shape
    matched, surplus, missed = [], [], []
    for threshold in thresholds:
        good = iou.copy()
        # A hair of tolerance: 0.55 and 0.7 are not exact in binary.
        good.data = np.where(good.data >= threshold - 1e-9, 1, 0)
        good.eliminate_zeros()
        partner = maximum_bipartite_matching(good, perm_type="row")
        # partner[p] is the true object of predicted object p, or -1.
        unmatched = partner < 0
        hits = n_prediction - int(unmatched.sum())
        matched.append(hits)
        surplus.append(int((unmatched & ~ignorable).sum()))
        missed.append(n_truth - hits)
    return ObjectCounts(
        tuple(float(t) for t in thresholds),
        tuple(matched),
        tuple(surplus),
        tuple(missed),
    )


def pool(counts: Iterable[ObjectCounts]) -> ObjectCounts:
    """Counts of several images together; at `THRESHOLDS` and all 0 without any."""
    total: ObjectCounts | None = None
    for one in counts:
        total = one if total is None else total + one
    if total is None:
        none = (0,) * len(THRESHOLDS)
        return ObjectCounts(THRESHOLDS, none, none, none)
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
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    annotated = truth >= 0
    if mask is not None:
        annotated &= mask
    predicted = _small_ids(prediction.ravel())
    whole = np.bincount(predicted)
    if not annotated.all():
        predicted = predicted[annotated.ravel()]
        truth = truth[annotated]
    true = _small_ids(truth.ravel())
    true_area = np.bincount(true, minlength=1)
    area = np.bincount(predicted, minlength=len(whole) or 1)
    both = (true > 0) & (predicted > 0)
    rows, columns = true[both], predicted[both]
    overlap = coo_matrix(
        (np.ones(len(rows), np.int32), (rows, columns)),
        shape=(len(true_area), len(area)),
    ).tocsr()
    table = overlap.tocoo()
    union = true_area[table.row] + area[table.col] - table.data
    iou = csr_matrix((table.data / union, (table.row, table.col)), shape=table.shape)
    true_ids = np.flatnonzero(true_area[1:]) + 1
    ids = np.flatnonzero(area[1:]) + 1
    ignorable = 2 * area[ids] < whole[ids]
    return iou[true_ids][:, ids], ignorable


def _small_ids(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels with ids small enough to index a table; what is below 0 becomes 0."""
    labels = labels.astype(np.uint8) if labels.dtype == bool else labels
    if labels.size and labels.dtype.kind == "i" and labels.min() < 0:
        labels = np.maximum(labels, 0)
    if not labels.size or int(labels.max()) <= LARGEST_DIRECT_LABEL:
        return labels.astype(np.int32, copy=False)
    values, inverse = np.unique(labels, return_inverse=True)
    offset = 0 if values[0] == 0 else 1
    small: NDArray[Any] = (inverse + offset).astype(np.int32)
    return small


def _sums(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _ratio(part: int, whole: int, wrong: int) -> float:
    if part == 0:
        return 0.0 if wrong else 1.0
    return part / whole
