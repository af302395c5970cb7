"""Objects that were found block by block, put together.

Neighbouring blocks look at a common margin. Two labels are one object when, among the
voxels that both blocks looked at, each is the other's best overlap: touching along a
face is no reason, for so do neighbouring cells. An object that a block sees entirely
belongs to the block that holds its anchor, its first voxel; another block that sees it,
too, never makes an object of the piece that it writes. Sizes are judged when objects
are whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_unet.segmentation.pieces import (
    NO_PAIRS,
    Pieces,
    fits,
    links,
    number_pieces,
    settle,
)
from napari_unet.segmentation.settings import DecoderInfo

LEAST_OVERLAP = 0.5
"""Of the smaller one of two labels, as far as both blocks looked at it."""


@dataclass(frozen=True)
class Found:
    """What has to be known of the objects 1, 2, … of a block.

    Parameters
    ----------
    sizes : ndarray of int64, N + 1
        Voxels in the inner part of the block; that of background comes first.
    guest : ndarray of bool, N + 1
        Seen entirely, and anchored in another block.
    pieces : Pieces, optional
        Of the inner part, where settings need them.
    """

    sizes: NDArray[np.int64]
    guest: NDArray[np.bool_]
    pieces: Pieces | None = None

    @property
    def count(self) -> int:
        return len(self.sizes) - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As named arrays, for a file."""
        pieces = {} if self.pieces is None else self.pieces.arrays()
        return {"sizes": self.sizes, "guest": self.guest, **pieces}

    @classmethod
    def from_arrays(cls, kept: Mapping[str, NDArray[Any]]) -> Found:
        """What :meth:`arrays` gave, perhaps among other arrays."""
        return cls(kept["sizes"], kept["guest"], Pieces.from_arrays(kept))


def look(
    labels: NDArray[np.int32],
    inner: tuple[slice, ...],
    open_sides: tuple[tuple[bool, bool], ...],
) -> Found:
    """Take note of the objects of a block.

    Parameters
    ----------
    labels : ndarray of int32, (Z) Y X
        Objects 1, 2, … of the outer part.
    inner : tuple of slice
        The inner part.
    open_sides : tuple of (bool, bool)
        Per axis: whether the image goes on before and after the outer part.
    """
    count = int(labels.max(initial=0))
    sizes = np.bincount(labels[inner].ravel(), minlength=count + 1)
    flat = labels.ravel()
    # The first voxel of each label: written last when going backwards.
    anchor = np.full(count + 1, -1, np.int64)
    where = np.flatnonzero(flat)[::-1]
    anchor[flat[where]] = where
    guest = anchor >= 0
    inside = np.ones(count + 1, bool)
    for position, part in zip(
        np.unravel_index(np.maximum(anchor, 0), labels.shape), inner, strict=True
    ):
        inside &= (position >= part.start) & (position < part.stop)
    guest &= ~inside
    for axis, (before, after) in enumerate(open_sides):
        for goes_on, side in ((before, 0), (after, -1)):
            if goes_on:
                guest[labels.take(side, axis)] = False
    guest[0] = False
    return Found(sizes.astype(np.int64), guest)


@dataclass(frozen=True)
class Matches:
    """Labels of two blocks that overlap where both looked.

    Parameters
    ----------
    same : ndarray of int32, N 2
        Labels of the first and of the second block that are one object.
    best_of_first, best_of_second : ndarray of int32, N 2
        Each label, and the one of the other block that covers most of it.
    """

    same: NDArray[np.int32]
    best_of_first: NDArray[np.int32]
    best_of_second: NDArray[np.int32]
    links: NDArray[np.int32] = field(default_factory=lambda: NO_PAIRS)
    """Pieces that touch, where the blocks know their pieces."""

    def linked(self, first: Found, second: Found, axis: int) -> Matches:
        """With the pieces of two blocks, the second behind the first along `axis`."""
        if first.pieces is None or second.pieces is None:
            return self
        return replace(self, links=links(first.pieces, second.pieces, axis))


def match(first: NDArray[np.int32], second: NDArray[np.int32]) -> Matches:
    """Compare labels of the same voxels, as two blocks saw them."""
    both = (first > 0) & (second > 0)
    width = int(second.max(initial=0)) + 1
    codes = first[both].astype(np.int64) * width + second[both]
    pairs, voxels = np.unique(codes, return_counts=True)
    a, b = pairs // width, pairs % width
    size_a, size_b = np.bincount(first.ravel()), np.bincount(second.ravel())
    best_a, best_b = _best(a, voxels), _best(b, voxels)
    enough = voxels >= LEAST_OVERLAP * np.minimum(size_a[a], size_b[b])
    labels = np.stack([a, b], axis=1).astype(np.int32)
    return Matches(
        labels[best_a & best_b & enough], labels[best_a], labels[best_b][:, ::-1]
    )


def _best(label: NDArray[np.int64], voxels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which entries have most voxels among those of the same label; the first wins."""
    best = np.zeros(len(label), bool)
    if len(label):
        order = np.lexsort((np.arange(len(label)), -voxels, label))
        first = np.r_[True, np.diff(label[order]) > 0]
        best[order[first]] = True
    return best


@dataclass(frozen=True)
class FinalLabels:
    """Turns the labels of a block into those of the whole image.

    Parameters
    ----------
    table : ndarray of int32
        Final label of each label, or of each piece; 0 is background.
    of_pieces : bool
        Of which of the two.
    """

    table: NDArray[np.int32]
    of_pieces: bool = False

    def __call__(self, labels: NDArray[np.int32]) -> NDArray[np.int32]:
        """Final labels for the inner part of the block, (Z) Y X."""
        if self.of_pieces:
            labels = number_pieces(labels)
        final: NDArray[np.int32] = self.table[labels]
        return final


@dataclass(frozen=True)
class Stitched:
    """Final labels of all objects.

    Parameters
    ----------
    tables : list of FinalLabels
        For each block.
    count : int
        Number of objects.
    """

    tables: list[FinalLabels]
    count: int


def stitch(
    blocks: list[Found],
    matches: Mapping[tuple[int, int], Matches],
    settings: DecoderInfo | None = None,
) -> Stitched:
    """Number objects 1, 2, … without gaps over all blocks of a sample.

    Parameters
    ----------
    blocks : list of Found
    matches : mapping of (int, int) to Matches
        Of each two neighbouring blocks, by their places in `blocks`.
    settings : DecoderInfo, optional
        What objects must be like; any by default.
    """
    settings = settings or DecoderInfo(min_size=0)
    offset = np.concatenate([[0], np.cumsum([found.count for found in blocks])])
    total = int(offset[-1])
    if total > np.iinfo(np.int32).max:
        raise OverflowError("more objects than labels of 32 bits can tell apart")
    guest = np.concatenate([np.zeros(1, bool), *(f.guest[1:] for f in blocks)])
    sizes = np.concatenate([np.zeros(1, np.int64), *(f.sizes[1:] for f in blocks)])
    edges = [found.same + offset[[a, b]] for (a, b), found in matches.items()]
    group = _groups(total + 1, edges)
    # Guests whom nobody knows follow those who hold their place, or go.
    alone = ~_any_in(group, ~guest)[group]
    for (a, b), found in matches.items():
        for best, places in (
            (found.best_of_first, [a, b]),
            (found.best_of_second, [b, a]),
        ):
            pairs = best + offset[places]
            edges.append(pairs[alone[pairs[:, 0]]])
    group = _groups(total + 1, edges)
    keep = _any_in(group, ~guest)
    if not settings.needs_pieces:
        keep &= fits(np.bincount(group, sizes), settings)
    keep[group[0]] = False
    number = np.zeros(len(keep), np.int32)
    number[keep] = np.arange(1, int(keep.sum()) + 1)
    final = number[group]
    tables = [
        np.concatenate([np.zeros(1, np.int32), final[1 + a : 1 + b]])
        for a, b in itertools.pairwise(offset)
    ]
    if not settings.needs_pieces:
        return Stitched([FinalLabels(table) for table in tables], int(keep.sum()))
    touching = [(a, b, found.links) for (a, b), found in matches.items()]
    # After a stop, blocks may be missing: nothing is in them.
    pieces = [found.pieces or _nothing() for found in blocks]
    tables, count = settle(pieces, tables, touching, settings)
    return Stitched([FinalLabels(t, of_pieces=True) for t in tables], count)


def _nothing() -> Pieces:
    zero = np.zeros(1, np.int32)
    none = np.zeros(1, bool)
    return Pieces(zero, zero.astype(np.int64), none, none, NO_PAIRS)


def _groups(count: int, edges: Sequence[NDArray[np.integer[Any]]]) -> NDArray[np.int32]:
    """The number of the set that each of `count` numbers is in, by linked pairs."""
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *edges])
    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    return cast("NDArray[np.int32]", group)


def _any_in(group: NDArray[np.int32], member: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each set, whether any of its members is marked."""
    found = np.zeros(int(group.max()) + 1, bool)
    found[group[member]] = True
    return found
