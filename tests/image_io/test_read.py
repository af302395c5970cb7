from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.image_io import read_image, read_labels, tiff_regions
from napari_unet.image_io import tiff as tiff_module
from napari_unet.image_io.store import PixelSize
from napari_unet.image_io.tiff_regions import TiffRegions

RNG = np.random.default_rng(0)


def pixels(*shape, dtype=np.uint16):
    return RNG.integers(0, 200, shape).astype(dtype)


# --- TIFF ---------------------------------------------------------------------------

AXES = {
    "YX": ((20, 30), "YX"),
    "ZYX": ((5, 20, 30), "ZYX"),
    "TYX": ((5, 20, 30), "TYX"),
    "CZYX": ((2, 5, 20, 30), "CZYX"),
    "TZCYX": ((3, 4, 2, 20, 30), "TZCYX"),
    "YXS": ((20, 30, 3), "YXC"),
    "ZYXS": ((5, 20, 30, 3), "ZYXC"),
    "QYX": ((5, 20, 30), "ZYX"),
    "IYX": ((5, 20, 30), "ZYX"),
    "QQYX": ((3, 5, 20, 30), "TZYX"),
    "QZYX": ((3, 5, 20, 30), "TZYX"),
}


@pytest.mark.parametrize("told", AXES)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_axes_in_the_description_are_kept(tmp_path, told, compression):
    shape, expected = AXES[told]
    data = pixels(*shape, dtype=np.uint8)
    path = tmp_path / "cells.tif"
    metadata = {"axes": told}
    tifffile.imwrite(path, data, metadata=metadata, compression=compression)
    image = read_image(path)
    assert image.axes == expected
    assert image.name == "cells"
    np.testing.assert_array_equal(np.asarray(image.arrays[0]), data)


def test_a_plain_stack_is_a_volume_and_a_plain_colour_picture_has_channels(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", pixels(6, 20, 30))
    assert read_image(tmp_path / "stack.tif").axes == "ZYX"
    tifffile.imwrite(tmp_path / "rgb.tif", pixels(20, 30, 3, dtype=np.uint8))
    assert read_image(tmp_path / "rgb.tif").n_channels == 3
    colour = pixels(20, 30, 3, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "grey.tif", colour, photometric="minisblack")
    assert read_image(tmp_path / "grey.tif").axes == "YXC"


def test_opacity_is_no_channel(tmp_path):
    data = pixels(20, 30, 4, dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="rgb", extrasamples=["unassalpha"]
    )
    Image.fromarray(data).save(tmp_path / "a.png")
    for name in ("a.tif", "a.png"):
        image = read_image(tmp_path / name)
        assert image.n_channels == 3
        np.testing.assert_array_equal(image.read(0), data[..., :3].transpose(2, 0, 1))


def test_axes_of_length_one_that_say_nothing_are_dropped(tmp_path):
    data = pixels(1, 1, 20, 30)
    tifffile.imwrite(tmp_path / "a.tif", data, metadata={"axes": "TCYX"})
    assert read_image(tmp_path / "a.tif").axes == "YX"
    tifffile.imwrite(tmp_path / "b.tif", data, metadata={"axes": "CZYX"})
    assert read_image(tmp_path / "b.tif").axes == "ZYX"


def test_the_user_is_believed_about_axes(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(5, 20, 30), metadata={"axes": "ZYX"})
    assert read_image(path, "tyx").axes == "TYX"
    assert read_image(path, ndim=2).n_samples == 5
    with pytest.raises(DataError, match="name 2 axes, but the image has 3"):
        read_image(path, "YX")
    tifffile.imwrite(path, pixels(1, 5, 20, 30), metadata={"axes": "QQYX"})
    assert read_image(path, "CYX").axes == "CYX"


def test_scale_of_ome(tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "ZCYX",
        "PhysicalSizeX": 0.2,
        "PhysicalSizeY": 0.25,
        "PhysicalSizeZ": 1000,
        "PhysicalSizeZUnit": "nm",
    }
    tifffile.imwrite(path, pixels(4, 2, 20, 30), ome=True, metadata=metadata)
    image = read_image(path)
    assert image.voxel_size == pytest.approx((1.0, 0.25, 0.2))
    assert image.unit == "micrometer"
    assert image.name == "a"
    assert read_image(path, voxel_size=(3, 2, 2), unit="nanometer").unit == "nanometer"
    assert read_image(path, ndim=2).voxel_size == (0.25, 0.2)


@pytest.mark.parametrize("unit", ["um", "micron", r"\u00B5m"])
def test_scale_of_imagej(tmp_path, unit):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        pixels(4, 20, 30),
        imagej=True,
        resolution=(5, 4),
        metadata={"axes": "ZYX", "spacing": 1.5, "unit": unit},
    )
    image = read_image(path)
    assert image.voxel_size == pytest.approx((1.5, 0.25, 0.2))
    assert image.unit == "micrometer"


def test_resolution_of_a_microscope_counts_and_that_of_a_printer_does_not(tmp_path):
    path = tmp_path / "a.tif"
    data = pixels(20, 30)
    tifffile.imwrite(path, data, resolution=(20000, 20000), resolutionunit=3)
    assert read_image(path).voxel_size == pytest.approx((0.5, 0.5))
    assert read_image(path).unit == "micrometer"
    tifffile.imwrite(path, data, resolution=(300, 300), resolutionunit=2)
    assert (read_image(path).voxel_size, read_image(path).unit) == ((1, 1), "pixel")


def test_uncompressed_pixels_stay_on_disk(tmp_path):
    data = pixels(6, 40, 30, dtype=">u2")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, byteorder=">", metadata={"axes": "ZYX"})
    image = read_image(path)
    assert isinstance(image.arrays[0], np.memmap)
    np.testing.assert_array_equal(
        image.read(0, ((1, 3), (2, 9), (4, 6)))[0], data[1:3, 2:9, 4:6]
    )


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("rows", [1, 7])
def test_many_compressed_pixels_are_read_in_pieces(tmp_path, monkeypatch, tile, rows):
    data = pixels(6, 40, 30)
    path = tmp_path / "a.tif"
    layout = {"rowsperstrip": rows} if tile is None else {"tile": tile}
    tifffile.imwrite(path, data, compression="zlib", metadata={"axes": "ZYX"}, **layout)
    monkeypatch.setattr(tiff_module, "DECODED_BYTES", 1000)
    monkeypatch.setattr(tiff_regions, "PIECE_BYTES", 900)
    monkeypatch.setattr(tiff_regions, "KEPT_BYTES", 2000)
    notes = []
    image = read_image(path, on_note=notes.append)
    assert isinstance(image.arrays[0], TiffRegions)
    assert not notes
    for box in (((1, 3), (2, 29), (4, 26)), ((0, 6), (0, 40), (0, 30)), ((5, 6),) * 3):
        wanted = data[tuple(slice(*b) for b in box)]
        np.testing.assert_array_equal(image.read(0, box)[0], wanted)
    kept = image.arrays[0]._kept.values()
    assert sum(part.nbytes for part in kept) < data.nbytes
    array = image.arrays[0]
    np.testing.assert_array_equal(array[..., -3::-2], data[..., -3::-2])
    np.testing.assert_array_equal(array[2], data[2])
    assert array[1:1].shape == (0, 40, 30)


def test_opacity_of_a_large_picture_is_no_channel(tmp_path, monkeypatch):
    data = pixels(20, 30, 4, dtype="u1")
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, data, compression="zlib", photometric="rgb", extrasamples=["unassalpha"]
    )
    monkeypatch.setattr(tiff_module, "DECODED_BYTES", 10)
    image = read_image(path)
    assert image.n_channels == 3
    np.testing.assert_array_equal(image.read(0), data[..., :3].transpose(2, 0, 1))


def test_what_cannot_be_read_in_pieces_is_told_once(tmp_path, monkeypatch):
    data = pixels(40, 30)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression="zlib", rowsperstrip=40)
    monkeypatch.setattr(tiff_module, "DECODED_BYTES", 1000)
    notes = []
    np.testing.assert_array_equal(
        read_image(path, on_note=notes.append).read(0)[0], data
    )
    assert len(notes) == 1
    assert "a.tif is compressed in very large pieces" in notes[0]


def test_full_resolution_of_a_pyramid(tmp_path):
    data = pixels(64, 64)
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(data, subifds=1, metadata={"axes": "YX"})
        tif.write(data[::2, ::2], subfiletype=1)
    np.testing.assert_array_equal(read_image(path).read(0)[0], data)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("lazy", [False, True])
def test_the_resolution_that_is_nearest_to_a_pixel_size(
    tmp_path, monkeypatch, compression, lazy
):
    if lazy:
        monkeypatch.setattr(tiff_module, "DECODED_BYTES", 6000)
        monkeypatch.setattr(tiff_regions, "PIECE_BYTES", 2000)
    data = pixels(3, 128, 96)
    path = tmp_path / "a.ome.tif"
    options = {"tile": (32, 32), "compression": compression}
    scale = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "axes": "ZYX"}
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(data, subifds=2, metadata=scale, **options)
        for step in (2, 4):
            tif.write(data[:, ::step, ::step], subfiletype=1, **options)
    for size, unit, step in (
        (0.2, "micrometer", 1),
        (450, "nm", 2),
        (9.0, "micrometer", 4),
        (9.0, "pixel", 1),
    ):
        source = read_image(path, ndim=2, near=PixelSize(size, unit))
        assert source.voxel_size == (0.25 * step,) * 2
        assert source.unit == "micrometer"
        for z in range(3):
            small = data[z, ::step, ::step]
            np.testing.assert_array_equal(source.read(z)[0], small)
            part = source.read(z, ((5, 20), (7, 23)))[0]
            np.testing.assert_array_equal(part, small[5:20, 7:23])


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_compressions_without_another_package(tmp_path, compression):
    stack = pixels(4, 20, 30)
    first, *rest = [Image.fromarray(plane) for plane in stack]
    path = tmp_path / "a.tif"
    first.save(path, save_all=True, append_images=rest, compression=compression)
    np.testing.assert_array_equal(read_image(path).read(0)[0], stack)


# --- damaged and foreign files -------------------------------------------------------


@pytest.mark.parametrize("share", [0.0001, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"imagej": True},
        {"imagej": True, "compression": "zlib"},
        {"ome": True},
    ],
    ids=str,
)
def test_a_tiff_cut_short_is_refused(tmp_path, options, share):
    whole, cut = tmp_path / "a.tif", tmp_path / "b.tif"
    metadata = {"axes": "ZYX"}
    tifffile.imwrite(whole, pixels(5, 60, 70), metadata=metadata, **options)
    data = whole.read_bytes()
    cut.write_bytes(data[: max(4, int(len(data) * share))])
    with pytest.raises(DataError, match="damaged or cut short"):
        read_image(cut)


@pytest.mark.parametrize("kind", ["tif", "ome.tif", "png", "npy"])
def test_a_flipped_bit_gives_an_image_or_a_sentence(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    data = pixels(3, 9, 8)
    if kind == "png":
        Image.fromarray(data[0]).save(path)
    elif kind == "npy":
        np.save(path, data)
    else:
        options = {"ome": True} if "ome" in kind else {"compression": "zlib"}
        options |= {"metadata": {"axes": "ZYX"}, "photometric": "minisblack"}
        tifffile.imwrite(path, data, **options)
    whole = path.read_bytes()
    read = 0
    for at in range(4, len(whole), 9):
        # A new name each time: pixels of the last one may still be mapped.
        flipped = bytearray(whole)
        flipped[at] ^= 0x81
        changed = tmp_path / f"{at}.{kind}"
        changed.write_bytes(flipped)
        try:
            read_image(changed).read(0)
        except DataError:
            continue
        read += 1
    assert read < len(range(4, len(whole), 9))


def test_pictures_cut_short_are_refused(tmp_path):
    for name in ("a.png", "a.jpg", "a.bmp"):
        path = tmp_path / name
        Image.fromarray(pixels(80, 80, dtype=np.uint8)).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(DataError, match="damaged or cut short"):
            read_image(path)


def test_what_is_no_image_is_said_in_words(tmp_path):
    text = tmp_path / "notes.tif"
    text.write_text("these are my notes about the images")
    with pytest.raises(DataError, match=r"notes\.tif is not an image"):
        read_image(text)
    empty = tmp_path / "empty.tif"
    empty.touch()
    with pytest.raises(DataError, match="is empty"):
        read_image(empty)
    with pytest.raises(DataError, match="There is no file"):
        read_image(tmp_path / "missing.tif")
    with pytest.raises(DataError, match="is a folder"):
        read_image(tmp_path)


def test_arrays_that_are_no_image(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(9))
    with pytest.raises(DataError, match="at least a height and a width"):
        read_image(path)
    np.save(path, np.zeros((2, 3, 4, 5, 6, 7)))
    with pytest.raises(DataError, match="2 to 5 can be used"):
        read_image(path)
    np.save(path, np.zeros((5, 5), complex))
    with pytest.raises(DataError, match="complex128"):
        read_image(path)
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="something else than one array"):
        read_image(path)


# --- pictures, npy, zarr -------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_png_keeps_its_values(tmp_path, dtype):
    data = pixels(20, 30, dtype=np.uint16) * 300
    data = data.astype(dtype) if dtype is not bool else data > 20000
    Image.fromarray(data).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.axes == "YX"
    np.testing.assert_array_equal(image.read(0)[0], data)


def test_a_palette_means_colours_in_an_image_and_indices_in_labels(tmp_path):
    indices = np.arange(12, dtype=np.uint8).reshape(3, 4)
    picture = Image.fromarray(indices)
    picture.putpalette(pixels(256 * 3, dtype=np.uint8).tobytes())
    assert picture.mode == "P"
    picture.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").n_channels == 3
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), indices)


def test_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, pixels(3, 5, 20, 30))
    assert read_image(path).axes == "TZYX"
    np.save(path, pixels(20, 30, 3, dtype=np.uint8))
    assert read_image(path).axes == "YXC"


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    path = tmp_path / "a.ome.zarr"
    data = pixels(1, 2, 5, 20, 30)
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group["0"] = data
    group["1"] = data[..., ::2, ::2]
    axes = [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        *({"name": a, "type": "space", "unit": "micrometer"} for a in "zyx"),
    ]

    def scaled(*factors):
        return [{"type": "scale", "scale": list(factors)}]

    multiscales = [
        {
            "axes": axes,
            "datasets": [
                {
                    "path": str(level),
                    "coordinateTransformations": scaled(1, 1, 2, 0.5 * f, 0.25 * f),
                }
                for level, f in enumerate((1, 2))
            ],
            "coordinateTransformations": scaled(1, 1, 1, 2, 2),
        }
    ]
    attributes = {"multiscales": multiscales}
    group.attrs.update(attributes if version == "0.4" else {"ome": attributes})
    image = read_image(path)
    assert image.axes == "CZYX"
    assert image.voxel_size == (2.0, 1.0, 0.5)
    assert image.unit == "micrometer"
    assert image.name == "a"
    np.testing.assert_array_equal(
        image.read(0, ((1, 3), (0, 7), (4, 6))), data[0, :, 1:3, :7, 4:6]
    )


def test_a_bare_zarr_array_and_a_folder_with_several(tmp_path):
    data = pixels(5, 20, 30)
    zarr.save_array(tmp_path / "one.zarr", data)
    image = read_image(tmp_path / "one.zarr")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.read(0)[0], data)
    group = zarr.open_group(tmp_path / "more.zarr", mode="w")
    with pytest.raises(DataError, match="holds no image"):
        read_image(tmp_path / "more.zarr")
    group["raw"] = data
    assert read_image(tmp_path / "more.zarr").axes == "ZYX"
    group["other"] = data
    with pytest.raises(DataError, match=r"such as more\.zarr/other"):
        read_image(tmp_path / "more.zarr")
    assert read_image(tmp_path / "more.zarr" / "raw").axes == "ZYX"


def test_names_of_dimensions_in_zarr(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr",
        data=pixels(3, 2, 20, 30),
        dimension_names=["time", "channel", "y", "x"],
    )
    assert read_image(tmp_path / "a.zarr").axes == "TCYX"


def test_a_damaged_zarr_is_refused(tmp_path):
    zarr.save_array(tmp_path / "a.zarr", pixels(20, 30))
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_image(tmp_path / "a.zarr")


# --- labels --------------------------------------------------------------------------


def labels_file(path, data, axes):
    tifffile.imwrite(path, data, metadata={"axes": axes}, photometric="minisblack")
    return path


def test_labels_come_in_the_order_of_the_image(tmp_path):
    image = ImageSource((pixels(3, 4, 2, 20, 30),), "TZCYX")
    data = pixels(4, 3, 20, 30)
    path = labels_file(tmp_path / "a.tif", data, "ZTYX")
    np.testing.assert_array_equal(read_labels(path, image), data.swapaxes(0, 1))
    assert read_labels(path).shape == (4, 3, 20, 30)


@pytest.mark.parametrize("told", ["ZYX", "TYX", "QYX"])
def test_labels_of_the_right_shape_fit_whatever_their_axes_are_called(tmp_path, told):
    image = ImageSource((pixels(5, 20, 30),), "TYX")
    path = labels_file(tmp_path / "a.tif", pixels(5, 20, 30), told)
    assert read_labels(path, image).shape == (5, 20, 30)


def test_axes_of_length_one_are_added_and_dropped(tmp_path):
    path = labels_file(tmp_path / "a.tif", pixels(20, 30), "YX")
    image = ImageSource((pixels(1, 20, 30),), "ZYX")
    assert read_labels(path, image).shape == (1, 20, 30)
    path = labels_file(tmp_path / "b.tif", pixels(1, 20, 30), "ZYX")
    flat = ImageSource((pixels(20, 30),), "YX")
    assert read_labels(path, flat).shape == (20, 30)


def test_grey_pictures_in_rgb_and_whole_floats_are_labels(tmp_path):
    data = pixels(20, 30, dtype=np.uint8)
    Image.fromarray(data).convert("RGB").save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), data)
    tifffile.imwrite(tmp_path / "b.tif", data.astype(np.float32))
    labels = read_labels(tmp_path / "b.tif")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, data)


def test_what_are_no_labels_is_said_in_words(tmp_path):
    image = ImageSource((pixels(20, 30),), "YX", name="cells")
    Image.fromarray(pixels(20, 30, 3, dtype=np.uint8)).save(tmp_path / "view.png")
    with pytest.raises(DataError, match=r"view\.png is a colour picture"):
        read_labels(tmp_path / "view.png", image)
    tifffile.imwrite(tmp_path / "p.tif", np.full((20, 30), 0.5, np.float32))
    with pytest.raises(DataError, match="labels are whole numbers"):
        read_labels(tmp_path / "p.tif", image)
    path = labels_file(tmp_path / "a.tif", pixels(20, 31), "YX")
    with pytest.raises(DataError, match=r"\(20, 31\) \(YX\), but the image 'cells'"):
        read_labels(path, image)


def test_metadata_that_lies_about_the_shape_does_no_harm(tmp_path):
    description = json.dumps({"shape": [7, 20, 30], "axes": "ZYX"})
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels(20, 30), description=description, metadata=None)
    with pytest.raises(DataError):
        read_image(path)
