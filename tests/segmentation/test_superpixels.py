"""Superpixels follow the image, whatever its type, and cover all of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.segmentation.superpixels import (
    MAX_SIDE,
    outlines,
    superpixels,
    window,
)


def disc(noise: float = 0.05) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """A bright disc with some noise, and where it is."""
    y, x = np.mgrid[:96, :120]
    inside = (y - 48) ** 2 + (x - 55) ** 2 < 30**2
    grain = np.random.default_rng(0).normal(0, noise, inside.shape)
    return inside + grain, inside


def wrong(pieces: NDArray[np.int32], truth: NDArray[np.bool_]) -> float:
    """Share of pixels on the wrong side when whole pieces are painted rightly."""
    n = pieces.max() + 1
    yes = np.bincount(pieces[truth], minlength=n)
    no = np.bincount(pieces[~truth], minlength=n)
    return float(np.minimum(yes, no).sum() / truth.size)


def test_pieces_are_connected_and_cover_the_plane() -> None:
    image, _ = disc()
    pieces = superpixels(image[None], 10)
    numbers = np.unique(pieces)
    assert numbers[0] == 1
    assert numbers[-1] == len(numbers)
    for number in numbers:
        assert ndimage.label(pieces == number)[1] == 1


def test_size_is_the_side_in_pixels() -> None:
    image, _ = disc()
    for size in (6, 12, 24):
        count = int(superpixels(image[None], size).max())
        assert count == pytest.approx(image.size / size**2, rel=0.15)


def test_borders_follow_edges() -> None:
    image, inside = disc()
    y, x = np.indices(inside.shape) // 12
    squares = (y * 10 + x).astype(np.int32)
    assert wrong(superpixels(image[None], 12), inside) < 0.015
    assert wrong(squares, inside) > 0.04


def test_any_channel_can_draw_the_border() -> None:
    image, inside = disc()
    rng = np.random.default_rng(1)
    dim = np.stack([1e4 * rng.random(image.shape) ** 9, 1e-3 * image])
    assert wrong(superpixels(dim, 12), inside) < 0.04
    rgb = np.stack([200 * inside, np.zeros_like(inside), 90 * ~inside])
    assert wrong(superpixels(rgb.astype(np.uint8), 12), inside) < 0.015


@pytest.mark.parametrize("dtype", ["bool", "uint8", ">u2", "int16", "f2", "f4", "f8"])
def test_every_type_of_pixel(dtype: str) -> None:
    _, inside = disc()
    plane = (inside * (1 if dtype == "bool" else 100)).astype(dtype)
    assert wrong(superpixels(plane[None], 12), inside) < 0.015


def test_damaged_and_empty_images_give_pieces_too() -> None:
    image, inside = disc()
    image[:4] = np.nan
    image[-3:, 5] = np.inf
    assert wrong(superpixels(image[None], 12), inside) < 0.02
    assert superpixels(np.zeros((1, 40, 40)), 10).max() == 16
    assert superpixels(np.ones((2, 3, 5), np.uint8), 10).max() == 1


def test_outlines_are_a_pixel_wide() -> None:
    pieces = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]], np.int32)
    assert outlines(pieces).tolist() == [[0, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_small_planes_are_divided_as_a_whole() -> None:
    assert window((500, MAX_SIDE), ((10, 20), (0, 99))) == ((0, 500), (0, MAX_SIDE))


def test_large_planes_are_divided_around_the_view() -> None:
    shape = (10_000, 300)
    first = window(shape, ((5000, 5400), (0, 300)))
    assert first == ((4176, 6224), (0, 300))
    assert window(shape, ((0, 100), (0, 300)))[0] == (0, MAX_SIDE)
    assert window(shape, ((9900, 10_000), (0, 300)))[0] == (10_000 - MAX_SIDE, 10_000)
    # A small move changes nothing; one that leaves the window does.
    assert window(shape, ((5200, 5600), (0, 300)), first) == first
    assert window(shape, ((6100, 6500), (0, 300)), first)[0] == (5276, 7324)
    # Zoomed out, the window stays in the middle of the view.
    assert window(shape, ((0, 10_000), (0, 300)), first) == first
    assert window((10_000, 400), ((5000, 5400), (0, 300)), first)[1] == (0, 400)
