from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.errors import DataError
from napari_unet.image_io import find_images, pair_folders


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        tifffile.imwrite(folder / name, np.zeros((4, 4), np.uint8))
    return folder


def test_images_come_in_natural_order_without_hidden_files(tmp_path):
    touch(tmp_path / "a", "cell10.tif", "cell2.TIF", "Cell1.ome.tif", ".cell3.tif")
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "a" / "sub").mkdir()
    zarr.save_array(tmp_path / "a" / "cell3.zarr", np.zeros((4, 4)))
    names = [p.name for p in find_images(tmp_path / "a")]
    assert names == ["Cell1.ome.tif", "cell2.TIF", "cell3.zarr", "cell10.tif"]


def test_folders_without_images_are_named(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        find_images(tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        find_images(tmp_path / "missing")
    touch(tmp_path, "a.tif")
    with pytest.raises(DataError, match="is a file"):
        find_images(tmp_path / "a.tif")


def test_pairs_have_equal_names_whatever_the_endings(tmp_path):
    images = touch(tmp_path / "i", "b.ome.tif", "a.tif", "c10.tif", "c9.tiff")
    labels = touch(tmp_path / "l", "c9.tif", "c10.tif", "b.tif", "a.tiff")
    pairs = [(i.name, m.name) for i, m in pair_folders(images, labels)]
    assert pairs == [
        ("a.tif", "a.tiff"),
        ("b.ome.tif", "b.tif"),
        ("c9.tiff", "c9.tif"),
        ("c10.tif", "c10.tif"),
    ]


def test_what_has_no_partner_is_named(tmp_path):
    images = touch(tmp_path / "i", "a.tif", "b.tif")
    labels = touch(tmp_path / "l", "a.tif")
    with pytest.raises(DataError, match=r"There is 1 image in .* \(b\)"):
        pair_folders(images, labels)
    touch(labels, "b.tif", "c.tif", "d.tif")
    with pytest.raises(DataError, match=r"There are 2 labels files in .* \(c, d\)"):
        pair_folders(images, labels)
    touch(images, *(f"x{k}.tif" for k in range(5)))
    with pytest.raises(DataError, match=r"5 images .*\(x0, x1, x2, …\)"):
        pair_folders(images, labels)
    with pytest.raises(DataError, match=r"No file in .* named like one of the images"):
        pair_folders(touch(tmp_path / "o", "z.tif"), labels)


def test_two_files_of_one_name_are_refused(tmp_path):
    images = touch(tmp_path / "i", "a.tif", "a.tiff")
    with pytest.raises(DataError, match=r"both a\.tif+ and a\.tif+"):
        pair_folders(images, images)
