from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.errors import ConfigError
from napari_unet.prediction.tiling import TileGrid, mirror


@settings(deadline=None, max_examples=60)
@given(data=st.data(), ndim=st.sampled_from([2, 3]))
def test_inner_parts_cover_every_voxel_once(data: st.DataObject, ndim: int) -> None:
    def numbers(low: int, high: int) -> list[int]:
        return [data.draw(st.integers(low, high)) for _ in range(ndim)]

    shape, tile, halo = numbers(1, 40), numbers(1, 50), numbers(0, 9)
    divisor = [2 ** data.draw(st.integers(0, 3)) for _ in range(ndim)]
    box = tuple(
        sorted((data.draw(st.integers(0, n - 1)), data.draw(st.integers(1, n))))
        for n in shape
    )
    box = tuple((a, max(b, a + 1)) for a, b in box)
    times = np.zeros(shape, int)
    region = np.zeros([b - a for a, b in box], int)
    for t in TileGrid(shape, tile, halo, divisor, box):
        times[tuple(slice(*i) for i in t.inner)] += 1
        region[t.target] += 1
        assert all(s % d == 0 for s, d in zip(t.start, divisor, strict=True))
        assert all(s % d == 0 for s, d in zip(t.outer_size, divisor, strict=True))
        for half in t.halves():
            assert all(a < b for a, b in half.inner)
    assert (region == 1).all()
    assert times.sum() == region.size


def test_identity_network_gives_the_image_back() -> None:
    image = np.random.default_rng(0).random((1, 19, 37)).astype(np.float32)
    out = np.zeros_like(image)
    for t in TileGrid((19, 37), (8, 16), (5, 3), (4, 4)):
        key = tuple(slice(*b) for b in t.read_box)
        outer = t.take(image[(slice(None), *key)])
        assert outer.shape[1:] == t.outer_size
        out[(slice(None), *t.target)] = outer[(slice(None), *t.crop)]
    np.testing.assert_array_equal(out, image)


@pytest.mark.parametrize("length", [1, 2, 3, 10])
def test_mirror_agrees_with_numpy(length: int) -> None:
    line = np.arange(length)
    padded = np.pad(line, 25, mode="reflect") if length > 1 else np.zeros(51, int)
    np.testing.assert_array_equal(mirror(np.arange(-25, length + 25), length), padded)


def test_empty_tiles_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1 voxel"):
        TileGrid((10, 10), (0, 4), (1, 1), (1, 1))
