"""Who is who in the next frame: assignment problems, solved by SciPy and LapTrack.

Two steps, as in Jaqaman et al. 2008 (doi:10.1038/nmeth.1237). Objects of consecutive
frames are assigned to each other, where appearing and disappearing has its price, too.
Then pieces of tracks are joined: across frames in which an object was missed, and to
the object that a new one divided from.

The cost of a link is the squared distance of the centroids, as a share of the longest
one allowed, plus what the overlap (intersection over union) lacks to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import UserError
from napari_unet.tracking.frames import FrameObjects

if TYPE_CHECKING:
    from laptrack import LapTrack
    from scipy.sparse import csr_array

Node = tuple[int, int]
"""Frame, and place of the object among those of the frame."""
Edge = tuple[Node, Node]

DIAMETERS = 1.25
"""Longest distance between two frames, in median diameters of the objects."""

_FAR = 1e9
_PRICE = 1.01
"""Of appearing, and of disappearing: together a little more than the worst link, which
costs 2: at the longest distance, without any overlap."""
_WORST_DIVISION = 1.0
_DAUGHTER = 0.9
"""A daughter is at most this large, as a share of her mother."""
_DAUGHTERS = 0.5
"""Both daughters together are at least this large: the rest of a dying cell is not."""


class MissingPackageError(UserError):
    """A package that only some of the functions need is not installed."""


def check_installed() -> None:
    """Say what is missing, without importing it.

    Raises
    ------
    MissingPackageError
        If LapTrack is not installed.
    """
    if find_spec("laptrack") is None:
        raise MissingPackageError(
            "Following objects over time needs the package laptrack: run "
            'pip install "napari-unet-live[tracking]" and start this program again.'
        )


def lap_track(**options: Any) -> LapTrack:
    """Make a LapTrack solver; imported late, for it brings pandas and scikit-learn."""
    check_installed()
    from laptrack import LapTrack

    return LapTrack(**options)


def link_frames(
    before: FrameObjects,
    after: FrameObjects,
    overlaps: csr_array,
    max_distance: float,
) -> list[tuple[int, int]]:
    """Pairs of places of the same object in two frames.

    Only pairs that are near enough are looked at, so that tens of thousands of objects
    take seconds.

    Parameters
    ----------
    before, after : FrameObjects
        N and M objects.
    overlaps : csr_array of float, N × M
        Intersection over union.
    max_distance : float
        Between centroids, in the unit of the voxel size.
    """
    from scipy.spatial import KDTree  # not before somebody tracks

    if not len(before) or not len(after):
        return []
    near = KDTree(before.centroids).sparse_distance_matrix(
        KDTree(after.centroids), max_distance, output_type="ndarray"
    )
    if not len(near):
        return []
    i, j = near["i"], near["j"]
    share = near["v"] / max_distance
    cost = share**2 + 1 - np.asarray(overlaps[i, j]).ravel()
    return _assigned(i, j, cost, len(before), len(after))


def _assigned(
    i: NDArray[np.intp],
    j: NDArray[np.intp],
    cost: NDArray[np.float64],
    n: int,
    m: int,
) -> list[tuple[int, int]]:
    """The cheapest links out of some, where leaving one out has its price, too.

    Everybody gets a partner in a problem twice as large: an object of one frame its
    end, an object of the other its start, and the ends and starts that are not needed
    each other (Jaqaman et al. 2008, supplementary figure 1).
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    ends, starts = np.arange(n), np.arange(m)
    rows = np.concatenate([i, ends, n + starts, n + j])
    columns = np.concatenate([j, m + ends, starts, m + i])
    price = np.full(n + m, _PRICE)
    # The solver takes 0 for no link: one more for all of them changes nothing.
    weights = 1 + np.concatenate([cost, price, np.zeros(len(i))])
    problem = csr_array((weights, (rows, columns)), shape=(n + m, n + m))
    left, right = min_weight_full_bipartite_matching(problem)
    linked = (left < n) & (right < m)
    pairs = zip(left[linked].tolist(), right[linked].tolist(), strict=True)
    return sorted(pairs)


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
        What :func:`link_frames` found, over all frames.
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
    if not (divisions or max_gap):
        return []
    family = _Family(frames, links, max_distance)
    solver = lap_track(
        metric="chebyshev",  # all that it may link is given
        cutoff=0,
        gap_closing_metric=family.gap_cost,
        gap_closing_cutoff=1.0 if max_gap else False,
        gap_closing_max_frame_count=max_gap + 1,
        splitting_metric=family.division_cost,
        splitting_cutoff=_WORST_DIVISION if divisions else False,
        segment_start_cost=1.0,
        segment_end_cost=1.0,
        no_splitting_cost=1.0,
        no_merging_cost=1.0,
    )
    rows = [
        np.column_stack([np.full(len(frame), t), np.arange(len(frame))])
        for t, frame in enumerate(frames)
    ]
    tree = solver.predict(rows, connected_edges=list(links))
    known = set(links)
    found = [((int(a), int(i)), (int(b), int(j))) for (a, i), (b, j) in tree.edges()]
    return sorted(edge for edge in found if edge not in known)


class _Family:
    """Costs of what joins pieces of tracks; rows are frame and place."""

    def __init__(
        self, frames: Sequence[FrameObjects], links: Sequence[Edge], limit: float
    ) -> None:
        self._frames = frames
        self._limit = limit
        self._next = dict(links)

    def gap_cost(self, last: NDArray[Any], first: NDArray[Any]) -> float:
        """Cost of an object being missing between two frames."""
        (t, i), (u, j) = _node(last), _node(first)
        if u - t < 2:
            return _FAR  # the first step saw these two, and said no
        before, after = self._frames[t], self._frames[u]
        way = np.linalg.norm(before.centroids[i] - after.centroids[j])
        ratio = float(before.sizes[i]) / float(after.sizes[j])
        return float(way / self._limit) + 1 - min(ratio, 1 / ratio)

    def division_cost(self, daughter: NDArray[Any], mother: NDArray[Any]) -> float:
        """Cost of a new object being the second daughter of one before.

        Daughters are alike, smaller than their mother, and lie on both sides of where
        she was.
        """
        node, parent = _node(daughter), _node(mother)
        other = self._next.get(parent)
        if other is None:
            return _FAR
        before, after = self._frames[parent[0]], self._frames[node[0]]
        both = [node[1], other[1]]
        sizes, places = after.sizes[both], after.centroids[both]
        here = before.centroids[parent[1]]
        if np.linalg.norm(places[0] - here) > self._limit:
            return _FAR
        mother_size = before.sizes[parent[1]]
        if sizes.max() > _DAUGHTER * mother_size:
            return _FAR
        if sizes.sum() < _DAUGHTERS * mother_size:
            return _FAR
        middle = float(np.linalg.norm((sizes @ places) / sizes.sum() - here))
        apart = float(np.linalg.norm(places[0] - places[1]))
        unlike = 1 - float(sizes.min()) / float(sizes.max())
        return 2 * middle / max(apart, 1e-9) + unlike


def _node(row: NDArray[Any]) -> Node:
    return int(row[0]), int(row[1])
