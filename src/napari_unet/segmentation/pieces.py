"""What is known beforehand about objects: no holes, one piece, not cut by the border.

Labels are divided into *pieces*: connected voxels of one value, background among them.
Which pieces touch is a small graph, in which holes are filled and fragments dropped
without looking at a voxel again. Pieces of neighbouring blocks are linked through their
faces, so that an image in blocks gives the same as a whole one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import label

from napari_unet.segmentation.settings import DecoderInfo

Sides = tuple[tuple[bool, bool], ...]
"""Something about both ends of each axis (Z) Y X."""

NO_PAIRS = np.zeros((0, 2), np.int32)


@dataclass(frozen=True)
class Pieces:
    """The pieces 1, 2, … P of a block, and which of them touch.

    Parameters
    ----------
    owner : ndarray of int32, P + 1
        The object that each is of; 0 for background. Entry 0 is not used.
    sizes : ndarray of int64, P + 1
        In voxels.
    open : ndarray of bool, P + 1
        Reaches the end of what is segmented, or out of a mask: no hole.
    border : ndarray of bool, P + 1
        Touches the border of the image.
    pairs : ndarray of int32, E × 2
        Pieces that touch along a face of a voxel.
    faces : dict of (int, int) to ndarray of int32
        Pieces in the first (0) and last (1) layer of voxels along each axis.
    """

    owner: NDArray[np.int32]
    sizes: NDArray[np.int64]
    open: NDArray[np.bool_]
    border: NDArray[np.bool_]
    pairs: NDArray[np.int32]
    faces: dict[tuple[int, int], NDArray[np.int32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.owner) - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, for a file."""
        plain = {
            name: getattr(self, name)
            for name in ("owner", "sizes", "open", "border", "pairs")
        }
        faces = {f"face_{axis}_{side}": f for (axis, side), f in self.faces.items()}
        return {f"pieces_{name}": array for name, array in {**plain, **faces}.items()}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, NDArray[Any]]) -> Pieces | None:
        """What :meth:`arrays` gave; None where there is none of it."""
        if "pieces_owner" not in kept:
            return None
        faces = {}
        for name in kept:
            if name.startswith("pieces_face_"):
                axis, side = name.removeprefix("pieces_face_").split("_")
                faces[int(axis), int(side)] = kept[name]
        return cls(
            kept["pieces_owner"],
            kept["pieces_sizes"],
            kept["pieces_open"],
            kept["pieces_border"],
            kept["pieces_pairs"],
            faces,
        )


def number_pieces(labels: NDArray[Any]) -> NDArray[np.int32]:
    """Which piece each voxel is of; the same for the same labels."""
    return cast(
        "NDArray[np.int32]",
        label(labels, background=-1, connectivity=1).astype(np.int32, copy=False),
    )


def find_pieces(
    labels: NDArray[Any],
    numbers: NDArray[np.int32],
    *,
    ends: Sides,
    border: Sides,
    inside: NDArray[np.bool_] | None = None,
) -> Pieces:
    """Take note of the pieces of a block.

    Parameters
    ----------
    labels : ndarray of int, (Z) Y X
        0 is background.
    numbers : ndarray of int32, (Z) Y X
        From :func:`number_pieces`.
    ends : Sides
        Whether what is segmented ends there.
    border : Sides
        Whether the image ends there.
    inside : ndarray of bool, (Z) Y X, optional
        Mask outside of which nothing is looked for.
    """
    count = int(numbers.max(initial=0))
    owner = np.zeros(count + 1, np.int32)
    owner[numbers.ravel()] = labels.ravel()
    open_, touches = np.zeros((2, count + 1), bool)
    faces = {}
    for axis in range(labels.ndim):
        for side in (0, 1):
            face = np.take(numbers, -side, axis)
            faces[axis, side] = face
            open_[face] |= ends[axis][side]
            touches[face] |= border[axis][side]
    if inside is not None:
        open_[numbers[~inside]] = True
    return Pieces(
        owner,
        np.bincount(numbers.ravel(), minlength=count + 1).astype(np.int64),
        open_,
        touches,
        _neighbours(numbers, count),
        faces,
    )


def _neighbours(numbers: NDArray[np.int32], count: int) -> NDArray[np.int32]:
    found = []
    for axis in range(numbers.ndim):
        here = (slice(None),) * axis + (slice(None, -1),)
        there = (slice(None),) * axis + (slice(1, None),)
        found.append(_pairs(numbers[here], numbers[there], count + 1))
    both = np.sort(np.concatenate(found), axis=1)
    return np.unique(both, axis=0) if len(both) else both


def _pairs(
    one: NDArray[np.int32], other: NDArray[np.int32], width: int
) -> NDArray[np.int32]:
    """Different numbers at the same places, each pair once."""
    differ = one != other
    codes = np.unique(one[differ].astype(np.int64) * width + other[differ])
    return np.stack([codes // width, codes % width], axis=1).astype(np.int32)


def links(first: Pieces, second: Pieces, axis: int) -> NDArray[np.int32]:
    """Pieces of two blocks that touch; the second block follows along `axis`.

    Returns
    -------
    ndarray of int32, E × 2
    """
    one, other = first.faces[axis, 1], second.faces[axis, 0]
    width = len(second) + 1
    codes = np.unique(one.astype(np.int64).ravel() * width + other.ravel())
    return np.stack([codes // width, codes % width], axis=1).astype(np.int32)


def settle(
    blocks: Sequence[Pieces],
    objects: Sequence[NDArray[np.int32]],
    touching: Iterable[tuple[int, int, NDArray[np.int32]]],
    settings: DecoderInfo,
) -> tuple[list[NDArray[np.int32]], int]:
    """Final labels of all pieces, by what is known about objects.

    Fragments go first, then holes are filled; the border and the sizes are judged by
    what is left.

    Parameters
    ----------
    blocks : sequence of Pieces
    objects : sequence of ndarray of int32
        For each block, which object each of its labels is; 0 is background.
    touching : iterable of (int, int, ndarray)
        Blocks that lie side by side, and what :func:`links` says of them.
    settings : DecoderInfo

    Returns
    -------
    tables : list of ndarray of int32
        For each block, the final label of each of its pieces.
    count : int
        Number of objects, which are 1, 2, … without gaps.
    """
    offset = np.concatenate([[0], np.cumsum([len(b) for b in blocks])]).astype(np.int64)
    edges = np.concatenate(
        [
            NO_PAIRS.astype(np.int64),
            *(b.pairs + start for b, start in zip(blocks, offset, strict=False)),
            *(pairs + offset[[a, b]] for a, b, pairs in touching),
        ]
    )
    value = np.concatenate(
        [[0], *(o[b.owner[1:]] for b, o in zip(blocks, objects, strict=True))]
    ).astype(np.int64)
    sizes = np.concatenate([[0], *(b.sizes[1:] for b in blocks)]).astype(np.int64)
    opened = np.concatenate([[True], *(b.open[1:] for b in blocks)])
    border = np.concatenate([[False], *(b.border[1:] for b in blocks)])
    if settings.one_piece:
        value = _largest_pieces(value, sizes, edges)
    if settings.fill_holes:
        value = _filled(value, opened, edges)
    most = int(value.max(initial=0)) + 1
    together = np.bincount(value, sizes, minlength=most)
    keep = fits(together, settings)
    if settings.clear_border:
        keep[value[border]] = False
    keep[0] = False
    number = np.zeros(most, np.int32)
    number[keep] = np.arange(1, int(keep.sum()) + 1)
    final = number[value]
    tables = [
        np.concatenate([np.zeros(1, np.int32), final[1 + a : 1 + b]])
        for a, b in itertools.pairwise(offset)
    ]
    return tables, int(keep.sum())


def fits(sizes: NDArray[Any], settings: DecoderInfo) -> NDArray[np.bool_]:
    """Which sizes in voxels lie in the range of the settings."""
    keep: NDArray[np.bool_] = sizes >= max(1, settings.min_size)
    if settings.max_size is not None:
        keep &= sizes <= settings.max_size
    return keep


def _groups(value: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.int32]:
    """Which pieces of the same value hang together."""
    same = edges[value[edges[:, 0]] == value[edges[:, 1]]]
    ones = np.ones(len(same), bool)
    graph = coo_array((ones, (same[:, 0], same[:, 1])), shape=(len(value),) * 2)
    return cast("NDArray[np.int32]", connected_components(graph, directed=False)[1])


def _largest_pieces(
    value: NDArray[np.int64], sizes: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Of each object the largest connected part; the rest becomes background."""
    group = _groups(value, edges)
    total = np.bincount(group, sizes)
    owner = np.zeros(len(total), np.int64)
    owner[group] = value
    order = np.lexsort((np.arange(len(total)), -total, owner))
    first = np.r_[True, np.diff(owner[order]) > 0]
    keep = np.zeros(len(total), bool)
    keep[order[first]] = True
    return np.where(keep[group], value, 0)


def _filled(
    value: NDArray[np.int64], opened: NDArray[np.bool_], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Background that one object alone encloses becomes part of it."""
    group = _groups(value, edges)
    count = int(group.max(initial=0)) + 1
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.zeros(count, np.int64)
    for one, other in (edges.T, edges.T[::-1]):
        around = (value[one] == 0) & (value[other] > 0)
        np.minimum.at(low, group[one[around]], value[other[around]])
        np.maximum.at(high, group[one[around]], value[other[around]])
    hole = (low == high) & (high > 0)
    hole[group[opened]] = False
    background = (value == 0) & hole[group]
    return np.where(background, high[group], value)
