"""Zarr arrays and OME-Zarr images, formats 2 and 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet.errors import DataError
from napari_unet.image_io.raw import RawImage
from napari_unet.units import METRES, unit_name

MARKERS = (".zarray", ".zgroup", "zarr.json", ".zmetadata")
"""Files that make a folder a zarr store."""


@dataclass(frozen=True)
class PixelSize:
    """Size of a pixel in the plane, such as a model was trained on."""

    size: float
    unit: str

    @classmethod
    def known(cls, voxel_size: Sequence[float], unit: str) -> PixelSize | None:
        """That of voxels (Z) Y X, if there are any."""
        return cls(voxel_size[-1], unit) if voxel_size else None

    def share(self, image: RawImage) -> float | None:
        """How many of these pixels one of an image is long; None if not known."""
        found = image.spacing.get("X", image.spacing.get("Y"))
        ours, theirs = unit_name(self.unit), unit_name(image.unit)
        if not found or "pixel" in (ours, theirs):
            return None
        if ours == theirs:
            return found / self.size
        if ours not in METRES or theirs not in METRES:
            return None
        return found * METRES[theirs] / (self.size * METRES[ours])


def nearest_level(shares: Sequence[float | None]) -> int:
    """Which of some resolutions looks most like what a model has learnt from.

    Parameters
    ----------
    shares : sequence of float or None
        Length of their pixels over that of the model's; None to leave one out.

    Returns
    -------
    int
        The first of equals, and 0 where nothing is known.
    """
    known = [k for k, share in enumerate(shares) if share]
    return min(known, key=lambda k: abs(math.log(shares[k] or 1)), default=0)


def is_zarr(path: Path) -> bool:
    """Whether a folder is a zarr array or group."""
    return path.is_dir() and any((path / marker).is_file() for marker in MARKERS)


def read_zarr(path: Path, near: PixelSize | None = None) -> RawImage:
    """A zarr array, or one resolution of an OME-Zarr image; nothing is loaded.

    Parameters
    ----------
    path : Path
    near : PixelSize, optional
        Take the resolution whose pixels are nearest to this size; the full one by
        default, and where its unit is not known.

    Raises
    ------
    DataError
        If the store is damaged or holds no image, or several and none is named.
    """
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
        if isinstance(node, zarr.Array):
            return RawImage(node, _dimension_names(node))
        return _read_group(path, node, near)
    except DataError:
        raise
    # zarr 2 and 3 raise many kinds, and stores are often incomplete copies.
    except Exception as error:
        raise DataError(
            f"The zarr folder {path.name} cannot be read: copy or download it again."
        ) from error


def _read_group(path: Path, group: Any, near: PixelSize | None) -> RawImage:
    import zarr

    attributes = dict(group.attrs)
    attributes = attributes.get("ome", attributes)
    if "multiscales" in attributes:
        return _read_multiscale(group, attributes["multiscales"][0], near)
    if "bioformats2raw.layout" in attributes and "0" in group:
        return _read_group(path / "0", group["0"], near)
    arrays = [key for key in group if isinstance(group[key], zarr.Array)]
    if len(arrays) == 1:
        only = group[arrays[0]]
        return RawImage(only, _dimension_names(only))
    if not arrays:
        raise DataError(
            f"The zarr folder {path.name} holds no image: "
            "choose the folder of an OME-Zarr image or of an array inside it."
        )
    raise DataError(
        f"The zarr folder {path.name} holds several arrays: choose one of them, "
        f"such as {path.name}/{sorted(arrays)[0]}."
    )


def _read_multiscale(
    group: Any, multiscale: dict[str, Any], near: PixelSize | None
) -> RawImage:
    levels = [
        _read_level(group, multiscale, dataset) for dataset in multiscale["datasets"]
    ]
    if near is None:
        return levels[0]
    return levels[nearest_level([near.share(level) for level in levels])]


def _read_level(
    group: Any, multiscale: dict[str, Any], dataset: dict[str, Any]
) -> RawImage:
    array = group[dataset["path"]]
    axes = multiscale.get("axes", [])
    names = [a["name"] if isinstance(a, dict) else a for a in axes]
    letters = _letters(names) if len(names) == len(array.shape) else ""
    scale = [1.0] * len(letters)
    for owner in (dataset, multiscale):
        for transform in owner.get("coordinateTransformations", []):
            if transform.get("type") == "scale":
                factors = transform["scale"]
                scale = [a * float(b) for a, b in zip(scale, factors, strict=True)]
    spacing = {
        letter: size
        for letter, size in zip(letters, scale, strict=True)
        if letter in "ZYX" and size > 0
    }
    units = [
        a["unit"]
        for a in axes
        if isinstance(a, dict) and a.get("unit") and a["name"].upper() in "ZYX"
    ]
    unit = unit_name(units[-1]) if units else "pixel"
    return RawImage(array, letters, spacing, unit)


def _dimension_names(array: Any) -> str:
    names = getattr(getattr(array, "metadata", None), "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    if not names or None in names or len(names) != len(array.shape):
        return ""
    return _letters(names)


def _letters(names: list[str]) -> str:
    """First letters of dimension names; a name we do not know becomes unknown."""
    words = {"TIME": "T", "CHANNEL": "C", "CHANNELS": "C", "BAND": "C", "PLANE": "Z"}
    letters = []
    for name in names:
        word = str(name).upper()
        letter = words.get(word, word if word in tuple("TCZYX") else "Q")
        letters.append(letter)
    return "".join(letters)
