"""The table of objects: equal to scikit-image's, and the same however it is cut."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops_table

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.measure import ObjectTable, measure_blocks, measure_objects
from napari_unet.measure.table import title

SIZES = {2: (0.5, 0.25), 3: (2.0, 0.5, 0.25)}


def blobs(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.int32]:
    """Random blobs; some of them have several parts, and ids have gaps."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random(shape), 2.0)
    labels, n = ndimage.label(noise > np.quantile(noise, 0.75))
    # scikit-image has no hull for flat objects in 3D.
    labels[np.bincount(labels.ravel())[labels] < 25] = 0
    merged = labels.copy()
    merged[labels == n] = 1
    return np.where(merged > 0, merged * 3 + 2, 0).astype(np.int32)


def whole(
    labels: NDArray[Any], image: NDArray[Any] | None, size: tuple[float, ...]
) -> dict[str, NDArray[Any]]:
    names = ["label", "area", "bbox", "centroid", "solidity"]
    names += ["axis_major_length", "axis_minor_length"]
    if image is not None:
        image = np.moveaxis(image, 0, -1)
        names += ["intensity_mean", "intensity_min", "intensity_max"]
    found: dict[str, NDArray[Any]] = regionprops_table(
        labels, image, properties=names, spacing=size
    )
    return found


def assert_equals_scikit_image(
    table: ObjectTable, expected: dict[str, NDArray[Any]]
) -> None:
    letters = table.spatial.lower()
    kind = "volume_um3" if len(letters) == 3 else "area_um2"
    pairs = {
        "id": "label",
        kind: "area",
        "axis_major_um": "axis_major_length",
        "axis_minor_um": "axis_minor_length",
        "solidity": "solidity",
    }
    for k, letter in enumerate(letters):
        pairs[f"centroid_{letter}_um"] = f"centroid-{k}"
        pairs[f"bbox_{letter}_start"] = f"bbox-{k}"
        pairs[f"bbox_{letter}_stop"] = f"bbox-{k + len(letters)}"
    for name in ("mean", "min", "max"):
        if f"intensity_{name}-0" in expected:
            for k in range(2):
                pairs[f"intensity_{name}_{k + 1}"] = f"intensity_{name}-{k}"
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(
            table[ours], expected[theirs], rtol=1e-6, atol=1e-6, err_msg=ours
        )


def in_blocks(
    labels: Any, axes: str, size: tuple[float, ...], most: int, **more: Any
) -> ObjectTable:
    source = ImageSource((labels,), axes, size, "micrometer", "labels")
    events = measure_blocks(source, block_voxels=most, **more)
    while True:
        try:
            next(events)
        except StopIteration as end:
            table: ObjectTable = end.value
            return table


def as_zarr(array: NDArray[Any]) -> Any:
    chunks = tuple(max(1, n // 3) for n in array.shape)
    made = zarr.create_array({}, shape=array.shape, dtype=array.dtype, chunks=chunks)
    made[:] = array
    return made


STORES: dict[str, Callable[[NDArray[Any]], Any]] = {
    "numpy": np.asarray,
    "dask": lambda a: da.from_array(a, chunks=7),
    "zarr": as_zarr,
}


@pytest.mark.parametrize("shape", [(61, 47), (14, 41, 49)])
def test_equals_scikit_image(shape: tuple[int, ...]) -> None:
    labels = blobs(shape)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 60_000, (2, *shape)).astype(np.uint16)
    size = SIZES[len(shape)]
    table = measure_objects(labels, None, size, "micrometer", image=image)
    assert len(table) > 2
    assert_equals_scikit_image(table, whole(labels, image, size))


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("shape", [(61, 47), (14, 41, 49)])
def test_blocks_do_not_change_the_table(shape: tuple[int, ...], store: str) -> None:
    labels = blobs(shape)
    rng = np.random.default_rng(1)
    image = rng.random((2, *shape)).astype(np.float32)
    classes = rng.integers(0, 3, shape)
    size = SIZES[len(shape)]
    axes = "ZYX"[3 - len(shape) :]
    table = in_blocks(
        STORES[store](labels),
        axes,
        size,
        300,
        images=[ImageSource((STORES[store](image),), f"C{axes}")],
        classes=STORES[store](classes),
    )
    assert_equals_scikit_image(table, whole(labels, image, size))
    for number, kind in zip(table["id"], table["class"], strict=True):
        assert kind == np.bincount(classes[labels == number]).argmax()
    at_once = measure_objects(labels, None, size, "micrometer", image=image)
    np.testing.assert_array_equal(table["touches_border"], at_once["touches_border"])
    np.testing.assert_array_equal(table["voxels"], at_once["voxels"])


def test_an_object_over_all_blocks() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[5:35, 5:35] = 1
    labels[10:30, 10:30] = 0  # a ring: its hull has corners in four blocks
    table = in_blocks(labels, "YX", (1.0, 1.0), 400)
    assert table["voxels"].tolist() == [500]
    assert table["solidity"][0] == pytest.approx(500 / 900)
    assert table["centroid_y"][0] == pytest.approx(19.5)


def test_an_object_that_touches_a_block_from_one_side_has_its_solidity() -> None:
    labels = np.zeros((8, 16), np.uint8)
    labels[2:5, 5:8] = 4
    table = in_blocks(labels, "YX", (1.0, 1.0), 64)
    assert table["solidity"].tolist() == [1.0]


def test_an_object_in_parts_that_touch_no_edge_of_their_blocks() -> None:
    labels = np.zeros((8, 24), np.uint8)
    labels[2:5, 2:4] = 4
    labels[2:5, 20:22] = 4
    table = in_blocks(labels, "YX", (1.0, 1.0), 64)
    assert table["solidity"].tolist() == [12 / 60]


def test_frames_are_measured_one_by_one() -> None:
    labels = np.zeros((3, 9, 9), np.uint16)
    labels[0, 1:3, 1:3] = 7
    labels[2, 4:8, 4:9] = 7
    labels[2, 0, 0] = 2
    table = measure_objects(labels, "TYX", (0.5, 0.5), "micrometer")
    assert table["frame"].tolist() == [0, 2, 2]
    assert table["id"].tolist() == [7, 2, 7]
    assert table["area_um2"].tolist() == [1.0, 0.25, 5.0]
    assert table["touches_border"].tolist() == [False, True, True]


def test_time_lapses_of_volumes_and_planes_of_volumes() -> None:
    labels = np.zeros((2, 3, 6, 6), np.uint8)
    labels[1, 1:, 2:4, 2:4] = 1
    table = measure_objects(labels, voxel_size=(3, 1, 1))
    assert table["frame"].tolist() == [1]
    assert table["volume_px3"].tolist() == [24.0]
    planes = measure_objects(labels, voxel_size=(3, 1, 1), ndim=2)
    assert planes["frame"].tolist() == [1, 1]
    assert planes["plane"].tolist() == [1, 2]
    assert planes["area_px2"].tolist() == [4.0, 4.0]


def test_axes_of_an_ellipsoid_are_those_it_was_drawn_with() -> None:
    z, y, x = np.ogrid[-15:16, -40:41, -40:41]
    inside = (z * 2 / 24) ** 2 + (y / 36) ** 2 + (x / 12) ** 2 <= 1
    table = measure_objects(inside.astype(np.uint8), voxel_size=(2, 1, 1))
    lengths = [table[f"axis_{n}_px"][0] for n in ("major", "middle", "minor")]
    assert lengths == pytest.approx([72, 48, 24], rel=0.02)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "uint64"])
def test_ids_of_any_size(dtype: str) -> None:
    highest = min(np.iinfo(dtype).max, 2**62)
    labels = np.zeros((5, 6), dtype)
    labels[0, :3] = highest
    labels[3, 3:] = 1
    table = measure_objects(labels)
    assert table["id"].tolist() == [1, highest]
    assert table["voxels"].tolist() == [3, 3]


def test_negative_values_are_no_objects() -> None:
    labels = np.full((5, 6), -1, np.int32)
    labels[1, 1] = 3
    assert measure_objects(labels)["id"].tolist() == [3]
    labels[1, 1] = 2**30
    assert measure_objects(labels)["id"].tolist() == [2**30]


@pytest.mark.parametrize("shape", [(1, 6, 7), (4, 6, 7), (6, 7)])
def test_flat_thin_and_single_voxel_objects(shape: tuple[int, ...]) -> None:
    labels = np.zeros(shape, np.uint8)
    labels[..., 1, 1] = 1
    labels[..., 3, 1:5] = 2
    labels[(0,) * (len(shape) - 2) + (5, 6)] = 3
    table = measure_objects(labels)
    assert table["solidity"].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert np.isfinite(table["axis_major_px"]).all()
    # A stack of one plane has no top and bottom to touch.
    assert table["touches_border"].tolist() == [len(labels) == 4, len(labels) == 4, 1]


def test_large_hulls_are_close_to_filled_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    y, x = np.ogrid[-90:91, -90:91]
    labels = ((y**2 + x**2 < 85**2) & ((x > 0) | (y > 0))).astype(np.uint8)
    filled = measure_objects(labels)["solidity"][0]
    monkeypatch.setattr("napari_unet.measure.hull.LARGEST_RASTER", 10)
    assert measure_objects(labels)["solidity"][0] == pytest.approx(filled, rel=0.01)


def test_no_objects_make_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    labels = np.zeros((4, 5), np.uint8)
    image = np.zeros((4, 5))
    table = measure_objects(labels, image=image, classes=labels)
    assert len(table) == 0
    assert {"class", "solidity", "intensity_mean", "bbox_x_stop"} <= set(table.columns)
    table.write_csv(tmp_path / "empty.csv")
    assert len((tmp_path / "empty.csv").read_text().splitlines()) == 1


def test_channels_are_named() -> None:
    labels = np.ones((4, 5), np.uint8)
    image = np.stack([np.full((4, 5), 1.0), np.full((4, 5), 2.0)], axis=-1)
    table = measure_objects(labels, image=image, channels=["DAPI", "GFP"])
    assert table["intensity_mean_GFP"].tolist() == [2.0]
    same = measure_objects(labels, image=image, channels=["raw", "raw"])
    assert same["intensity_mean_raw_2"].tolist() == [2.0]


def test_class_names_and_ties() -> None:
    labels = np.ones((2, 4), np.uint8)
    classes = np.array([[5, 5, 3, 3], [5, 5, 3, 3]])
    table = measure_objects(labels, classes=classes, class_names={3: "cell"})
    assert table["class"].tolist() == [3]
    assert table["class_name"].tolist() == ["cell"]


def test_solidity_can_be_left_out() -> None:
    assert "solidity" not in measure_objects(blobs((20, 20)), solidity=False).columns


def test_csv_can_be_read_back(tmp_path: Path) -> None:
    labels = blobs((30, 30))
    image = np.random.default_rng(0).random((30, 30))
    image[labels == labels.max()] = np.nan
    table = measure_objects(labels, None, (0.5, 0.5), "micrometer", image=image)
    path = tmp_path / "table.csv"
    table.write_csv(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["id"]) for r in rows] == table["id"].tolist()
    areas = [float(r["area_um2"]) for r in rows]
    assert areas == pytest.approx(table["area_um2"].tolist())
    assert rows[-1]["intensity_mean"] == ""
    assert {r["touches_border"] for r in rows} <= {"0", "1"}


def test_a_csv_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    table = measure_objects(blobs((20, 20)))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="could not be written"):
        table.write_csv(tmp_path / "folder.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.csv"]


def test_columns_have_titles_for_people() -> None:
    assert title("area_um2", "micrometer") == "area (µm²)"
    assert title("volume_px3", "pixel") == "volume (px³)"
    assert title("axis_major_nm", "nanometer") == "major axis (nm)"
    assert title("centroid_y", "micrometer") == "centroid y"
    assert title("intensity_mean_light_um", "micrometer") == "intensity mean light um"


def test_what_does_not_fit_is_told() -> None:
    labels = np.ones((4, 5), np.uint8)
    with pytest.raises(DataError, match="apart from channels"):
        measure_objects(labels, image=np.zeros((5, 4)))
    with pytest.raises(DataError, match="classes have the shape"):
        measure_objects(labels, classes=np.zeros((5, 4), int))
    with pytest.raises(DataError, match="whole numbers"):
        measure_objects(labels * 0.5)
    with pytest.raises(DataError, match="names for 1 channels"):
        measure_objects(labels, image=np.zeros((4, 5)), channels=["a", "b"])
    source = ImageSource((np.zeros((3, 4, 5)),), "TYX")
    with pytest.raises(DataError, match="were made from"):
        measure_objects(labels, image=source)
