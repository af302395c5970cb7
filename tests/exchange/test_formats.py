"""Files of other tools, as those tools write them."""

from __future__ import annotations

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import tifffile
from roifile import ROI_TYPE, ImagejRoi

from napari_unet.data.source import image_source
from napari_unet.errors import DataError
from napari_unet.exchange import as_annotation, export_labels, import_labels
from napari_unet.exchange.cellpose import read_masks
from napari_unet.exchange.imagej import is_roi_file
from napari_unet.exchange.plain_pickle import Call, PickleError, describe_pickle


@pytest.fixture
def labels():
    """Two touching objects, one with a hole, one in pieces that meet at a corner."""
    plane = np.zeros((24, 30), np.int32)
    plane[2:10, 2:10] = 3
    plane[4:6, 4:6] = 0
    plane[2:10, 10:14] = 7
    plane[15, 15] = plane[16, 16] = plane[20, 3] = 12
    return plane


@pytest.fixture
def stack(labels):
    return np.stack([labels, np.roll(labels, 3, axis=1), np.zeros_like(labels)])


def image_of(labels, axes):
    return image_source(np.zeros(labels.shape, np.uint8), axes)


@pytest.mark.parametrize("ending", [".zip", ".geojson", ".tif", ".png"])
def test_labels_come_back_from_every_format(tmp_path, labels, ending):
    path = tmp_path / f"cells{ending}"
    export_labels(path, labels, "YX")
    found = import_labels(path, image_of(labels, "YX"))
    np.testing.assert_array_equal(found.labels, labels)
    assert list(found.notes) == []


@pytest.mark.parametrize("ending", [".zip", ".geojson", ".tif"])
@pytest.mark.parametrize("axes", ["ZYX", "TYX", "YXZ"])
def test_so_do_stacks(tmp_path, stack, ending, axes):
    labels = np.moveaxis(stack, 0, axes.index(axes.replace("Y", "").replace("X", "")))
    path = tmp_path / f"cells{ending}"
    export_labels(path, labels, axes)
    found = import_labels(path, image_of(labels, axes))
    np.testing.assert_array_equal(found.labels, labels)


def test_a_time_lapse_of_volumes_comes_back_from_outlines(tmp_path, stack):
    labels = np.stack([stack, stack[::-1]])
    for ending in (".zip", ".geojson"):
        path = tmp_path / f"cells{ending}"
        export_labels(path, labels, "TZYX")
        found = import_labels(path, image_of(labels, "TZYX"))
        np.testing.assert_array_equal(found.labels, labels)


def test_tiff_is_calibrated(tmp_path, stack):
    path = tmp_path / "cells.tif"
    said = export_labels(
        path, stack, "ZYX", voxel_size=(2.0, 0.5, 0.25), unit="micrometer"
    )
    assert "pixel size" in said
    with tifffile.TiffFile(path) as tif:
        assert tif.imagej_metadata["spacing"] == 2.0
        numerator, denominator = tif.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(4.0)


def test_classes_keep_names_and_colours_through_geojson(tmp_path, labels):
    path = tmp_path / "tissue.geojson"
    names = {3: ("tumour", "#ff0000"), 7: ("stroma", "#00ff10")}
    export_labels(path, labels, "YX", classes=names)
    feature = json.loads(path.read_text())["features"][0]
    assert feature["properties"]["classification"] == {
        "name": "tumour",
        "color": [255, 0, 0],
    }
    found = import_labels(path, image_of(labels, "YX"), "classes")
    assert set(found.names.values()) == {"tumour", "stroma"}
    assert found.colors[1] == "#ff0000"


# ImageJ ------------------------------------------------------------------------------


def roi(kind, box, **more):
    made = ImagejRoi()
    made.roitype = kind
    made.left, made.top, made.right, made.bottom = box
    for name, value in more.items():
        setattr(made, name, value)
    return made


def zipped(path, rois):
    with zipfile.ZipFile(path, "w") as archive:
        for number, one in enumerate(rois):
            archive.writestr(f"{number}.roi", one.tobytes())
    return path


def test_rectangles_ovals_and_polygons_of_imagej(tmp_path):
    path = zipped(
        tmp_path / "RoiSet.zip",
        [
            roi(ROI_TYPE.RECT, (1, 2, 5, 4)),
            roi(ROI_TYPE.OVAL, (10, 10, 20, 20)),
            roi(ROI_TYPE.LINE, (0, 0, 9, 9)),
            ImagejRoi.frompoints(np.array([[22, 2], [28, 2], [22, 8]])),
        ],
    )
    found = import_labels(path, image_of(np.zeros((24, 30)), "YX"))
    assert (found.labels == 1).sum() == 4 * 2
    assert found.labels[2, 1] == found.labels[3, 4] == 1
    assert (found.labels == 2).sum() == pytest.approx(np.pi * 25, rel=0.06)
    assert found.labels[3, 23] == 3
    assert found.labels[7, 27] == 0
    assert found.notes == ["1 line or point was left out: only areas become labels."]


def test_a_stack_position_is_the_only_axis_there_is(tmp_path):
    path = zipped(tmp_path / "r.zip", [roi(ROI_TYPE.RECT, (1, 1, 3, 3), position=2)])
    for axes in ("ZYX", "TYX"):
        found = import_labels(path, image_of(np.zeros((3, 6, 6)), axes))
        assert np.argwhere(found.labels).min(axis=0).tolist() == [1, 1, 1]
        assert np.argwhere(found.labels).max(axis=0).tolist() == [1, 2, 2]


def test_a_composite_region_has_a_hole(tmp_path):
    ring = [0, 0, 0, 1, 8, 0, 1, 8, 8, 1, 0, 8, 4]
    hole = [0, 2, 2, 1, 4, 2, 1, 4, 4, 1, 2, 4, 4]
    made = roi(ROI_TYPE.RECT, (0, 0, 8, 8))
    made.multi_coordinates = np.array(ring + hole, np.float32)
    made.shape_roi_size = len(ring + hole)
    path = tmp_path / "hole.roi"
    path.write_bytes(made.tobytes())
    found = import_labels(path, image_of(np.zeros((9, 9)), "YX"))
    assert found.labels.sum() == 64 - 4
    assert found.labels[3, 3] == 0


def test_only_archives_of_regions_are_taken_for_them(tmp_path, labels):
    rois, other = tmp_path / "RoiSet.zip", tmp_path / "model.zip"
    export_labels(rois, labels, "YX")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("model.json", "{}")
    assert is_roi_file(rois)
    assert not is_roi_file(other)
    assert not is_roi_file(tmp_path / "missing.zip")
    with pytest.raises(DataError, match=r"model\.zip holds no areas"):
        import_labels(other)


def test_damaged_regions_are_told(tmp_path, labels):
    path = tmp_path / "RoiSet.zip"
    export_labels(path, labels, "YX")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match="damaged"):
        import_labels(path)
    short = tmp_path / "short.roi"
    short.write_bytes(b"Iout" + bytes(20))
    with pytest.raises(DataError, match="damaged"):
        import_labels(short)


# GeoJSON -----------------------------------------------------------------------------


def qupath(geometry, **properties):
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def test_what_qupath_writes(tmp_path):
    square = [[1.5, 1.5], [6.5, 1.5], [6.5, 6.5], [1.5, 6.5], [1.5, 1.5]]
    tumour = {"name": "Tumor", "colorRGB": -3670016}
    features = [
        qupath(
            {"type": "Polygon", "coordinates": [square], "plane": {"c": -1, "z": 1}},
            objectType="annotation",
            classification=tumour,
        ),
        qupath({"type": "Point", "coordinates": [3, 3]}, objectType="annotation"),
    ]
    for plain in (features, {"type": "FeatureCollection", "features": features}):
        path = tmp_path / "slide.geojson"
        path.write_text(json.dumps(plain))
        found = import_labels(path, image_of(np.zeros((2, 9, 9)), "ZYX"), "classes")
        assert found.labels[1, 3, 3] == 1
        assert found.labels[0].max() == 0
        assert found.names == {1: "Tumor"}
        assert found.colors == {1: "#c80000"}
        assert len(found.notes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[" * 100_000,
        '{"type": "Feature"}',
        '{"type": "FeatureCollection", "features": [3]}',
        '{"type": "Polygon", "coordinates": [[["a", 1], [2, 2], [3, 3]]]}',
        '{"type": "Polygon", "coordinates": [[[NaN, 1], [2, 2], [3, 3]]]}',
    ],
)
def test_other_json_is_told(tmp_path, text):
    path = tmp_path / "a.geojson"
    path.write_text(text)
    with pytest.raises(DataError, match=r"a\.geojson"):
        import_labels(path)


# Cellpose ----------------------------------------------------------------------------


def as_cellpose(path, masks):
    whole = {
        "outlines": np.zeros_like(masks),
        "colors": np.zeros((3, 3), np.uint8),
        "masks": masks,
        "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool),
        "filename": "cells.tif",
        "flows": [np.zeros((2, 2), np.float32), None],
        "diameter": np.float32(17.5),
        "cellprob_threshold": -1.5,
        "big": 2**70,
    }
    np.save(path, whole)
    return path


@pytest.mark.parametrize("dtype", ["uint16", "uint32", ">u2", "int64"])
def test_masks_of_cellpose(tmp_path, labels, dtype):
    path = as_cellpose(tmp_path / "a_seg.npy", labels.astype(dtype))
    np.testing.assert_array_equal(import_labels(path).labels, labels)
    by_columns = as_cellpose(tmp_path / "b_seg.npy", np.asfortranarray(labels))
    np.testing.assert_array_equal(import_labels(by_columns).labels, labels)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL))
def test_masks_in_any_protocol(tmp_path, labels, protocol):
    array = np.array({"masks": labels}, dtype=object)
    path = tmp_path / "a_seg.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(array, file, protocol=protocol)
    np.testing.assert_array_equal(read_masks(path), labels)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_bomb_does_not_go_off(tmp_path, labels):
    mark = tmp_path / "exploded"
    path = tmp_path / "a_seg.npy"
    np.save(path, {"masks": Bomb(mark)})
    with pytest.raises(DataError, match="without running it"):
        import_labels(path)
    np.save(path, {"masks": labels, "filename": Bomb(mark)})
    # What is not looked at may be anything.
    np.testing.assert_array_equal(import_labels(path).labels, labels)
    assert not mark.exists()


def test_calls_are_described():
    described = describe_pickle(io.BytesIO(pickle.dumps(Bomb("here"))))
    assert isinstance(described, Call)
    assert str(described.function) == "io.open"
    assert described.arguments == ("here", "w")


@pytest.mark.parametrize(
    "data", [b"", b"garbage", b"\x80\x04.", b"\x80\x04e.", b"\x80\x04h\x05.", b"(."]
)
def test_broken_pickles_are_told(data):
    with pytest.raises(PickleError):
        describe_pickle(io.BytesIO(data))


def test_every_truncation_is_told(tmp_path, labels):
    path = as_cellpose(tmp_path / "a_seg.npy", labels)
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 397):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match="_seg"):
            read_masks(path)


# What fits, and what does not --------------------------------------------------------


def test_masks_of_another_image_are_refused(tmp_path, labels):
    path = as_cellpose(tmp_path / "a_seg.npy", labels)
    with pytest.raises(DataError, match="needs"):
        import_labels(path, image_of(np.zeros((9, 9)), "YX"))
    found = import_labels(path, image_of(labels[None], "ZYX"))
    assert found.labels.shape == (1, 24, 30)


def test_outlines_without_an_image_end_with_the_last(tmp_path, labels):
    path = tmp_path / "cells.geojson"
    export_labels(path, labels, "YX")
    found = import_labels(path)
    np.testing.assert_array_equal(found.labels, labels[:21, :17])


def test_imported_labels_as_annotation():
    labels = np.array([0, 1, 5], np.int32)
    assert as_annotation(labels, "sparse").tolist() == [0, 2, 6]
    assert as_annotation(labels, "complete").tolist() == [0, 1, 5]


def test_what_cannot_be_exported_is_told(tmp_path, stack):
    with pytest.raises(DataError, match=r"end the name in \.tif"):
        export_labels(tmp_path / "a.xyz", stack, "ZYX")
    with pytest.raises(DataError, match="one plane"):
        export_labels(tmp_path / "a.png", stack, "ZYX")
    with pytest.raises(DataError, match="up to 65,535"):
        export_labels(tmp_path / "a.png", stack[0] + 2**17, "YX")
    with pytest.raises(DataError, match="below 0"):
        export_labels(tmp_path / "a.zip", stack[0] - 1, "YX")
    assert list(tmp_path.iterdir()) == []
