"""TIFF, OME-TIFF and ImageJ TIFF: pixels without loading more than is needed."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ArrayLike
from napari_unet.errors import DataError
from napari_unet.image_io.raw import RawImage
from napari_unet.image_io.store import PixelSize, nearest_level
from napari_unet.image_io.tiff_regions import TiffRegions
from napari_unet.units import METRES, unit_name

# Pages of a truncated file are missing without an exception: tifffile only logs it.
SIGNS_OF_DAMAGE = (
    "invalid page offset",
    "invalid value offset",
    "failed to reshape",
    "corrupted",
)

DECODED_BYTES = 2**28
"""Compressed pixels up to so many bytes are decoded at once."""
SCREEN_PIXEL_UM = 40.0
"""Pixels larger than this are a printing resolution (72 to 600 dpi), not a scale."""


def read_tiff(path: Path, near: PixelSize | None = None) -> RawImage:
    """The first image series of a TIFF, at one of its resolutions.

    Uncompressed pixels are memory-mapped. Compressed ones are decoded into memory, or,
    where there are many, piece by piece when they are read. Where that cannot be, the
    image has a note that says so.

    Parameters
    ----------
    path : Path
    near : PixelSize, optional
        Take the resolution whose pixels are nearest to this size; the full one by
        default, and where its size is not known.

    Raises
    ------
    DataError
        If the file is damaged or its compression is unknown.
    """
    import tifffile

    try:
        with _watch_log() as problems, tifffile.TiffFile(path) as tif:
            series = tif.series[0]
            spacing, unit = _scale(tif)
            level = 0
            if near is not None and len(series.levels) > 1 and _decodable(series):
                scales = [_coarser(spacing, series, each) for each in series.levels]
                images = [
                    RawImage(each, "", scale, unit)
                    for each, scale in zip(series.levels, scales, strict=True)
                ]
                level = nearest_level([near.share(image) for image in images])
                series, spacing = series.levels[level], scales[level]
            array, note = _pixels(path, tif, series, level)
    except (DataError, OSError):
        raise
    except MemoryError as error:
        raise DataError(
            f"{path.name} is larger than the free memory, or damaged: save it as "
            "OME-Zarr or as an uncompressed TIFF."
        ) from error
    # A damaged header makes tifffile and its decoders raise nearly anything.
    except Exception as error:
        raise _damaged(path) from error
    if any(sign in text for text in problems for sign in SIGNS_OF_DAMAGE):
        raise _damaged(path)
    axes = str(series.axes)
    if isinstance(array, np.ndarray) and _has_opacity(series):
        array = array[..., :3]
    return RawImage(array, axes, spacing, unit, note)


def _has_opacity(series: Any) -> bool:
    """Whether the fourth colour says how much is seen of the others."""
    rgba = str(series.axes).endswith("S") and series.shape[-1] == 4
    return bool(rgba and series.keyframe.extrasamples)


def _damaged(path: Path) -> DataError:
    return DataError(
        f"{path.name} is damaged or cut short: copy or download it again, "
        "or save it anew in the program that made it."
    )


@contextmanager
def _watch_log() -> Iterator[list[str]]:
    texts: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    logger = logging.getLogger("tifffile")
    listener = Listener(logging.WARNING)
    logger.addHandler(listener)
    propagate, logger.propagate = logger.propagate, False
    try:
        yield texts
    finally:
        logger.propagate = propagate
        logger.removeHandler(listener)


def _coarser(spacing: dict[str, float], full: Any, level: Any) -> dict[str, float]:
    """Size of the pixels of a resolution, where that of the full one is `spacing`."""
    return {
        letter: size
        * full.shape[full.axes.index(letter)]
        / level.shape[level.axes.index(letter)]
        for letter, size in spacing.items()
        if letter in full.axes and letter in level.axes
    }


def _decodable(series: Any) -> bool:
    """Whether tifffile itself can decode the pixels."""
    import tifffile

    page = series.keyframe
    known = int(page.compression) in tifffile.TIFF.DECOMPRESSORS
    return known and int(page.predictor) in tifffile.TIFF.UNPREDICTORS


def _pixels(path: Path, tif: Any, series: Any, level: int) -> tuple[ArrayLike, str]:
    """Pixels of a resolution, and what to know about how they are read."""
    if series.dataoffset is not None:
        mapped: NDArray[Any] = np.memmap(
            path,
            dtype=tif.byteorder + series.dtype.char,
            mode="r",
            offset=series.dataoffset,
            shape=tuple(series.shape),
        )
        return mapped, ""
    page = series.keyframe
    large = series.nbytes > DECODED_BYTES
    if not _decodable(series):
        name = getattr(page.compression, "name", "an unknown way")
        note = (
            f"{path.name} is compressed with {name} and has to be decoded as a whole: "
            "install the package imagecodecs to read it in pieces."
        )
        return _decode_with_pillow(path, series), note if large else ""
    if not large:
        decoded: NDArray[Any] = series.asarray(maxworkers=1)
        return decoded, ""
    regions = TiffRegions(path, 3 if _has_opacity(series) else None, level)
    if regions.largest_piece <= DECODED_BYTES:
        return regions, ""
    return regions, (
        f"{path.name} is compressed in very large pieces, each of which has to be "
        "decoded as a whole: save it in tiles, or as OME-Zarr, to read it with less "
        "memory."
    )


def _decode_with_pillow(path: Path, series: Any) -> NDArray[Any]:
    """Compressions such as LZW and JPEG, for which tifffile needs another package."""
    from PIL import Image, UnidentifiedImageError

    planes = []
    try:
        with Image.open(path) as image:
            for page in series.pages:
                image.seek(page.index)
                planes.append(np.asarray(image))
        stack = np.stack(planes).reshape(series.shape)
    except (UnidentifiedImageError, OSError, ValueError, AttributeError) as error:
        name = getattr(series.keyframe.compression, "name", "an unknown way")
        raise DataError(
            f"{path.name} is compressed with {name}, which cannot be read here: "
            "install the package imagecodecs, or save the image uncompressed."
        ) from error
    if stack.dtype == bool and series.dtype != bool:
        stack = stack.astype(series.dtype)
    return stack


def _scale(tif: Any) -> tuple[dict[str, float], str]:
    """Pixel size by axis letter, and its unit."""
    if tif.is_ome:
        found = _ome_scale(tif)
        if found[0]:
            return found
    metadata = tif.imagej_metadata or {}
    if not metadata and tif.shaped_metadata:
        metadata = tif.shaped_metadata[0]
    page = tif.pages[0]
    spacing: dict[str, float] = {}
    for letter, tag in (("Y", "YResolution"), ("X", "XResolution")):
        value = page.tags.get(tag)
        pixels_per_unit = _ratio(value.value) if value is not None else 0.0
        if pixels_per_unit > 0:
            spacing[letter] = 1.0 / pixels_per_unit
    if "unit" in metadata:
        _put(spacing, "Z", metadata.get("spacing"))
        return spacing, unit_name(metadata["unit"])
    unit_tag = page.tags.get("ResolutionUnit")
    micrometres = {2: 25_400.0, 3: 10_000.0}.get(
        int(unit_tag.value) if unit_tag is not None else 0, 0.0
    )
    in_um = {a: size * micrometres for a, size in spacing.items()}
    if in_um and all(0 < size < SCREEN_PIXEL_UM for size in in_um.values()):
        return in_um, "micrometer"
    spacing = {}
    if _put(spacing, "Z", metadata.get("spacing")):
        spacing.update(Y=1.0, X=1.0)
    return spacing, "pixel"


def _ome_scale(tif: Any) -> tuple[dict[str, float], str]:
    import tifffile

    try:
        image = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
        pixels = (image[0] if isinstance(image, list) else image)["Pixels"]
    except (KeyError, TypeError, ValueError, SyntaxError):
        return {}, "pixel"
    spacing: dict[str, float] = {}
    units = {}
    for letter in "ZYX":
        if _put(spacing, letter, pixels.get(f"PhysicalSize{letter}")):
            unit = pixels.get(f"PhysicalSize{letter}Unit", "µm")
            units[letter] = unit_name(unit)
    if len(set(units.values())) > 1:
        return _in_one_unit(spacing, units)
    return spacing, next(iter(units.values()), "pixel")


def _in_one_unit(
    spacing: dict[str, float], units: dict[str, str]
) -> tuple[dict[str, float], str]:
    """Sizes in the unit of X; nothing where a unit has no length."""
    target = units.get("X", "micrometer")
    if not set(units.values()) <= METRES.keys() or target not in METRES:
        return {}, "pixel"
    return {
        a: size * METRES[units[a]] / METRES[target] for a, size in spacing.items()
    }, target


def _put(spacing: dict[str, float], letter: str, value: object) -> bool:
    try:
        size = abs(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    if not math.isfinite(size) or size == 0:
        return False
    spacing[letter] = size
    return True


def _ratio(value: Any) -> float:
    numerator, denominator = value if isinstance(value, tuple) else (value, 1)
    return numerator / denominator if denominator else 0.0
