"""Images on another grid, and maps on their way back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.prediction.resampling import (
    Resampling,
    needed_box,
    relative_size,
    resample,
)


def info(size: list[float], unit: str = "micrometer") -> Any:
    return SimpleNamespace(name="model", voxel_size=size, unit=unit)


@pytest.mark.parametrize("shape", [(71,), (20,), (35,), (36,), (141,)])
def test_a_piece_is_a_piece_of_the_whole(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(2, 40, 36)).astype(np.float32)
    old, new = (40, 36), (57, *shape)
    box = ((0, new[0]), (0, new[1]))
    whole = resample(pixels, ((0, 40), (0, 36)), old, box, new)
    assert whole.shape == (2, *new)
    for part in (((0, 9), (3, 17)), ((33, 57), (11, 20)), ((20, 21), (0, 1))):
        seen = needed_box(part, old, new)
        piece = pixels[(slice(None), *(slice(*b) for b in seen))]
        np.testing.assert_allclose(
            resample(piece, seen, old, part, new),
            whole[(slice(None), *(slice(*b) for b in part))],
            atol=1e-4,
        )


def test_a_slope_stays_where_it_is() -> None:
    # Height is a physical place: whatever the grid, it is read off at the centre.
    old, new = 30, 75
    pixels = (np.arange(old) + 0.5)[:, None].repeat(4, axis=1) / old
    seen = needed_box(((0, new), (0, 4)), (old, 4), (new, 4))
    found = resample(pixels, seen, (old, 4), ((0, new), (0, 4)), (new, 4))[:, 0]
    wanted = (np.arange(new) + 0.5) / new
    np.testing.assert_allclose(found[3:-3], wanted[3:-3], atol=1e-5)


def test_what_becomes_smaller_is_smoothed_first() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2
    whole = ((0, 64), (0, 64))
    small = resample(checks, whole, (64, 64), ((0, 16), (0, 16)), (16, 16))
    assert np.abs(small - 0.5).max() < 0.05


def test_an_image_on_the_grid_of_a_model() -> None:
    pixels = np.random.default_rng(0).random((2, 3, 40, 30)).astype(np.float32)
    image = ImageSource((pixels,), "TCYX", (0.5, 0.25), "micrometer")
    grid = Resampling.between(info([1000.0, 500.0], "nanometer"), image)
    assert grid is not None
    source = grid.source(image)
    assert source.spatial_shape == (20, 15)
    assert source.voxel_size == pytest.approx((1.0, 0.5))
    assert source.labels_shape == (2, 20, 15)
    whole = source.read(1)
    assert whole.shape == (3, 20, 15)
    np.testing.assert_allclose(
        source.read(1, ((3, 11), (2, 9))), whole[:, 3:11, 2:9], atol=1e-5
    )
    back = grid.back(whole, ((0, 20), (0, 15)), ((0, 40), (0, 30)))
    assert back.shape == (3, 40, 30)


def test_planes_of_a_volume_are_resampled_one_by_one() -> None:
    pixels = np.zeros((4, 20, 20), np.uint16)
    pixels[2] = 100
    image = ImageSource((pixels,), "ZYX", (9.0, 1.0, 1.0), "micrometer", ndim=2)
    grid = Resampling.between(info([0.5, 0.5]), image)
    assert grid is not None
    source = grid.source(image)
    assert source.labels_shape == (4, 40, 40)
    assert (source.read(2) == 100).all()
    assert (source.read(1) == 0).all()


def test_about_equal_and_unknown_sizes() -> None:
    image = ImageSource((np.zeros((9, 9)),), "YX", (1.0, 1.0), "micrometer")
    assert Resampling.between(info([1.01, 0.995]), image) is None
    assert relative_size(info([2.0, 0.5]), image) == (0.5, 2.0)
    assert relative_size(info([1.0, 1.0], "pixel"), image) is None
    with pytest.raises(DataError, match="does not know the size of its pixels"):
        Resampling.between(info([], "pixel"), image)
    unknown = ImageSource((np.zeros((9, 9)),), "YX", name="cells")
    with pytest.raises(DataError, match="'cells' is not known: set the scale"):
        Resampling.between(info([1.0, 1.0]), unknown)
