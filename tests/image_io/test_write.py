from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_unet.errors import DataError
from napari_unet.image_io import (
    read_image,
    read_labels,
    write_labels,
    write_probabilities,
)

SHAPES = {"YX": (20, 30), "ZYX": (4, 20, 30), "TYX": (4, 20, 30), "TZYX": (3, 4, 9, 8)}


@pytest.mark.parametrize("axes", SHAPES)
@pytest.mark.parametrize(
    ("highest", "dtype"), [(200, np.uint8), (60_000, np.uint16), (90_000, np.uint32)]
)
def test_labels_come_back_as_they_were(tmp_path, axes, highest, dtype):
    labels = np.random.default_rng(1).integers(0, highest, SHAPES[axes], np.int32)
    labels.flat[0] = highest
    path = tmp_path / "a.tif"
    size = (1.5, 0.25, 0.5)[-2 - ("Z" in axes) :]
    write_labels(path, labels, axes, size, "micrometer")
    image = read_image(path)
    assert image.axes == axes
    assert image.arrays[0].dtype == dtype
    assert image.voxel_size == pytest.approx(size)
    assert image.unit == "micrometer"
    np.testing.assert_array_equal(read_labels(path, image), labels)


def test_unusual_orders_are_written_in_the_usual_one(tmp_path):
    labels = np.random.default_rng(1).integers(0, 9, (4, 3, 8, 9))
    write_labels(tmp_path / "a.tif", labels, "ZTXY")
    image = read_image(tmp_path / "a.tif")
    assert image.axes == "TZYX"
    np.testing.assert_array_equal(image.arrays[0], labels.transpose(1, 0, 3, 2))
    assert (image.voxel_size, image.unit) == ((1, 1, 1), "pixel")


def test_a_single_plane_or_frame_keeps_its_axes_for_the_image(tmp_path):
    image = read_image_of(tmp_path, np.zeros((1, 20, 30), np.uint8), "ZYX")
    labels = np.ones((1, 20, 30), int)
    write_labels(tmp_path / "a.tif", labels, "ZYX")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif", image), labels)


def read_image_of(folder, data, axes):
    path = folder / "image.tif"
    tifffile.imwrite(path, data, metadata={"axes": axes})
    return read_image(path)


def test_labels_are_compressed_and_true_false_is_one_zero(tmp_path):
    labels = np.zeros((500, 500), bool)
    labels[100:200] = True
    write_labels(tmp_path / "a.tif", labels, "YX")
    assert (tmp_path / "a.tif").stat().st_size < 20_000
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), labels)


def test_probabilities_have_a_channel_a_map(tmp_path):
    maps = np.random.default_rng(1).random((3, 4, 20, 30)).astype(np.float16)
    path = tmp_path / "p.tif"
    write_probabilities(
        path, maps, "CZYX", (2, 0.5, 0.5), "micrometer", ["a", "b", "c"]
    )
    image = read_image(path)
    assert (image.n_channels, image.voxel_size) == (3, (2, 0.5, 0.5))
    np.testing.assert_array_equal(image.read(0), maps)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    write_labels(path, np.ones((5, 5), int), "YX")

    def fail(file, *args, **kwargs):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(DataError, match="No space left on device"):
        write_labels(path, np.zeros((5, 5), int), "YX")
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["a.tif"]
    assert np.asarray(read_labels(path)).all()


def test_labels_below_zero_are_a_defect(tmp_path):
    with pytest.raises(ValueError, match="cannot be written"):
        write_labels(tmp_path / "a.tif", np.full((5, 5), -1), "YX")
