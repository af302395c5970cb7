"""Layers to snapshots and back. Layers need no viewer and no display."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image

from napari_unet.errors import DataError
from napari_unet.widgets.layers import (
    FirstChannels,
    Reading,
    placement,
    readings,
    result_layer,
    shifted,
    snapshot,
)


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


def test_snapshot_carries_voxel_size_and_unit() -> None:
    layer = image(5, 8, 9, scale=(2, 0.5, -0.25), units=("um",) * 3, name="cells")
    made = snapshot([layer])
    assert made.params() == {
        "axes": "ZYX",
        "voxel_size": [2.0, 0.5, 0.25],
        "unit": "micrometer",
        "name": "cells",
        "ndim": 3,
    }
    assert made.inputs()["image0"] is layer.data


def test_snapshot_of_planes_drops_the_depth_of_a_voxel() -> None:
    layer = image(5, 8, 9, scale=(2, 0.5, 0.25))
    assert snapshot([layer], Reading("ZYX", 2)).params()["voxel_size"] == [0.5, 0.25]


def test_voxel_sizes_come_in_one_unit() -> None:
    layer = image(5, 8, 9, scale=(1, 200, 200), units=("um", "nm", "nm"))
    made = snapshot([layer])
    assert made.params()["voxel_size"] == pytest.approx([1000, 200, 200])
    assert made.unit == "nanometer"


def test_units_that_cannot_be_compared_are_left_alone() -> None:
    layer = image(5, 8, 9, scale=(3, 0.2, 0.2), units=("second", "um", "um"))
    made = snapshot([layer], Reading("TYX", 2))
    assert made.params()["voxel_size"] == [0.2, 0.2]


def test_five_axes_are_asked_to_be_split() -> None:
    with pytest.raises(DataError, match="Split Stack"):
        snapshot([image(2, 3, 4, 8, 9)])


def test_layers_become_channels() -> None:
    made = snapshot([image(8, 9, name="a"), image(8, 9, name="b")])
    assert list(made.inputs()) == ["image0", "image1"]
    assert made.source.n_channels == 2
    assert made.name == "a + b"


def test_layers_of_other_shapes_are_refused_in_words() -> None:
    with pytest.raises(DataError, match="'a' has 8 × 9 and 'b' has 9 × 9"):
        snapshot([image(8, 9, name="a"), image(9, 9, name="b")])


def test_a_layer_of_channels_stands_alone() -> None:
    pair = [image(8, 9, 3, rgb=True), image(8, 9)]
    with pytest.raises(DataError, match="several channels itself"):
        snapshot(pair)


def test_channels_between_other_axes_are_refused_in_words() -> None:
    layer = image(5, 2, 8, 9, axis_labels=("z", "c", "y", "x"))
    with pytest.raises(DataError, match="Split Stack"):
        snapshot([layer])


def test_no_layer_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="open one"):
        snapshot([])


def test_multiscale_is_read_in_full_resolution() -> None:
    levels = [np.zeros((64, 48), np.uint8), np.zeros((32, 24), np.uint8)]
    made = snapshot([Image(levels, multiscale=True)])
    assert made.arrays[0].shape == (64, 48)


@pytest.mark.parametrize("lazy", [False, True])
def test_alpha_is_left_out(lazy: bool) -> None:
    data = np.random.default_rng(0).integers(0, 255, (8, 9, 4), np.uint8)
    made = snapshot([Image(da.from_array(data) if lazy else data, rgb=True)])
    assert made.source.n_channels == 3
    np.testing.assert_array_equal(
        made.source.read(0), np.moveaxis(data[..., :3], -1, 0)
    )


def test_alpha_is_left_out_of_arrays_that_cannot_be_cut() -> None:
    data = np.arange(8 * 9 * 4).reshape(8, 9, 4)
    cut = FirstChannels(data)
    assert cut.shape == (8, 9, 3)
    np.testing.assert_array_equal(cut[2:4, :, :], data[2:4, :, :3])


def test_channels_first_take_labels_without_that_axis() -> None:
    layer = image(2, 8, 9, scale=(1, 0.5, 0.25), translate=(0, 3, 4))
    made = snapshot([layer], Reading("CYX", 2))
    assert made.source.labels_shape == (8, 9)
    labels = result_layer(np.zeros((8, 9), np.int32), "labels", made.placement)
    np.testing.assert_allclose(labels.scale, (0.5, 0.25))
    np.testing.assert_allclose(labels.translate, (3, 4))


# napari says so of every image that is turned out of the plane on screen.
turned = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

PLACES: list[dict[str, object]] = [
    {"scale": (2, 0.5, 0.3)},
    {"translate": (5, -3, 2)},
    {"scale": (2, 0.5, 0.3), "rotate": (10, 20, 30), "translate": (1, 2, 3)},
    {"shear": (0.1, 0.2, 0.3), "scale": (1, 2, 3)},
    {"affine": [[1, 0, 0, 3], [0, 0.8, 0.1, 2], [0, 0, 1.2, 1], [0, 0, 0, 1]]},
    {"units": ("um", "um", "um"), "axis_labels": ("z", "y", "x")},
]


@turned
@pytest.mark.parametrize("place", PLACES)
def test_results_lie_over_the_image(place: dict[str, object]) -> None:
    layer = image(5, 8, 9, **place)
    labels = result_layer(np.zeros((5, 8, 9), np.int32), "labels", placement(layer))
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(labels, name), getattr(layer, name))
    np.testing.assert_allclose(labels.affine.affine_matrix, layer.affine.affine_matrix)
    assert labels.units == layer.units
    assert labels.axis_labels == layer.axis_labels
    point = (3, 4, 5)
    np.testing.assert_allclose(labels.data_to_world(point), layer.data_to_world(point))


@turned
@pytest.mark.parametrize("place", PLACES)
def test_pieces_lie_where_they_were_cut_out(place: dict[str, object]) -> None:
    layer = image(5, 8, 9, **place)
    offset = (1, 3, 2)
    piece = result_layer(
        np.zeros((1, 4, 4), np.int32), "piece", shifted(placement(layer), offset)
    )
    np.testing.assert_allclose(
        piece.data_to_world((2, 1, 3)),
        layer.data_to_world(np.add((2, 1, 3), offset)),
        atol=1e-12,
    )
