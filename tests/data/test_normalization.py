from __future__ import annotations

import numpy as np
import pytest

from napari_unet.data import normalization
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.source import ImageSource


def test_percentiles_per_channel_become_zero_and_one() -> None:
    rng = np.random.default_rng(0)
    image = np.stack([rng.normal(100, 10, (64, 64)), rng.normal(-5, 1, (64, 64))])
    source = ImageSource((image,), "CYX")
    scaled = measure_range(source, NormalizationInfo()).normalize(source.read(0))
    assert scaled.shape == (2, 64, 64)
    for channel in scaled:
        low, high = np.percentile(channel, [1, 99.8])
        assert low == pytest.approx(0, abs=1e-4)
        assert high == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32])
@pytest.mark.parametrize("size", [1, 2, 50, 5000])
def test_whole_numbers_have_the_percentiles_that_numpy_tells(
    dtype: type, size: int
) -> None:
    limits = np.iinfo(dtype)
    low, high = max(-3000, limits.min), min(3000, limits.max)
    image = np.random.default_rng(size).integers(low, high, (1, size), dtype, True)
    found = measure_range(ImageSource((image,), "YX"), NormalizationInfo())
    wanted = np.percentile(image.astype(float), [1, 99.8])
    if size == 1:
        wanted[1] = wanted[0] + 1  # flat
    np.testing.assert_allclose([found.low[0], found.high[0]], wanted, rtol=1e-5)


def test_big_images_are_sampled_and_come_out_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.random.default_rng(0).gamma(2.0, 50.0, (3, 40, 600, 700)).astype("u2")
    source = ImageSource((image,), "TZYX")
    exact = measure_range(source, NormalizationInfo())
    monkeypatch.setattr(normalization, "MAX_SAMPLED", 4_000_000)
    seen = 0

    class Counting:
        shape, dtype = image.shape, image.dtype

        def __getitem__(self, key: object) -> np.ndarray:
            nonlocal seen
            part = image[key]
            seen += part.size
            return part

    sampled = measure_range(ImageSource((Counting(),), "TZYX"), NormalizationInfo())
    assert seen < 0.2 * image.size
    np.testing.assert_allclose(sampled.high, exact.high, rtol=0.05)
    np.testing.assert_allclose(sampled.low, exact.low, atol=3)


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_flat_images_stay_finite(value: float) -> None:
    image = np.full((8, 8), value, np.float32)
    source = ImageSource((image,), "YX")
    scaled = measure_range(source, NormalizationInfo()).normalize(source.read(0))
    assert np.isfinite(scaled).all()
    assert abs(scaled).max() == 0


def test_a_few_bright_pixels_still_span_the_range() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[50, 50:53] = 200
    source = ImageSource((image,), "YX")
    scaled = measure_range(source, NormalizationInfo()).normalize(source.read(0))
    assert scaled.max() == 1


def test_nan_and_infinity_become_background() -> None:
    image = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    image[3, 3], image[4, 4] = np.nan, np.inf
    source = ImageSource((image,), "YX")
    scaled = measure_range(source, NormalizationInfo()).normalize(source.read(0))
    assert scaled[0, 3, 3] == scaled[0, 4, 4] == 0
