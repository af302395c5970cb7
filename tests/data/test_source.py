from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.data.source import ImageSource, sample_index
from napari_unet.errors import DataError

LENGTHS = {"T": 2, "C": 3, "Z": 4, "Y": 5, "X": 6}


def image(axes, dtype=np.uint16):
    shape = [LENGTHS[a] for a in axes]
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@st.composite
def orders(draw):
    letters = ["Y", "X", *draw(st.sets(st.sampled_from("TCZ")))]
    return "".join(draw(st.permutations(letters)))


@given(orders(), st.sampled_from([2, 3]))
def test_every_order_of_axes_reads_the_same_pixels(axes, ndim):
    if "Z" not in axes:
        ndim = 2
    data = image(axes)
    source = ImageSource((data,), axes, ndim=ndim)
    left = [a for a in axes if a not in source.spatial + "C"]
    order = [*left, *(a for a in "C" + source.spatial if a in axes)]
    expected = data.transpose([axes.index(a) for a in order])
    if "C" not in axes:
        expected = np.expand_dims(expected, len(left))
    expected = expected.reshape(-1, *expected.shape[len(left) :])
    assert source.n_samples == len(expected)
    assert source.n_channels == expected.shape[1]
    assert source.spatial_shape == expected.shape[2:]
    for sample in range(source.n_samples):
        np.testing.assert_array_equal(source.read(sample), expected[sample])
        box = tuple((1, 3) for _ in source.spatial)
        np.testing.assert_array_equal(
            source.read(sample, box),
            expected[(sample, slice(None), *(slice(1, 3) for _ in box))],
        )


def test_labels_have_the_axes_of_the_image_without_channels():
    source = ImageSource((image("TCZYX"),), "TCZYX")
    assert source.labels_axes == "TZYX"
    assert source.labels_shape == (2, 4, 5, 6)


def test_several_images_are_channels():
    first, second = image("ZYX"), image("ZYX") + 7
    source = ImageSource((first, second), "ZYX")
    assert source.n_channels == 2
    np.testing.assert_array_equal(source.read(0), np.stack([first, second]))
    with_own = ImageSource((image("CYX"), image("CYX")), "CYX")
    assert with_own.read(0).shape == (6, 5, 6)


def test_only_the_wanted_part_of_a_lazy_image_is_read():
    class Lazy:
        shape, dtype = (2, 100, 100), np.dtype(np.uint8)

        def __getitem__(self, key):
            self.key = key
            return np.zeros(self.shape, self.dtype)[key]

    lazy = Lazy()
    ImageSource((lazy,), "TYX").read(1, ((10, 20), (30, 35)))
    assert lazy.key == (1, slice(10, 20), slice(30, 35))


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">u2", np.int32, np.float16, float])
def test_dtypes_come_as_they_are(dtype):
    data = image("YX", dtype)
    assert ImageSource((data,), "YX").read(0).dtype == np.dtype(dtype)


def test_voxel_sizes():
    volume = image("ZYX")
    assert ImageSource((volume,), "ZYX").voxel_size == (1, 1, 1)
    assert ImageSource((volume,), "ZYX", (3, 1, 2)).voxel_size == (3, 1, 2)
    # Planes of a volume have the size of their own axes.
    assert ImageSource((volume,), "ZYX", (3, 1, 2), ndim=2).voxel_size == (1, 2)
    for wrong in ((1.0,), (1, 1), (1, 0, 1), (1, -1, 1), (1, float("nan"), 1)):
        with pytest.raises(DataError, match="one positive number per axis"):
            ImageSource((volume,), "ZYX", wrong)


@pytest.mark.parametrize(
    ("arrays", "axes", "options", "sentence"),
    [
        ((), "YX", {}, "No image was given"),
        ((np.zeros((4, 5)), np.zeros((4, 6))), "YX", {}, "must have one shape"),
        ((np.zeros((0, 5)),), "YX", {}, "is empty"),
        ((np.zeros((4, 5), complex),), "YX", {}, "complex128"),
        ((np.zeros((4, 5), "datetime64[s]"),), "YX", {}, "datetime64"),
        ((np.zeros((3, 4, 5)),), "TYX", {"ndim": 3}, "has no Z axis"),
        ((np.zeros((3, 4, 5)),), "YX", {}, "name 2 axes"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arrays, axes, options, sentence):
    with pytest.raises(DataError, match=sentence):
        ImageSource(arrays, axes, **options)


def test_flat_positions_run_over_all_sample_axes():
    assert [sample_index((2, 2), s) for s in range(4)] == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert sample_index((), 0) == ()
