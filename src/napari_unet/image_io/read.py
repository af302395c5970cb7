"""Open images and labels of every format that the plugin reads by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import DataError
from napari_unet.image_io.raw import RawImage, display_name
from napari_unet.image_io.store import PixelSize, is_zarr, read_zarr
from napari_unet.image_io.tiff import read_tiff

FORMATS = "TIFF, OME-TIFF, PNG, JPEG, BMP, NPY or OME-Zarr"


def read_image(
    path: str | Path,
    axes: str | None = None,
    ndim: int = 0,
    *,
    voxel_size: tuple[float, ...] | None = None,
    unit: str | None = None,
    near: PixelSize | None = None,
    on_note: Callable[[str], object] | None = None,
) -> ImageSource:
    """Open an image; large ones are read when they are needed.

    Parameters
    ----------
    path : path
        TIFF, OME-TIFF, ImageJ TIFF, PNG, JPEG, BMP, NPY, or a zarr or OME-Zarr folder.
    axes : str, optional
        Letters out of ``TCZYX``, one per axis. Default: what the file says, else a
        guess by the number of axes.
    ndim : {0, 2, 3}, optional
        2 treats each plane of a volume as an image of its own; 0 leaves it to the axes.
    voxel_size : tuple of float, optional
        Size along (Z) Y X, instead of what the file says.
    unit : str, optional
        Unit of the voxel size, instead of what the file says.
    near : PixelSize, optional
        Of an image in several resolutions, take the one whose pixels are nearest to
        this size; the full one by default.
    on_note : callable, optional
        Gets a sentence where the file cannot be read piece by piece.

    Returns
    -------
    ImageSource

    Raises
    ------
    DataError
        If there is no such file, or it is damaged, or no image.
    """
    path = Path(path)
    raw = read_raw(path, near=near).with_known_axes(path.name, axes)
    if on_note is not None and raw.note:
        on_note(raw.note)
    return ImageSource(
        (raw.array,),
        raw.axes,
        voxel_size=voxel_size or raw.voxel_size(),
        unit=unit or raw.unit,
        name=display_name(path),
        ndim=ndim,
    )


def read_raw(
    path: Path, *, palette: bool = False, near: PixelSize | None = None
) -> RawImage:
    """Open a file by what is in it, not by its ending.

    Parameters
    ----------
    path : Path
    palette : bool
        Give the indices of a picture with a palette (labels) instead of its colours.
    near : PixelSize, optional
        As in :func:`read_image`.
    """
    try:
        if path.is_dir():
            if is_zarr(path):
                return read_zarr(path, near)
            raise DataError(
                f"{path} is a folder, not an image: choose a file inside it."
            )
        return _read_file(path, palette=palette, near=near)
    except FileNotFoundError as error:
        raise DataError(f"There is no file {path}: check the path.") from error
    except OSError as error:
        raise DataError(
            f"{path} could not be read: {error.strerror or error}."
        ) from error


def _read_file(path: Path, *, palette: bool, near: PixelSize | None) -> RawImage:
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(TIFFS):
        return read_tiff(path, near)
    if start.startswith(NUMPY):
        return _read_npy(path)
    if start.startswith(PICTURES):
        return _read_picture(path, palette=palette)
    if not start:
        raise DataError(f"{path.name} is empty: copy or download it again.")
    raise DataError(
        f"{path.name} is not an image that can be read here: save it as {FORMATS}, "
        "or open it in napari with the plugin for its format."
    )


def _read_npy(path: Path) -> RawImage:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:
        raise DataError(
            f"{path.name} is damaged or holds something else than one array of "
            "numbers: save it again with numpy.save."
        ) from error
    return RawImage(array)


def _read_picture(path: Path, *, palette: bool) -> RawImage:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            mode = PLAIN_MODES.get(image.mode, image.mode)
            keep = mode == image.mode or (palette and image.mode == "P")
            pixels = np.asarray(image if keep else image.convert(mode))
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{path.name} is very large for its format: save it as TIFF or OME-Zarr."
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DataError(
            f"{path.name} is damaged or cut short: copy or download it again."
        ) from error
    return RawImage(pixels, "YXC"[: pixels.ndim])


# Opacity is no channel, and a palette or printing colours are shown as RGB.
PLAIN_MODES = {
    "P": "RGB",
    "PA": "RGB",
    "RGBA": "RGB",
    "RGBX": "RGB",
    "LA": "L",
    "La": "L",
    "RGBa": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
}

PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8")

TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
NUMPY = b"\x93NUMPY"


def read_labels(path: str | Path, source: ImageSource | None = None) -> ArrayLike:
    """Open labels: whole numbers, one per pixel.

    Parameters
    ----------
    path : path
        As in :func:`read_image`.
    source : ImageSource, optional
        The image they belong to: axes are brought into the order of its
        ``labels_axes``, and the shape is compared.

    Returns
    -------
    array-like of int

    Raises
    ------
    DataError
        If the file cannot be read, holds no whole numbers or colours, or does not fit
        `source`.
    """
    path = Path(path)
    raw = read_raw(path, palette=True)
    if source is not None and not raw.axes and raw.shape == source.labels_shape:
        return _whole_numbers(raw.array, path)
    raw = _without_channels(raw.with_known_axes(path.name), path)
    array = _whole_numbers(raw.array, path)
    if source is None:
        return array
    axes = raw.axes
    if array.shape == source.labels_shape and (
        axes == source.labels_axes or sorted(axes) != sorted(source.labels_axes)
    ):
        return array
    fitted = _fit(np.asarray(array), axes, source.labels_axes)
    if fitted is None or fitted.shape != source.labels_shape:
        raise DataError(
            f"The labels {path.name} have the shape {tuple(array.shape)} ({axes}), but "
            f"the image {source.name!r} needs {source.labels_shape} "
            f"({source.labels_axes}): choose labels that were made for this image."
        )
    return fitted


def _without_channels(raw: RawImage, path: Path) -> RawImage:
    """Labels saved as a grey picture in RGB lose their copies."""
    if "C" not in raw.axes:
        return raw
    axis = raw.axes.index("C")
    array = np.asarray(raw.array)
    first = array.take(0, axis)
    if any((array.take(k, axis) != first).any() for k in range(array.shape[axis])):
        raise DataError(
            f"{path.name} is a colour picture or has several channels, but labels and "
            "targets are one number per pixel: save the labels themselves, not a view "
            "of them."
        )
    return RawImage(first, raw.axes.replace("C", ""), raw.spacing, raw.unit)


def _whole_numbers(array: ArrayLike, path: Path) -> ArrayLike:
    dtype = np.dtype(array.dtype)
    if dtype.kind in "bui":
        return array
    if dtype.kind == "f":
        values = np.asarray(array)
        whole = np.isfinite(values).all() and (values == np.rint(values)).all()
        if whole and (not values.size or np.abs(values).max() < 2**31):
            return values.astype(np.int32)
    raise DataError(
        f"{path.name} holds {dtype} values, but labels are whole numbers: "
        "choose the file with the labels."
    )


def _fit(array: NDArray[Any], axes: str, wanted: str) -> NDArray[Any] | None:
    """Bring `axes` to `wanted`, adding or dropping axes of length 1."""
    for letter in axes:
        if letter not in wanted and array.shape[axes.index(letter)] == 1:
            array = array.squeeze(axes.index(letter))
            axes = axes.replace(letter, "")
    for letter in wanted:
        if letter not in axes:
            array = array[np.newaxis]
            axes = letter + axes
    if sorted(axes) != sorted(wanted):
        return None
    return array.transpose([axes.index(letter) for letter in wanted])
