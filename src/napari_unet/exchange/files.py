"""Which format a file has, and the same two calls for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import spatial_axes
from napari_unet.config import AnnotationRule
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.exchange.cellpose import ENDING as CELLPOSE_ENDING
from napari_unet.exchange.cellpose import read_masks
from napari_unet.exchange.geojson import read_geojson, write_geojson
from napari_unet.exchange.imagej import is_roi_file, read_rois, write_rois
from napari_unet.exchange.shapes import Meaning, Shape, draw, extent

FORMATS = {
    ".tif": "TIFF for ImageJ, or OME-TIFF where labels are large",
    ".png": "PNG",
    ".zip": "outlines for the ROI Manager of ImageJ",
    ".geojson": "outlines for QuPath",
}
"""What labels can be exported to, by ending."""

PNG_LARGEST = 65_535
PLANES = "TZ"


@dataclass(frozen=True)
class ImportedLabels:
    """Labels of another tool.

    Parameters
    ----------
    labels : array of int32, axes `axes`
        0 is where the file says nothing.
    axes : str
    names, colors : mapping
        By label, where the file names classes.
    notes : list of str
        Sentences about what was left out or assumed.
    """

    labels: NDArray[np.int32]
    axes: str
    names: Mapping[int, str] = field(default_factory=dict)
    colors: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


def import_labels(
    path: str | Path,
    image: ImageSource | None = None,
    meaning: Meaning = "objects",
) -> ImportedLabels:
    """Read labels or outlines that another tool wrote; nothing in the file is run.

    Parameters
    ----------
    path : path
        A label image (TIFF, PNG, NPY, OME-Zarr), ``.roi`` or ``.zip`` of ImageJ,
        ``_seg.npy`` of Cellpose, or GeoJSON of QuPath or StarDist.
    image : ImageSource, optional
        What the labels belong to. Outlines say nothing of the size of their image;
        without one, the labels end where the last outline does.
    meaning : {"objects", "classes"}
        Whether each outline is an object, or outlines of one class get one label.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another kind, or of another image.
    """
    path = Path(path)
    if path.name.lower().endswith(CELLPOSE_ENDING):
        return _fitted(read_masks(path), path, image)
    if path.suffix.lower() in (".geojson", ".json"):
        return _drawn(read_geojson(path), image, meaning)
    if path.suffix.lower() in (".zip", ".roi") or is_roi_file(path):
        return _drawn(read_rois(path, _planes(image)), image, meaning)
    return _image_of_labels(path, image)


def _planes(image: ImageSource | None) -> str:
    if image is None:
        return ""
    lengths = dict(zip(image.labels_axes, image.labels_shape, strict=True))
    return "".join(a for a in PLANES if lengths.get(a, 1) > 1)


def _drawn(
    read: tuple[list[Shape], list[str]], image: ImageSource | None, meaning: Meaning
) -> ImportedLabels:
    shapes, notes = read
    if image is None:
        axes, size = extent(shapes)
    else:
        axes, size = image.labels_axes, image.labels_shape
    drawing = draw(shapes, axes, size, meaning)
    return ImportedLabels(
        drawing.labels, axes, drawing.names, drawing.colors, [*notes, *drawing.notes]
    )


def _fitted(
    masks: NDArray[np.int32], path: Path, image: ImageSource | None
) -> ImportedLabels:
    axes = "ZYX"[-masks.ndim :]
    if image is None:
        return ImportedLabels(masks, axes)
    wanted = tuple(n for n in image.labels_shape if n > 1)
    if tuple(n for n in masks.shape if n > 1) != wanted:
        raise DataError(
            f"The masks in {path.name} have the shape {masks.shape}, but the image "
            f"{image.name!r} needs {image.labels_shape} ({image.labels_axes}): choose "
            "the image that they were made for."
        )
    return ImportedLabels(masks.reshape(image.labels_shape), image.labels_axes)


def _image_of_labels(path: Path, image: ImageSource | None) -> ImportedLabels:
    from napari_unet.image_io import read_image, read_labels

    labels = np.asarray(read_labels(path, image))
    if labels.size and not 0 <= labels.min() <= labels.max() <= np.iinfo(np.int32).max:
        raise DataError(
            f"{path.name} holds values below 0 or beyond 2³¹, which are no labels: "
            "choose the file with the labels."
        )
    axes = read_image(path).labels_axes if image is None else image.labels_axes
    return ImportedLabels(labels.astype(np.int32), axes)


def as_annotation(labels: NDArray[np.int32], rule: AnnotationRule) -> NDArray[np.int32]:
    """Imported labels as an annotation by `rule`.

    Sparse: what the file says nothing about is not annotated, and objects or classes
    begin at 2, since 1 is background. Complete: all of it is background.
    """
    return labels if rule == "complete" else np.where(labels > 0, labels + 1, 0)


def export_labels(
    path: str | Path,
    labels: NDArray[Any],
    axes: str,
    *,
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
    classes: Mapping[int, tuple[str, str]] | None = None,
) -> str:
    """Write labels for other tools, in the format of the ending; returns a sentence.

    Parameters
    ----------
    path : path
        Ends in one of :data:`FORMATS`. Replaced once the new one is complete.
    labels : array of int, axes `axes`
        0 is background.
    axes : str
        Out of ``TZYX``.
    voxel_size : sequence of float
        Along (Z) Y X in `unit`.
    unit : str
    classes : mapping, optional
        Name and colour (``#rrggbb``) by label, where labels are classes.

    Raises
    ------
    DataError
        If the ending is unknown, the labels do not fit the format, or the disk refuses.
    """
    path, labels = Path(path), np.asarray(labels)
    if labels.size and labels.min() < 0:
        raise DataError("Labels below 0 cannot be exported: set them to 0 first.")
    if labels.dtype.kind == "b":
        labels = labels.astype(np.uint8)
    order = "".join(a for a in "TZYX" if a in axes)
    labels = labels.transpose([axes.index(a) for a in order])
    writers: dict[str, Callable[[], str]] = {
        ".tif": lambda: _tiff(path, labels, order, voxel_size, unit),
        ".png": lambda: _png(path, labels),
        ".zip": lambda: _outlines(write_rois(path, labels, order), "ImageJ"),
        ".geojson": lambda: _outlines(
            write_geojson(path, labels, order, classes), "QuPath"
        ),
    }
    writers[".tiff"] = writers[".tif"]
    write = writers.get(path.suffix.lower())
    if write is None:
        raise DataError(
            f"Labels cannot be exported as {path.suffix or 'a file without ending'!r}: "
            f"end the name in {', '.join(FORMATS)}."
        )
    return write()


def _tiff(
    path: Path,
    labels: NDArray[Any],
    axes: str,
    voxel_size: Sequence[float],
    unit: str,
) -> str:
    from napari_unet.image_io import write_labels

    if labels.size and int(labels.max()) > np.iinfo(np.uint32).max:
        raise DataError(
            "The largest label has more than 32 bits: number the labels anew first."
        )
    size = tuple(voxel_size)[-len(spatial_axes(axes)) :]
    write_labels(path, labels, axes, size, unit)
    return "Labels were written with their pixel size." if size else "Labels written."


def _png(path: Path, labels: NDArray[Any]) -> str:
    from PIL import Image

    from napari_unet.files import atomic_file

    plane = labels.squeeze()
    if plane.ndim != 2:
        raise DataError("A PNG holds one plane: export a stack as TIFF.")
    largest = int(plane.max(initial=0))
    if largest > PNG_LARGEST:
        raise DataError(
            f"A PNG holds labels up to {PNG_LARGEST:,}, and the largest one is "
            f"{largest:,}: export them as TIFF."
        )
    small = np.uint8 if largest < 256 else np.uint16
    try:
        with atomic_file(path) as file:
            Image.fromarray(plane.astype(small)).save(file, format="PNG")
    except OSError as error:
        raise DataError(
            f"{path} could not be written: {error.strerror or error}. "
            "Choose another folder or free some disk space."
        ) from error
    return "Labels written."


def _outlines(count: int, tool: str) -> str:
    word = "1 outline was" if count == 1 else f"{count:,} outlines were"
    return f"{word} written for {tool}."
