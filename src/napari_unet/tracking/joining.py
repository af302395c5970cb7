"""Pieces of tracks are joined: across missing frames, and daughters with mothers.

The second step of Jaqaman et al. 2008 (doi:10.1038/nmeth.1237). An end of a piece, or
an object that goes on, is assigned to the beginning of another piece where that costs
less than leaving the two alone, which costs 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_unet.tracking.assignment import assigned
from napari_unet.tracking.frames import FrameObjects

Node = tuple[int, int]
"""Frame, and place of the object among those of the frame."""
Edge = tuple[Node, Node]

_ALONE = 0.5
"""Price of an end without a beginning, and of a beginning without an end."""
_DAUGHTER = 0.9
"""A daughter is at most this large, as a share of her mother."""
_DAUGHTERS = 0.5
"""Both daughters together are at least this large: the rest of a dying cell is not."""

_Ints = NDArray[np.intp]
_Floats = NDArray[np.float64]
_Costs = tuple[_Ints, _Ints, _Floats]
"""Numbers of two objects each, and what it costs to join them."""


def join_pieces(
    frames: Sequence[FrameObjects],
    links: Sequence[Edge],
    max_distance: float,
    *,
    divisions: bool,
    max_gap: int,
) -> list[Edge]:
    """Links across missing frames and from mothers to second daughters.

    Parameters
    ----------
    frames : sequence of FrameObjects
    links : sequence of Edge
        What :func:`~.linking.link_frames` found, over all frames.
    max_distance : float
    divisions : bool
        Whether objects may divide.
    max_gap : int
        Frames that an object may be missing.

    Returns
    -------
    list of Edge
        Without `links`.
    """
    if not (divisions or max_gap) or not any(len(frame) for frame in frames):
        return []
    pieces = _Pieces(frames, links)
    found = []
    if max_gap:
        found += list(_gaps(pieces, max_distance, max_gap))
    if divisions:
        # An end is used up by a link, and so is a mother, who is no end: she goes on.
        found += list(_divisions(pieces, max_distance))
    if not found:
        return []
    first, second, cost = (np.concatenate(parts) for parts in zip(*found, strict=True))
    cheap = cost < 2 * _ALONE
    first, second, cost = first[cheap], second[cheap], cost[cheap]
    ones, i = np.unique(first, return_inverse=True)
    others, j = np.unique(second, return_inverse=True)
    pairs = assigned(i, j, cost, len(ones), len(others), _ALONE)
    return sorted((pieces.node(ones[a]), pieces.node(others[b])) for a, b in pairs)


class _Pieces:
    """Objects of all frames, numbered one after the other, and who goes on as whom."""

    def __init__(self, frames: Sequence[FrameObjects], links: Sequence[Edge]) -> None:
        self.frames = frames
        self.starts = np.concatenate([[0], np.cumsum([len(f) for f in frames])])
        total = int(self.starts[-1])
        self.next = np.full(total, -1)
        """Number of the same object in the next frame, or −1."""
        self.has_before = np.zeros(total, bool)
        if links:
            ends = np.array(links, dtype=np.intp)
            first = self.starts[ends[:, 0, 0]] + ends[:, 0, 1]
            second = self.starts[ends[:, 1, 0]] + ends[:, 1, 1]
            self.next[first], self.has_before[second] = second, True

    def node(self, number: int) -> Node:
        """Frame and place of an object."""
        t = int(np.searchsorted(self.starts, number, side="right")) - 1
        return t, int(number - self.starts[t])

    def beginnings(self, t: int) -> _Ints:
        """Places of those of a frame who were not there before."""
        return np.flatnonzero(~self.has_before[self.starts[t] : self.starts[t + 1]])

    def following(self, t: int) -> _Ints:
        """Places in the next frame of those of a frame, or −1."""
        after = self.next[self.starts[t] : self.starts[t + 1]]
        return np.where(after < 0, -1, after - self.starts[t + 1])


def _near(one: _Floats, other: _Floats, limit: float) -> _Costs:
    """Pairs of places that are not further apart, and how far they are."""
    from scipy.spatial import KDTree  # not before somebody tracks

    if not len(one) or not len(other):
        none = np.zeros(0, np.intp)
        return none, none, np.zeros(0)
    found = KDTree(one).sparse_distance_matrix(
        KDTree(other), limit, output_type="ndarray"
    )
    return found["i"], found["j"], found["v"]


def _gaps(pieces: _Pieces, limit: float, max_gap: int) -> Iterator[_Costs]:
    """What it costs that an object was missing between two frames."""
    frames, starts = pieces.frames, pieces.starts
    for t in range(len(frames) - 2):
        ends = np.flatnonzero(pieces.following(t) < 0)
        # The first step saw the next frame, and said no.
        for u in range(t + 2, min(t + 2 + max_gap, len(frames))):
            begins = pieces.beginnings(u)
            before, after = frames[t], frames[u]
            i, j, way = _near(before.centroids[ends], after.centroids[begins], limit)
            one, other = ends[i], begins[j]
            ratio = before.sizes[one] / after.sizes[other]
            cost = way / limit + 1 - np.minimum(ratio, 1 / ratio)
            yield starts[t] + one, starts[u] + other, cost


def _divisions(pieces: _Pieces, limit: float) -> Iterator[_Costs]:
    """What it costs that a new object is the second daughter of one before.

    Daughters are alike, smaller than their mother, and lie on both sides of where she
    was.
    """
    frames, starts = pieces.frames, pieces.starts
    for u in range(1, len(frames)):
        before, after = frames[u - 1], frames[u]
        first_daughter = pieces.following(u - 1)
        mothers = np.flatnonzero(first_daughter >= 0)
        begins = pieces.beginnings(u)
        i, j, _ = _near(before.centroids[mothers], after.centroids[begins], limit)
        mother, daughter = mothers[i], begins[j]
        both = np.stack([daughter, first_daughter[mother]])
        sizes, places = after.sizes[both], after.centroids[both]
        here, size = before.centroids[mother], before.sizes[mother]
        possible = (sizes.max(axis=0) <= _DAUGHTER * size) & (
            sizes.sum(axis=0) >= _DAUGHTERS * size
        )
        middle = (sizes[..., None] * places).sum(axis=0) / sizes.sum(axis=0)[:, None]
        off = np.linalg.norm(middle - here, axis=1)
        apart = np.linalg.norm(places[0] - places[1], axis=1)
        unlike = 1 - sizes.min(axis=0) / sizes.max(axis=0)
        cost = 2 * off / np.maximum(apart, 1e-9) + unlike
        yield (
            starts[u - 1] + mother[possible],
            starts[u] + daughter[possible],
            cost[possible],
        )
