"""Write labels and probability maps as TIFF that Fiji, QuPath and napari read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import check_axes, spatial_axes
from napari_unet.errors import DataError
from napari_unet.files import atomic_file

FILE_ORDER = "TZCYX"
"""Order of axes in ImageJ's TIFF."""

LARGEST_IMAGEJ_BYTES = 3 * 2**30
"""ImageJ's TIFF ends at 4 GiB; larger images become OME-TIFF."""


def write_labels(
    path: str | Path,
    labels: NDArray[Any],
    axes: str,
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
) -> None:
    """Write labels as a compressed TIFF with axes and voxel size.

    The smallest of uint8, uint16 and uint32 that holds the labels is used; the file
    appears only when it is complete.

    Parameters
    ----------
    path : path
        Replaced if it exists.
    labels : array of int, axes `axes`
        Not below 0.
    axes : str
        Letters out of ``TZYX``.
    voxel_size : sequence of float
        Size along (Z) Y X; the last ones count where fewer are given than there are
        spatial axes. Nothing is written without any.
    unit : str
        Unit of `voxel_size`.

    Raises
    ------
    DataError
        If the disk refuses.
    ValueError
        If a label is below 0 or too large for 32 bits.
    """
    labels = np.asarray(labels)
    lowest, highest = (labels.min(), labels.max()) if labels.size else (0, 0)
    if lowest < 0 or highest > np.iinfo(np.uint32).max:
        raise ValueError(f"labels from {lowest} to {highest} cannot be written")
    fitting = (t for t in (np.uint8, np.uint16) if highest <= np.iinfo(t).max)
    smallest = next(fitting, np.uint32)
    _write(Path(path), labels.astype(smallest, copy=False), axes, voxel_size, unit)


def write_probabilities(
    path: str | Path,
    maps: NDArray[Any],
    axes: str,
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
    names: Sequence[str] = (),
) -> None:
    """Write probability maps as a compressed float32 TIFF, one channel a map.

    Parameters
    ----------
    path : path
        Replaced if it exists.
    maps : array of float, axes `axes`
    axes : str
        Letters out of ``CTZYX``.
    voxel_size, unit
        As in :func:`write_labels`.
    names : sequence of str
        Names of the channels.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    _write(Path(path), maps.astype(np.float32), axes, voxel_size, unit, names)


def write_image(
    path: str | Path,
    image: NDArray[Any],
    axes: str,
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
) -> None:
    """Write an image as a compressed TIFF, its values as they are.

    Parameters
    ----------
    path, voxel_size, unit
        As in :func:`write_labels`.
    image : array, axes `axes`
    axes : str
        Letters out of ``CTZYX``.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    image = image.astype(np.uint8) if image.dtype == bool else image
    _write(Path(path), image, axes, voxel_size, unit)


def write_values(
    path: str | Path,
    values: NDArray[Any],
    axes: str,
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
) -> None:
    """Write an image of values as a compressed float32 TIFF.

    Parameters
    ----------
    path, axes, voxel_size, unit
        As in :func:`write_labels`.
    values : array of float, axes `axes`

    Raises
    ------
    DataError
        If the disk refuses.
    """
    _write(Path(path), values.astype(np.float32), axes, voxel_size, unit)


def _write(
    path: Path,
    array: NDArray[Any],
    axes: str,
    voxel_size: Sequence[float],
    unit: str,
    names: Sequence[str] = (),
) -> None:
    import tifffile

    axes = check_axes(axes, array.shape)
    order = [letter for letter in FILE_ORDER if letter in axes]
    array = array.transpose([axes.index(letter) for letter in order])
    spatial = spatial_axes(axes)
    sizes = tuple(voxel_size)[-len(spatial) :]
    spacing = dict(zip(spatial[-len(sizes) :], sizes, strict=True)) if sizes else {}
    imagej = array.dtype in (np.uint8, np.uint16, np.float32)
    imagej = imagej and array.nbytes < LARGEST_IMAGEJ_BYTES
    options = (_imagej_options if imagej else _ome_options)(
        "".join(order), spacing, unit, list(names)
    )
    try:
        with atomic_file(path) as file:
            tifffile.imwrite(
                file,
                np.ascontiguousarray(array),
                photometric="minisblack",
                compression="zlib",
                predictor=array.dtype.kind != "f",
                maxworkers=1,
                **options,
            )
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error


def _imagej_options(
    axes: str, spacing: dict[str, float], unit: str, names: list[str]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes, "unit": _imagej_unit(unit)}
    if names:
        metadata["Labels"] = names
    if "Z" in spacing:
        metadata["spacing"] = spacing["Z"]
    options: dict[str, Any] = {"imagej": True, "metadata": metadata}
    if "X" in spacing:
        options["resolution"] = (1 / spacing["X"], 1 / spacing.get("Y", spacing["X"]))
    return options


def _imagej_unit(unit: str) -> str:
    # ImageJ's header is ASCII; "um" is what ImageJ itself turns into µm.
    short = {"micrometer": "um", "nanometer": "nm", "millimeter": "mm"}
    return short.get(unit, unit).encode("ascii", "ignore").decode() or "pixel"


def _ome_options(
    axes: str, spacing: dict[str, float], unit: str, names: list[str]
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"axes": axes}
    symbols = {
        "micrometer": "µm",
        "nanometer": "nm",
        "millimeter": "mm",
        "centimeter": "cm",
        "meter": "m",
        "angstrom": "Å",
        "inch": "in",
    }
    for letter, size in spacing.items():
        metadata[f"PhysicalSize{letter}"] = size
        metadata[f"PhysicalSize{letter}Unit"] = symbols.get(unit, "pixel")
    if names:
        metadata["Channel"] = {"Name": names}
    return {"ome": True, "metadata": metadata, "bigtiff": True}
