from __future__ import annotations

import pytest

from napari_unet.axes import check_axes, guess_axes, looks_rgb, spatial_axes
from napari_unet.errors import DataError


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("YX", (4, 5), "YX"),
        ("zyx", (3, 4, 5), "ZYX"),
        ("YXS", (4, 5, 3), "YXC"),
        ("TCZYX", (1, 2, 3, 4, 5), "TCZYX"),
    ],
)
def test_letters_that_fit_a_shape(axes, shape, expected):
    assert check_axes(axes, shape) == expected


@pytest.mark.parametrize(
    ("axes", "shape", "sentence"),
    [
        ("QYX", (3, 4, 5), "unknown letter 'Q'"),
        ("CYXS", (2, 4, 5, 3), "unknown letter 'S'"),
        ("YYX", (3, 4, 5), "twice"),
        ("ZX", (3, 4), "lack Y or X"),
        ("", (), "lack Y or X"),
        (
            "YX",
            (3, 4, 5),
            r"name 2 axes, but the image has 3: its shape is \(3, 4, 5\)",
        ),
    ],
)
def test_letters_that_do_not(axes, shape, sentence):
    with pytest.raises(DataError, match=sentence):
        check_axes(axes, shape)


@pytest.mark.parametrize(
    ("shape", "rgb", "expected"),
    [
        ((4, 5), False, "YX"),
        ((3, 4, 5), False, "ZYX"),
        ((4, 5, 3), True, "YXC"),
        ((2, 3, 4, 5), False, "TZYX"),
        ((2, 4, 5, 3), True, "ZYXC"),
        ((2, 2, 3, 4, 5), False, "TCZYX"),
        ((2, 3, 4, 5, 3), True, "TZYXC"),
    ],
)
def test_guesses_by_the_number_of_axes(shape, rgb, expected):
    axes = guess_axes(shape, rgb=rgb)
    assert axes == expected
    assert check_axes(axes, shape) == axes


@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 3, 4, 5, 6)])
def test_too_few_and_too_many_axes(shape):
    with pytest.raises(DataError, match="2 to 5 can be used"):
        guess_axes(shape)


def test_spatial_letters_come_in_the_order_of_networks():
    assert spatial_axes("XYTZC") == "ZYX"
    assert spatial_axes("TYX") == "YX"


def test_colour_is_8_bit_with_3_or_4_in_the_last_axis():
    assert looks_rgb((40, 50, 3), ("u", 1))
    assert looks_rgb((6, 40, 50, 4), ("u", 1))
    assert not looks_rgb((40, 50, 3), ("u", 2))
    assert not looks_rgb((40, 50, 5), ("u", 1))
    assert not looks_rgb((3, 4, 3), ("u", 1))
    assert not looks_rgb((50, 3), ("u", 1))
