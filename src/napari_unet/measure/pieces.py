"""What is known of objects from one block, and putting blocks together.

An object that lies in several blocks comes in pieces. Number of voxels, mean place and
covariance of a piece are enough to know those of the whole (Chan, Golub and LeVeque
1983), and the corners of its hull are among those of its pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import Box
from napari_unet.measure.hull import corners, hull_voxels, line_ends

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """N pieces of objects, d spatial axes (Z) Y X, C channels; lengths in voxels."""

    ids: Ints
    voxels: Ints
    start: Ints
    """N × d; of the bounding box, in the frame."""
    stop: Ints
    center: Floats
    """N × d; index in the frame."""
    covariance: Floats
    """N × d × d."""
    mean: Floats
    """N × C, as are `low` and `high`."""
    low: Floats
    high: Floats
    solidity: Floats
    """NaN until blocks are put together."""
    votes: Ints
    """M × 3: row of the piece, class value, voxels."""
    hulls: dict[int, Ints] = field(default_factory=dict)
    """By object: voxels among which the corners of its hull are."""


def measure_block(
    labels: NDArray[Any],
    box: Box,
    frame: Sequence[int],
    pixels: NDArray[Any] | None = None,
    classes: NDArray[Any] | None = None,
    *,
    solidity: bool = True,
) -> Pieces | None:
    """Measure what a block holds of each object; ``None`` if it holds none.

    Parameters
    ----------
    labels : array of int, (Z) Y X
        Values above 0 are objects.
    box : Box
        Where the block lies in the frame.
    frame : sequence of int
        Shape (Z) Y X of the frame.
    pixels : array, C (Z) Y X, optional
    classes : array of int, (Z) Y X, optional
    solidity : bool
        Whether hulls are wanted.
    """
    from skimage.measure import regionprops_table

    ids, local = compact(labels)
    if not ids.size:
        return None
    names = ["area", "bbox", "centroid", "inertia_tensor", "slice"]
    values = None
    if pixels is not None:
        names += ["intensity_mean", "intensity_min", "intensity_max"]
        values = np.moveaxis(pixels, 0, -1)
        if values.dtype.kind in "bf":
            values = values.astype(np.float64)
    found = regionprops_table(local, values, properties=names)
    d, n_channels = local.ndim, 0 if pixels is None else len(pixels)
    offset = np.array([a for a, _ in box])
    bounds = _columns(found, "bbox", 2 * d).astype(np.int64)
    start, stop = bounds[:, :d] + offset, bounds[:, d:] + offset
    tensor = _columns(found, "inertia_tensor", d, d)
    done, hulls = np.full(len(ids), np.nan), {}
    alone = tuple(b - a for a, b in box) == tuple(frame)
    for row, where in enumerate(found["slice"] if solidity else ()):
        points = line_ends(local[where] == row + 1) + start[row]
        if alone:
            done[row] = found["area"][row] / hull_voxels(points)
        else:
            # Objects may go on in other blocks, also where they touch no edge.
            hulls[int(ids[row])] = corners(points)
    return Pieces(
        ids=ids,
        voxels=np.asarray(found["area"], np.int64),
        start=start,
        stop=stop,
        center=_columns(found, "centroid", d) + offset,
        covariance=_covariance(tensor),
        mean=_columns(found, "intensity_mean", n_channels),
        low=_columns(found, "intensity_min", n_channels),
        high=_columns(found, "intensity_max", n_channels),
        solidity=done,
        votes=_votes(local, classes),
        hulls=hulls,
    )


def compact(labels: NDArray[Any]) -> tuple[Ints, NDArray[np.int32]]:
    """Objects of a block, and the block with 1, 2, … in their place.

    Values below 1 become 0. Tables by the largest value, which several libraries
    make, would not fit into memory where numbers are large.
    """
    highest = int(labels.max(initial=0))
    if labels.dtype.kind != "u":
        labels = np.maximum(labels, 0)
    if highest <= max(labels.size, 2**16):
        present = np.bincount(labels.ravel().astype(np.int64), minlength=1) > 0
        present[0] = False
        number = np.cumsum(present, dtype=np.int32)
        number[~present] = 0
        return np.flatnonzero(present).astype(np.int64), number[labels.astype(np.int64)]
    values, inverse = np.unique(labels, return_inverse=True)
    local = inverse.reshape(labels.shape).astype(np.int32)
    if values[0] == 0:
        return values[1:].astype(np.int64), local
    return values.astype(np.int64), local + 1


def _columns(found: dict[str, NDArray[Any]], name: str, *shape: int) -> Floats:
    """Columns ``name-0``, ``name-1``, … as one array N × shape."""
    n = len(found["area"])
    made = np.empty((n, *shape))
    for index in np.ndindex(*shape):
        made[(slice(None), *index)] = found["-".join([name, *map(str, index)])]
    return made


def _covariance(tensor: Floats) -> Floats:
    """Covariance of voxel indices from inertia tensors, N × d × d."""
    d = tensor.shape[-1]
    trace = np.trace(tensor, axis1=1, axis2=2) / (d - 1)
    covariance: Floats = trace[:, np.newaxis, np.newaxis] * np.eye(d) - tensor
    return covariance


def _votes(local: NDArray[np.int32], classes: NDArray[Any] | None) -> Ints:
    """How many voxels of each class each piece has; see `Pieces.votes`."""
    if classes is None:
        return np.empty((0, 3), np.int64)
    inside = local > 0
    values, index = np.unique(classes[inside], return_inverse=True)
    pairs = (local[inside].astype(np.int64) - 1) * len(values) + index.ravel()
    kinds, counts = np.unique(pairs, return_counts=True)
    row, column = np.divmod(kinds, len(values))
    return np.column_stack([row, values[column].astype(np.int64), counts])


def merge(blocks: Sequence[Pieces]) -> Pieces:
    """Whole objects, by ascending id, from the pieces of all blocks of a frame."""
    if len(blocks) == 1 and not blocks[0].hulls:
        return blocks[0]
    rows = np.cumsum([0, *(len(b.ids) for b in blocks)])
    ids, group = np.unique(np.concatenate([b.ids for b in blocks]), return_inverse=True)
    n, group = len(ids), group.ravel()
    weight = _joined(blocks, "voxels").astype(np.float64)
    voxels = _summed(weight, group, n)

    def averaged(values: Floats) -> Floats:
        shaped = weight.reshape(-1, *[1] * (values.ndim - 1))
        total = voxels.reshape(-1, *[1] * (values.ndim - 1))
        return _summed(values * shaped, group, n) / total

    center = averaged(_joined(blocks, "center"))
    away = _joined(blocks, "center") - center[group]
    spread = away[:, :, np.newaxis] * away[:, np.newaxis, :]
    votes = np.concatenate(
        [
            np.add(block.votes, (row, 0, 0))
            for block, row in zip(blocks, rows[:-1], strict=True)
        ]
    )
    votes[:, 0] = group[votes[:, 0]]
    return Pieces(
        ids=ids,
        voxels=voxels.astype(np.int64),
        start=_extreme(np.minimum, _joined(blocks, "start"), group, n),
        stop=_extreme(np.maximum, _joined(blocks, "stop"), group, n),
        center=center,
        covariance=averaged(_joined(blocks, "covariance") + spread),
        mean=averaged(_joined(blocks, "mean")),
        low=_extreme(np.minimum, _joined(blocks, "low"), group, n),
        high=_extreme(np.maximum, _joined(blocks, "high"), group, n),
        solidity=_solidity(blocks, ids, voxels),
        votes=votes,
    )


def _solidity(blocks: Sequence[Pieces], ids: Ints, voxels: Floats) -> Floats:
    """Solidity of objects whose hulls come in pieces; NaN without hulls."""
    points: dict[int, list[Ints]] = {}
    for block in blocks:
        for number, part in block.hulls.items():
            points.setdefault(number, []).append(part)
    solidity = np.full(len(ids), np.nan)
    for number, parts in points.items():
        row = int(np.searchsorted(ids, number))
        solidity[row] = voxels[row] / hull_voxels(np.concatenate(parts))
    return solidity


def majority(pieces: Pieces) -> Ints:
    """Most frequent class value of each object; the lower one of equals."""
    if not len(pieces.votes):
        return np.zeros(len(pieces.ids), np.int64)
    keys, index = np.unique(pieces.votes[:, :2], axis=0, return_inverse=True)
    counts = _summed(pieces.votes[:, 2].astype(np.float64), index.ravel(), len(keys))
    best = np.lexsort((-keys[:, 1], counts, keys[:, 0]))
    found = np.zeros(len(pieces.ids), np.int64)
    found[keys[best, 0]] = keys[best, 1]  # the last one of each row stays
    return found


def _joined(blocks: Sequence[Pieces], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(block, name) for block in blocks])


def _summed(values: NDArray[Any], group: Ints, n: int) -> Floats:
    total = np.zeros((n, *values.shape[1:]))
    np.add.at(total, group, values)
    return total


def _extreme(
    choose: np.ufunc, values: NDArray[Any], group: Ints, n: int
) -> NDArray[Any]:
    order = np.argsort(group, kind="stable")
    first = np.searchsorted(group[order], np.arange(n))
    made: NDArray[Any] = choose.reduceat(values[order], first, axis=0)
    return made
