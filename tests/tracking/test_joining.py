"""Joining pieces of tracks: the cheapest of all ways, found among near pairs alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from napari_unet.tracking.frames import FrameObjects
from napari_unet.tracking.joining import Edge, Node, join_pieces
from napari_unet.tracking.linking import link_frames

LIMIT = 9.0
FAR = 1e6


def film(seed: int, frames: int = 5, objects: int = 30) -> list[FrameObjects]:
    """Objects at random: many come, go and lie where a daughter might."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(frames):
        n = int(rng.integers(objects // 2, objects))
        made.append(
            FrameObjects(
                np.arange(1, n + 1),
                rng.uniform(0, 40, (n, 2)),
                rng.uniform(20, 80, n),
            )
        )
    return made


def linked(frames: list[FrameObjects]) -> list[Edge]:
    from scipy.sparse import csr_array

    found = []
    for t, (one, other) in enumerate(itertools.pairwise(frames)):
        none = csr_array((len(one), len(other)))
        found += [((t, i), (t + 1, j)) for i, j in link_frames(one, other, none, 4.0)]
    return found


def gap_cost(frames: list[FrameObjects], end: Node, begin: Node) -> float:
    (t, i), (u, j) = end, begin
    way = np.linalg.norm(frames[t].centroids[i] - frames[u].centroids[j])
    ratio = frames[t].sizes[i] / frames[u].sizes[j]
    return float(way / LIMIT + 1 - min(ratio, 1 / ratio))


def division_cost(
    frames: list[FrameObjects], mother: Node, one: Node, other: Node
) -> float:
    before, after = frames[mother[0]], frames[one[0]]
    here, size = before.centroids[mother[1]], before.sizes[mother[1]]
    both = [one[1], other[1]]
    sizes, places = after.sizes[both], after.centroids[both]
    if np.linalg.norm(places[0] - here) > LIMIT:
        return FAR
    if sizes.max() > 0.9 * size or sizes.sum() < 0.5 * size:
        return FAR
    middle = np.linalg.norm((sizes @ places) / sizes.sum() - here)
    apart = np.linalg.norm(places[0] - places[1])
    return float(2 * middle / apart + 1 - sizes.min() / sizes.max())


def all_ways(
    frames: list[FrameObjects], links: list[Edge], *, divisions: bool, max_gap: int
) -> list[Edge]:
    """The same by a full table of costs."""
    after = dict(links)
    before = {b: a for a, b in links}
    nodes = [(t, i) for t, frame in enumerate(frames) for i in range(len(frame))]
    begins = [n for n in nodes if n not in before]
    rows = [n for n in nodes if n not in after or divisions]
    cost = np.full((len(rows) + len(begins), len(rows) + len(begins)), FAR)
    for a, one in enumerate(rows):
        for b, other in enumerate(begins):
            gap = other[0] - one[0]
            if one not in after and 2 <= gap <= max_gap + 1:
                cost[a, b] = gap_cost(frames, one, other)
            elif one in after and gap == 1:
                cost[a, b] = division_cost(frames, one, other, after[one])
    n, m = len(rows), len(begins)
    cost[np.arange(n), m + np.arange(n)] = 0.5
    cost[n + np.arange(m), np.arange(m)] = 0.5
    cost[n:, m:] = 0
    left, right = linear_sum_assignment(cost)
    pairs = zip(left.tolist(), right.tolist(), strict=True)
    return sorted((rows[a], begins[b]) for a, b in pairs if a < n and b < m)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("divisions", "max_gap"), [(True, 0), (False, 1), (True, 2), (False, 0)]
)
def test_near_pairs_alone_give_the_cheapest_of_all_ways(
    seed: int, divisions: bool, max_gap: int
) -> None:
    frames = film(seed)
    links = linked(frames)
    found = join_pieces(frames, links, LIMIT, divisions=divisions, max_gap=max_gap)
    assert found == all_ways(frames, links, divisions=divisions, max_gap=max_gap)
    assert bool(found) == (divisions or max_gap > 0)


def test_every_beginning_and_every_end_is_joined_once() -> None:
    frames = film(7, frames=8, objects=60)
    links = linked(frames)
    found = join_pieces(frames, links, LIMIT, divisions=True, max_gap=3)
    assert len({a for a, _ in found}) == len({b for _, b in found}) == len(found) > 5
    assert not {b for _, b in found} & {b for _, b in links}


def test_films_without_objects_have_nothing_to_join() -> None:
    none = FrameObjects(np.zeros(0, np.int64), np.zeros((0, 2)), np.zeros(0))
    one = FrameObjects(np.ones(1, np.int64), np.ones((1, 2)), np.ones(1))
    assert join_pieces([none] * 3, [], LIMIT, divisions=True, max_gap=1) == []
    assert join_pieces([one, none], [], LIMIT, divisions=True, max_gap=1) == []
    # An object that is missing once, and comes back where it was.
    back = join_pieces([one, none, one], [], LIMIT, divisions=True, max_gap=1)
    assert back == [((0, 0), (2, 0))]
