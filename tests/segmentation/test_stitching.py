"""Objects found block by block equal those of the whole image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.metrics.objects import match_objects
from napari_unet.prediction.blocks import Block, BlockGrid, inside
from napari_unet.segmentation.objects import constrain, decode_objects
from napari_unet.segmentation.pieces import find_pieces, links, number_pieces, settle
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.segmentation.stitching import Found, look, match, stitch

Decoder = Callable[[NDArray[np.float32]], NDArray[np.int32]]


def blobs(shape: tuple[int, ...], seed: int, radius: int) -> NDArray[np.int32]:
    """Balls that touch each other, often, and never overlap."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    for number in range(1, int(np.prod(shape) / (1.3 * radius) ** len(shape))):
        centre = [rng.integers(0, n) for n in shape]
        squared = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        labels[(squared < rng.integers(3, radius + 1) ** 2) & (labels == 0)] = number
    return labels


def maps_of(labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Perfect maps: foreground, and normalised distance inside each object."""
    distance = np.zeros(labels.shape, np.float32)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        own = np.pad(labels[box] == number, 1)
        depth = ndimage.distance_transform_edt(own)
        core = tuple(slice(1, -1) for _ in box)
        distance[box] += ((depth / max(depth.max(), 1)) * own)[core]
    return np.stack([(labels > 0).astype(np.float32), distance])


def open_sides(block: Block, grid: BlockGrid) -> tuple[tuple[bool, bool], ...]:
    return tuple(
        (a > low, b < high)
        for (a, b), (low, high) in zip(block.outer, grid.box, strict=True)
    )


def with_pieces(
    found: Found, labels: NDArray[np.int32], block: Block, grid: BlockGrid
) -> Found:
    ends = tuple(
        (a == low, b == high)
        for (a, b), (low, high) in zip(block.inner, grid.box, strict=True)
    )
    inner = labels[block.crop]
    pieces = find_pieces(inner, number_pieces(inner), ends=ends, border=ends)
    return replace(found, pieces=pieces)


def in_blocks(
    maps: NDArray[np.float32],
    decoder: Decoder,
    size: tuple[int, ...],
    margin: tuple[int, ...],
    settings: DecoderInfo | None = None,
) -> NDArray[np.int32]:
    """Decode block by block and stitch."""
    shape = maps.shape[1:]
    grid = BlockGrid([0], tuple((0, n) for n in shape), size, margin)
    seen = [decoder(maps[(slice(None), *_key(b.outer))]) for b in grid]
    found = [
        with_pieces(look(labels, b.crop, open_sides(b, grid)), labels, b, grid)
        for labels, b in zip(seen, grid, strict=True)
    ]
    matches = {}
    for axis, a, b in grid.pairs(range(len(grid))):
        both = grid.seen_by_both(a, b)
        parts = [seen[i][inside(both, grid[i].outer)] for i in (a, b)]
        matches[a, b] = match(*parts).linked(found[a], found[b], axis)
    stitched = stitch(found, matches, settings)
    out = np.zeros(shape, np.int32)
    for block, labels, table in zip(grid, seen, stitched.tables, strict=True):
        out[_key(block.inner)] = table(labels[block.crop])
    assert set(np.unique(out)) - {0} == set(range(1, stitched.count + 1))
    return out


def _key(box: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    return tuple(slice(*b) for b in box)


def assert_same_partition(a: NDArray[np.int32], b: NDArray[np.int32]) -> None:
    np.testing.assert_array_equal(a > 0, b > 0)
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1] == len(np.unique(pairs[1]))


def local_decoder(maps: NDArray[np.float32]) -> NDArray[np.int32]:
    """Looks no further than one object: cells are apart where distance is 0."""
    labels: NDArray[np.int32] = ndimage.label(maps[1] > 0)[0].astype(np.int32)
    return labels


@pytest.mark.parametrize(
    ("shape", "size", "margin"),
    [((160, 190), (40, 50), (24, 24)), ((40, 60, 64), (20, 32, 32), (14, 14, 14))],
)
@pytest.mark.parametrize("seed", range(3))
def test_blocks_equal_the_whole_where_objects_fit_into_the_margin(
    shape: tuple[int, ...], size: tuple[int, ...], margin: tuple[int, ...], seed: int
) -> None:
    radius = margin[0] // 3
    labels = blobs(shape, seed, radius)
    # One voxel between neighbours, so that each is a component of its own.
    edge = ndimage.grey_dilation(labels, size=3) != ndimage.grey_erosion(labels, size=3)
    labels, _ = ndimage.label(np.where(edge, 0, labels) > 0)
    maps = np.stack([labels > 0, labels > 0]).astype(np.float32)
    whole = local_decoder(maps)
    assert whole.max() > 20
    assert_same_partition(in_blocks(maps, local_decoder, size, margin), whole)


def test_touching_objects_on_the_border_of_blocks_stay_apart() -> None:
    labels = np.zeros((96, 96), np.int32)
    # Eight discs in a row along the border at 48, each touching the next one.
    grid = np.indices(labels.shape)
    for number in range(8):
        centre = (48 + number % 3 - 1, 6 + 11 * number)
        near = (grid[0] - centre[0]) ** 2 + (grid[1] - centre[1]) ** 2 < 36
        labels[near & (labels == 0)] = number + 1
    maps = maps_of(labels)
    settings = DecoderInfo(min_size=0)

    def decoder(part: NDArray[np.float32]) -> NDArray[np.int32]:
        return decode_objects(part[0], part[1], settings)

    whole = decoder(maps)
    assert whole.max() == 8
    # Seams run through the row, and across it between two discs that touch.
    assert_same_partition(in_blocks(maps, decoder, (48, 48), (24, 24)), whole)
    assert_same_partition(in_blocks(maps, decoder, (48, 34), (24, 24)), whole)


def test_crowded_objects_nearly_equal_the_whole() -> None:
    maps = maps_of(blobs((200, 200), 5, 9))
    settings = DecoderInfo(min_size=0)

    def decoder(part: NDArray[np.float32]) -> NDArray[np.int32]:
        return decode_objects(part[0], part[1], settings)

    whole = decoder(maps)
    found = in_blocks(maps, decoder, (64, 64), (32, 32))
    assert match_objects(whole, found, (0.9,)).ap[0] > 0.95


def test_objects_larger_than_the_margin_are_one() -> None:
    labels = np.zeros((90, 90), np.int32)
    labels[3:80, 40:44] = 1
    labels[3:7, 3:80] = 1
    maps = np.stack([labels, labels]).astype(np.float32)
    found = in_blocks(maps, local_decoder, (16, 16), (4, 4))
    assert_same_partition(found, labels)


def test_sizes_are_judged_when_objects_are_whole() -> None:
    labels = np.zeros((32, 32), np.int32)
    labels[14:18, 4:8] = 1  # 8 voxels on either side of the seam
    labels[2:5, 20:25] = 2  # 15 voxels
    maps = np.stack([labels, labels]).astype(np.float32)
    found = in_blocks(maps, local_decoder, (16, 16), (6, 6), DecoderInfo(min_size=16))
    np.testing.assert_array_equal(found, labels == 1)


def test_a_guest_that_its_host_does_not_know_goes() -> None:
    """A piece across the seam is nobody's where the block of its anchor sees none."""
    # Ten rows, a seam at 5; the second block sees an object from row 4 on, the first
    # sees nothing there.
    first = np.zeros((8, 6), np.int32)
    second = np.zeros((8, 6), np.int32)  # rows 2 to 9
    second[2:5, 1:4] = 1
    found = [
        look(first, (slice(0, 5), slice(0, 6)), ((False, True), (False, False))),
        look(second, (slice(3, 8), slice(0, 6)), ((True, False), (False, False))),
    ]
    assert found[1].guest[1]
    matches = {(0, 1): match(first[2:8], second[0:6])}
    assert stitch(found, matches).count == 0
    # It joins what its host has in that place, also where the two are not alike.
    first[3:6, 0:6] = 1
    first[7, 0:6] = 1
    found[0] = look(first, (slice(0, 5), slice(0, 6)), ((False, True), (False, False)))
    stitched = stitch(found, {(0, 1): match(first[2:8], second[0:6])})
    assert stitched.count == 1
    assert stitched.tables[1].table[1] == stitched.tables[0].table[1] == 1


def test_neighbours_that_touch_along_the_seam_are_not_merged() -> None:
    """Both blocks see two cells; the border between them is the seam."""
    view = np.zeros((8, 4), np.int32)
    view[:4], view[4:] = 1, 2
    assert match(view, view).same.tolist() == [[1, 1], [2, 2]]
    # A block that sees a thin rim of the other cell as part of its own one.
    blurred = view.copy()
    blurred[4] = 1
    assert match(blurred, view).same.tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize(
    "wishes",
    [
        {"fill_holes": True},
        {"one_piece": True},
        {"clear_border": True},
        {"fill_holes": True, "one_piece": True, "clear_border": True, "max_size": 900},
    ],
)
@pytest.mark.parametrize("size", [(20, 23), (64, 17)])
def test_what_is_known_of_objects_holds_over_blocks_as_in_the_whole(
    wishes: dict[str, Any], size: tuple[int, ...]
) -> None:
    rng = np.random.default_rng(3)
    labels = blobs((64, 70), 4, 13)
    labels[rng.random(labels.shape) < 0.04] = 0  # holes of a voxel or two
    labels[25:40, 10:55] = labels.max() + 1
    labels[28:37, 14:50] = 0  # one that no block sees entirely
    settings = DecoderInfo(min_size=3, **wishes)
    whole = constrain(labels, settings)
    pieces = []
    grid = BlockGrid([0], ((0, 64), (0, 70)), size, (0, 0))
    for block in grid:
        look_at = labels[_key(block.inner)]
        sizes = np.bincount(look_at.ravel(), minlength=int(labels.max()) + 1)
        found = Found(sizes, np.zeros(len(sizes), bool))
        pieces.append(with_pieces(found, look_at, block, grid))
    objects = np.arange(int(labels.max()) + 1, dtype=np.int32)
    touching = [
        (a, b, links(pieces[a].pieces, pieces[b].pieces, axis))
        for axis, a, b in grid.pairs(range(len(grid)))
    ]
    tables, count = settle(
        [f.pieces for f in pieces], [objects] * len(grid), touching, settings
    )
    out = np.zeros_like(labels)
    for block, table in zip(grid, tables, strict=True):
        key = _key(block.inner)
        out[key] = table[number_pieces(labels[key])]
    assert count == whole.max() > 3
    assert_same_partition(out, whole)
    assert (whole != constrain(labels, DecoderInfo(min_size=3))).any()


def test_a_hole_that_no_block_sees_entirely_is_filled() -> None:
    labels = np.zeros((64, 64), np.int32)
    labels[5:60, 5:60] = 1
    labels[10:55, 10:55] = 0
    maps = np.stack([labels, labels]).astype(np.float32)
    settings = DecoderInfo(min_size=0, fill_holes=True)
    found = in_blocks(maps, local_decoder, (16, 16), (4, 4), settings)
    assert (found[5:60, 5:60] == 1).all()
    assert found.sum() == 55 * 55


def test_the_border_of_a_block_is_no_border() -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[12:20, 12:20] = 1  # over the corner of four blocks
    labels[0:5, 30:36] = 2
    maps = np.stack([labels, labels]).astype(np.float32)
    settings = DecoderInfo(min_size=0, clear_border=True)
    found = in_blocks(maps, local_decoder, (16, 16), (4, 4), settings)
    np.testing.assert_array_equal(found, labels == 1)


def test_what_blocks_know_survives_a_file(tmp_path: Path) -> None:
    labels = np.pad(np.ones((3, 4), np.int32), 1)
    whole = BlockGrid([0], ((0, 5), (0, 6)), (5, 6), (0, 0))
    found = look(labels, whole[0].crop, open_sides(whole[0], whole))
    found = with_pieces(found, labels, whole[0], whole)
    np.savez(tmp_path / "found.npz", **found.arrays())
    with np.load(tmp_path / "found.npz") as kept:
        again = Found.from_arrays(kept)
    for name, array in found.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
