"""Image layers to snapshots. Layers need no viewer and no display."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image

from napari_unet.errors import DataError
from napari_unet.widgets.layers import FirstChannels, snapshot
from napari_unet.widgets.placement import result_layer
from napari_unet.widgets.readings import Reading


def image(*shape: int, **more: object) -> Image:
    return Image(np.zeros(shape, np.uint8), **more)


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
