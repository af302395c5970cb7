"""Superpixels from a network's map."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.segmentation.superpixels import map_superpixels


def membranes(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probability of boundaries between random cells, and the cells."""
    rng = np.random.default_rng(0)
    places = rng.random((12, len(shape))) * shape
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    away = np.linalg.norm(grid[..., np.newaxis, :] - places, axis=-1)
    near = np.sort(away, axis=-1)
    probability = np.exp(-((near[..., 1] - near[..., 0]) ** 2) / 8)
    return probability.astype(np.float32), away.argmin(axis=-1)


@pytest.mark.parametrize("shape", [(70, 63), (24, 41, 37)])
def test_pieces_do_not_cross_the_boundaries(shape: tuple[int, ...]) -> None:
    probability, cells = membranes(shape)
    pieces = map_superpixels(probability, 9)
    pairs = np.stack([pieces.ravel(), cells.ravel()])
    kinds, counts = np.unique(pairs, axis=1, return_counts=True)
    largest = ndimage.maximum(counts, kinds[0], np.unique(pieces))
    # A regular grid reaches 0.73 in 3D.
    assert largest.sum() / pieces.size > 0.93
    for number in np.unique(pieces)[::7]:
        assert ndimage.label(pieces == number)[1] == 1


def test_size_sets_how_many_there_are() -> None:
    flat = np.zeros((64, 96), np.float32)
    assert map_superpixels(flat, 16).max() == 4 * 6
    assert map_superpixels(flat, 8).max() == 8 * 12


def test_planes_that_are_far_apart_are_fewer_in_a_piece() -> None:
    flat = np.zeros((8, 32, 32), np.float32)
    assert map_superpixels(flat, 8, voxel_size=(4, 1, 1)).max() == 4 * 4 * 4


def test_foreground_ends_where_pieces_end() -> None:
    y, x = np.ogrid[:60, :60]
    inside = (y - 30) ** 2 + (x - 30) ** 2 < 300
    soft = ndimage.gaussian_filter(inside.astype(np.float32), 1.5)
    pieces = map_superpixels(soft, 10, of="foreground")
    share = ndimage.mean(inside, pieces, np.unique(pieces))
    sizes = np.bincount(pieces.ravel())[1:]
    wrong = (np.minimum(share, 1 - share) * sizes).sum()
    assert wrong / inside.sum() < 0.1


def test_any_range_and_missing_values() -> None:
    probability, _ = membranes((40, 40))
    pieces = map_superpixels(probability, 9)
    as_bytes = map_superpixels(np.rint(probability * 255).astype(np.uint8), 9)
    assert (pieces == as_bytes).mean() > 0.95
    probability[:10] = np.nan
    assert map_superpixels(probability, 9).min() == 1
