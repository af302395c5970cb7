from __future__ import annotations

import numpy as np
import pytest

from napari_unet.data.source import ImageSource
from napari_unet.evaluation.robustness import CHANGES, perturbed


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [("YX", (21, 30)), ("YXC", (21, 30, 3)), ("TCZYX", (2, 2, 3, 9, 8))],
)
def test_images_keep_shape_dtype_and_axes(name, dtype, axes, shape):
    image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
    source = ImageSource((image,), axes)
    made = perturbed(source, name)
    assert made.arrays[0].shape == shape
    assert made.arrays[0].dtype == dtype
    assert (made.axes, made.ndim) == (source.axes, source.ndim)


@pytest.fixture
def image():
    rng = np.random.default_rng(1)
    return rng.normal(100, 20, (64, 80)).astype(np.float32)


def change(image, name):
    return perturbed(ImageSource((image,), "YX"), name).arrays[0]


def test_each_change_does_what_it_says(image):
    spread = np.subtract(*np.percentile(image, (99.8, 0.5)))
    assert (change(image, "noise") - image).std() == pytest.approx(
        0.1 * spread, rel=0.05
    )
    assert change(image, "blur").std() < 0.4 * image.std()
    contrast = change(image, "half contrast")
    assert contrast.std() == pytest.approx(image.std() / 2, rel=1e-4)
    assert contrast.mean() == pytest.approx(image.mean(), rel=1e-4)
    np.testing.assert_allclose(
        change(image, "brighter") - image, 0.2 * spread, rtol=1e-3
    )


def test_half_the_resolution_moves_nothing():
    ramp = np.add.outer(3.0 * np.arange(40), np.arange(50)).astype(np.float32)
    half = change(ramp, "half resolution")
    np.testing.assert_allclose(half[2:-2, 2:-2], ramp[2:-2, 2:-2], rtol=1e-4)


def test_what_overflows_is_cut_off():
    image = np.full((10, 10), 250, np.uint8)
    image[:5] = 0
    bright = change(image, "brighter")
    assert bright.max() == 255
    assert bright.min() == 50


def test_the_same_seed_gives_the_same_noise(image):
    source = ImageSource((image,), "YX")
    one, same, other = (perturbed(source, "noise", s).arrays[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
