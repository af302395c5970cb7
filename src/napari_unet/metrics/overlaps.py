"""Which true objects overlap which predicted ones, and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix

LARGEST_DIRECT_LABEL = 10_000_000
"""Above it, ids are renumbered first so that tables stay small."""


@dataclass(frozen=True)
class Overlaps:
    """Areas, in annotated pixels, of all objects of a pair and of what they share.

    Objects stand in ascending order of their ids; those without annotated pixels are
    left out.
    """

    true_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
    """Labels of the predicted objects."""
    true_area: NDArray[np.int64]
    area: NDArray[np.int64]
    shared: csr_matrix
    """Pixels in both, shape (true objects, predicted objects)."""
    ignorable: NDArray[np.bool_]
    """Predicted objects of which more than half lies on unannotated pixels."""

    @property
    def iou(self) -> csr_matrix:
        """Intersection over union, shape (true objects, predicted objects)."""
        table = self.shared.tocoo()
        union = self.true_area[table.row] + self.area[table.col] - table.data
        return csr_matrix((table.data / union, (table.row, table.col)), table.shape)


def overlaps(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    mask: NDArray[np.bool_] | None = None,
) -> Overlaps:
    """Compare two label images of one shape.

    Parameters
    ----------
    truth, prediction : array of int
        0 is background, every other value an object. Truth below 0 is not annotated.
    mask : array of bool, optional
        Annotated pixels; all by default.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    annotated = truth >= 0
    if mask is not None:
        annotated &= mask
    predicted, names = small_ids(prediction.ravel())
    whole = np.bincount(predicted)
    if not annotated.all():
        predicted = predicted[annotated.ravel()]
        truth = truth[annotated]
    true, true_names = small_ids(truth.ravel())
    true_area = np.bincount(true, minlength=1)
    area = np.bincount(predicted, minlength=len(whole) or 1)
    both = (true > 0) & (predicted > 0)
    rows, columns = true[both], predicted[both]
    shared = coo_matrix(
        (np.ones(len(rows), np.int64), (rows, columns)),
        shape=(len(true_area), len(area)),
    ).tocsr()
    true_rows = np.flatnonzero(true_area[1:]) + 1
    found = np.flatnonzero(area[1:]) + 1
    return Overlaps(
        true_ids=true_rows if true_names is None else true_names[true_rows],
        ids=found if names is None else names[found],
        true_area=true_area[true_rows],
        area=area[found],
        shared=shared[true_rows][:, found],
        ignorable=2 * area[found] < whole[found],
    )


def small_ids(
    labels: NDArray[Any],
) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
    """Labels with ids small enough to index a table; what is below 0 becomes 0.

    Returns
    -------
    labels : array of int32
    names : array of int64, optional
        The label that each id had, or None if nothing was renumbered.
    """
    labels = labels.astype(np.uint8) if labels.dtype == bool else labels
    if labels.size and labels.dtype.kind == "i" and labels.min() < 0:
        labels = np.maximum(labels, 0)
    if not labels.size or int(labels.max()) <= LARGEST_DIRECT_LABEL:
        return labels.astype(np.int32, copy=False), None
    values, inverse = np.unique(labels, return_inverse=True)
    offset = 0 if values[0] == 0 else 1
    names = np.concatenate([np.zeros(offset, np.int64), values.astype(np.int64)])
    return (inverse + offset).astype(np.int32), names
