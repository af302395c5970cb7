"""Only what lies in the box is learnt."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_unet.data.annotation import Annotation
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.limit import Window, inside
from napari_unet.widgets.readings import Reading

BOX = ((0, 3), (10, 20), (5, 25))


def volume() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, (3, 30, 40)).astype(np.int32)


def test_without_a_box_nothing_changes() -> None:
    image = snapshot([Image(np.zeros((30, 40)))])
    found = Annotation(np.ones((30, 40), int), image.source, "sparse")
    assert inside(image, found, None) == (image, found)


def test_sparse_annotation_outside_is_left_out() -> None:
    image = snapshot([Image(np.zeros((3, 30, 40)))])
    labels = volume()
    found = Annotation(labels, image.source, "sparse")
    same, kept = inside(image, found, BOX)
    assert same is image
    np.testing.assert_array_equal(kept.labels[:, 10:20, 5:25], labels[:, 10:20, 5:25])
    assert np.count_nonzero(kept.labels) == np.count_nonzero(labels[:, 10:20, 5:25])
    np.testing.assert_array_equal(labels, volume())  # the layer's own stays


def test_complete_annotation_is_cut_with_its_image() -> None:
    pixels = np.random.default_rng(1).random((2, 3, 30, 40))
    layer = Image(pixels, scale=(1, 1, 0.5, 0.5), translate=(0, 0, 7, 8))
    image = snapshot([layer], Reading("CZYX", 3))
    labels = volume()
    found = Annotation(labels, image.source, "complete")
    cut, kept = inside(image, found, BOX)
    np.testing.assert_array_equal(kept.labels, labels[:, 10:20, 5:25])
    np.testing.assert_array_equal(cut.arrays[0], pixels[:, :, 10:20, 5:25])
    assert kept.source.labels_shape == (3, 10, 20)
    np.testing.assert_allclose(cut.placement["translate"], (0, 12, 10.5))
    assert kept.count_values().keys() == {0, 1, 2, 3, 4}


def test_classes_without_background_are_sparse_in_either_rule() -> None:
    image = snapshot([Image(np.zeros((3, 30, 40)))])
    found = Annotation(volume(), image.source, "complete", background=False)
    same, kept = inside(image, found, BOX)
    assert same is image
    assert kept.labels[0, 0, 0] == 0


def test_arrays_on_disk_are_cut_when_they_are_read() -> None:
    zarr = pytest.importorskip("zarr")
    stored = zarr.create_array({}, shape=(3, 30, 40), dtype="int32")
    stored[...] = volume()
    image = snapshot([Image(stored)])
    found = Annotation(stored, image.source, "complete")
    cut, kept = inside(image, found, BOX)
    assert isinstance(cut.arrays[0], Window)
    assert cut.source.spatial_shape == (3, 10, 20)
    expected = volume()[:, 10:20, 5:25]
    np.testing.assert_array_equal(cut.source.read(0)[0], expected)
    np.testing.assert_array_equal(kept.read(0), expected)
