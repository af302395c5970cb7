"""What the axes of a layer may mean."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_unet.errors import DataError
from napari_unet.widgets.readings import Reading, readings


def image(*shape: int, **more: object) -> Image:
    return Image(np.zeros(shape, np.uint8), **more)


def axes_of(layer: Image) -> list[tuple[str, int]]:
    return [(r.axes, r.ndim) for r in readings(layer)]


def test_a_plane_has_one_reading() -> None:
    assert axes_of(image(8, 9)) == [("YX", 2)]


def test_a_stack_is_depth_first() -> None:
    assert axes_of(image(5, 8, 9)) == [
        ("ZYX", 3),
        ("ZYX", 2),
        ("TYX", 2),
        ("CYX", 2),
    ]


def test_axis_labels_are_believed() -> None:
    layer = image(5, 8, 9, axis_labels=("time", "y", "x"))
    assert axes_of(layer) == [("TYX", 2)]
    layer = image(5, 8, 9, axis_labels=("Z", "-2", "-1"))
    assert axes_of(layer) == [("ZYX", 3), ("ZYX", 2)]


def test_a_single_plane_of_depth_is_read_in_2d() -> None:
    assert axes_of(image(1, 8, 9))[0] == ("ZYX", 2)


def test_rgb_has_its_channels_last() -> None:
    assert axes_of(image(8, 9, 3, rgb=True)) == [("YXC", 2)]
    assert axes_of(image(4, 8, 9, 3, rgb=True))[0] == ("ZYXC", 3)


def test_too_many_axes_are_refused_in_words() -> None:
    with pytest.raises(DataError, match="6 axes: 2 to 5"):
        readings(image(1, 1, 1, 1, 8, 9))


def test_texts_are_words() -> None:
    assert Reading("YX", 2).text == "2D network"
    assert Reading("ZYX", 3).text == "depth (Z): 3D network"
    assert Reading("TZYX", 2).text == (
        "time (T), depth (Z): 2D network, plane by plane"
    )
