"""Measuring objects: frame by frame, block by block."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import guess_axes
from napari_unet.data.source import ArrayLike, Box, ImageSource, sample_index
from napari_unet.errors import DataError
from napari_unet.measure.blocks import BLOCK_VOXELS, chunk_sizes, cut
from napari_unet.measure.pieces import Pieces, majority, measure_block, merge
from napari_unet.measure.table import ObjectTable, bounds_names, short_unit

SAMPLE_COLUMNS = {"T": "frame", "Z": "plane"}
"""Columns that say in which of many images an object is."""


@dataclass(frozen=True)
class BlockDone:
    """Another part of the labels was read."""

    done: int
    total: int


def measure_objects(
    labels: ArrayLike | ImageSource,
    axes: str | None = None,
    voxel_size: Sequence[float] = (),
    unit: str = "pixel",
    *,
    image: ArrayLike | ImageSource | None = None,
    classes: ArrayLike | None = None,
    class_names: Mapping[int, str] | None = None,
    channels: Sequence[str] = (),
    ndim: int = 0,
    solidity: bool = True,
    on_event: Callable[[BlockDone], object] | None = None,
) -> ObjectTable:
    """Measure every object of some labels.

    Parameters
    ----------
    labels : array of int
        Axes `axes`: numpy, dask, zarr or the like; big ones are read in blocks. Every
        value above 0 is an object, whether it hangs together or not. Frames are
        measured one by one.
    axes : str, optional
        Letters out of ``TZYX``. Default: ``YX``, ``ZYX`` or ``TZYX`` by their number.
    voxel_size : sequence of float
        Size along (Z) Y X in `unit`; 1 by default.
    unit : str
        Such as ``"micrometer"``.
    image : array, optional
        What brightness is measured in: the labels' axes, with C before or behind them.
    classes : array of int, optional
        A class for every voxel, of the labels' shape: an object gets the most frequent
        value inside it.
    class_names : mapping of int to str, optional
        Names for these values.
    channels : sequence of str
        Names of the image's channels; numbered from 1 by default.
    ndim : {0, 2, 3}
        2 measures each plane of a volume by itself.
    solidity : bool
        Whether to measure solidity, which takes most of the time in 3D.
    on_event : callable, optional
        Called after each block.

    Returns
    -------
    ObjectTable

    Raises
    ------
    DataError
        If shapes or axes do not fit each other, or the labels are no whole numbers.
    """
    source = _labels_source(labels, axes, voxel_size, unit, ndim)
    events = measure_blocks(
        source,
        [] if image is None else [_image_source(image, source)],
        classes=classes,
        class_names=class_names,
        channels=channels,
        solidity=solidity,
    )
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            table: ObjectTable = end.value
            return table
        if on_event is not None:
            on_event(event)


def measure_blocks(
    labels: ImageSource,
    images: Sequence[ImageSource] = (),
    *,
    classes: ArrayLike | None = None,
    class_names: Mapping[int, str] | None = None,
    channels: Sequence[str] = (),
    solidity: bool = True,
    block_voxels: int = BLOCK_VOXELS,
) -> Generator[BlockDone, None, ObjectTable]:
    """Like :func:`measure_objects`, an event a block; returns the table.

    Several images are measured as if they were channels of one. The table does not
    depend on how labels are cut into blocks.
    """
    kinds = None if classes is None else _like(labels, classes)
    _check(labels)
    for image in images:
        _check_fit(labels, image)
    boxes = cut(labels.spatial_shape, chunk_sizes(labels), block_voxels)
    frames: list[tuple[int, Pieces]] = []
    total = len(boxes) * labels.n_samples
    for sample in range(labels.n_samples):
        found = []
        for number, box in enumerate(boxes, start=1):
            piece = measure_block(
                labels.read(sample, box)[0],
                box,
                labels.spatial_shape,
                _pixels(images, sample, box),
                None if kinds is None else kinds.read(sample, box)[0],
                solidity=solidity,
            )
            if piece is not None:
                found.append(piece)
            yield BlockDone(sample * len(boxes) + number, total)
        if found:
            frames.append((sample, merge(found)))
    names = _channel_names(channels, sum(i.n_channels for i in images))
    columns = _columns(frames, labels, names, classes is not None, class_names or {})
    if not solidity:
        del columns["solidity"]
    return ObjectTable(columns, labels.spatial, labels.unit)


def _labels_source(
    labels: ArrayLike | ImageSource,
    axes: str | None,
    voxel_size: Sequence[float],
    unit: str,
    ndim: int,
) -> ImageSource:
    if isinstance(labels, ImageSource):
        return labels
    axes = axes or guess_axes(labels.shape)
    size = tuple(voxel_size)
    return ImageSource((labels,), axes, size, unit, "labels", ndim)


def _image_source(image: ArrayLike | ImageSource, labels: ImageSource) -> ImageSource:
    if isinstance(image, ImageSource):
        return image
    shape = tuple(image.shape)
    for axes, part in (
        (labels.axes, shape),
        (f"C{labels.axes}", shape[1:]),
        (f"{labels.axes}C", shape[:-1]),
    ):
        if part == labels.labels_shape and len(axes) == len(shape):
            return ImageSource((image,), axes, name="image", ndim=labels.ndim)
    raise DataError(
        f"The image has the shape {shape}, but the labels have {labels.labels_shape}: "
        "they must be equal, apart from channels as the first or last axis."
    )


def _like(labels: ImageSource, classes: ArrayLike) -> ImageSource:
    """Classes as a source that is read like the labels."""
    shape = tuple(classes.shape)
    if shape != labels.labels_shape:
        raise DataError(
            f"The classes have the shape {shape}, but the labels have "
            f"{labels.labels_shape}: choose a layer or file of the same size."
        )
    if np.dtype(classes.dtype).kind not in "bui":
        raise DataError(
            f"The classes are {classes.dtype} values, but must be whole numbers."
        )
    return ImageSource((classes,), labels.axes, name="classes", ndim=labels.ndim)


def _pixels(images: Sequence[ImageSource], sample: int, box: Box) -> Any:
    """All channels of all images, C (Z) Y X; ``None`` without images."""
    parts = [image.read(sample, box) for image in images]
    return np.concatenate(parts) if parts else None


def _check(labels: ImageSource) -> None:
    if "C" in labels.axes or len(labels.arrays) > 1:
        raise DataError(
            f"The labels {labels.name!r} have channels: choose one channel of them."
        )
    dtype = np.dtype(labels.arrays[0].dtype)
    if dtype.kind not in "bui":
        raise DataError(
            f"The labels {labels.name!r} are {dtype} values, but labels are whole "
            "numbers: choose the labels, not an image."
        )


def _check_fit(labels: ImageSource, image: ImageSource) -> None:
    same = (image.labels_axes, image.labels_shape, image.ndim)
    if same != (labels.axes, labels.labels_shape, labels.ndim):
        raise DataError(
            f"The image {image.name!r} has the shape {image.labels_shape} "
            f"({image.labels_axes}), but the labels have {labels.labels_shape} "
            f"({labels.axes}): choose the image that they were made from."
        )


def _channel_names(given: Sequence[str], n_channels: int) -> list[str]:
    """Endings of the columns of each channel."""
    if given and len(given) != n_channels:
        raise DataError(
            f"There are {len(given)} names for {n_channels} channels: give one each."
        )
    if n_channels == 1 and not given:
        return [""]
    names = [str(name) for name in given] or [str(k + 1) for k in range(n_channels)]
    return [
        f"_{name}" if names.count(name) == 1 else f"_{name}_{number}"
        for number, name in enumerate(names, start=1)
    ]


def _columns(
    frames: Sequence[tuple[int, Pieces]],
    labels: ImageSource,
    channels: Sequence[str],
    with_classes: bool,
    class_names: Mapping[int, str],
) -> dict[str, NDArray[Any]]:
    d, unit = labels.ndim, short_unit(labels.unit)
    size = np.array(labels.voxel_size)

    def joined(name: str, *shape: int) -> NDArray[Any]:
        parts = [getattr(pieces, name) for _, pieces in frames]
        return np.concatenate(parts) if parts else np.empty((0, *shape))

    ids = joined("ids").astype(np.int64)
    columns: dict[str, NDArray[Any]] = {"id": ids}
    if with_classes:
        values = [majority(pieces) for _, pieces in frames]
        columns["class"] = np.concatenate(values) if values else ids
        if class_names:
            names = [class_names.get(v, "") for v in columns["class"].tolist()]
            columns["class_name"] = np.array(names, dtype=object)
    counts = [len(pieces.ids) for _, pieces in frames]
    places = [sample_index(labels.sample_shape, sample) for sample, _ in frames]
    for k, letter in enumerate(labels.sample_axes):
        index = np.array([place[k] for place in places], np.int64)
        columns[SAMPLE_COLUMNS[letter]] = np.repeat(index, counts)
    voxels = joined("voxels").astype(np.int64)
    columns["voxels"] = voxels
    measure, power = ("volume", 3) if d == 3 else ("area", 2)
    columns[f"{measure}_{unit}{power}"] = voxels * float(np.prod(size))
    axes = ("major", "middle", "minor") if d == 3 else ("major", "minor")
    lengths = axis_lengths(joined("covariance", d, d), size)
    for name, length in zip(axes, lengths.T, strict=True):
        columns[f"axis_{name}_{unit}"] = length
    columns["solidity"] = joined("solidity").astype(np.float64)
    start, stop = joined("start", d), joined("stop", d)
    columns["touches_border"] = _touches(start, stop, labels.spatial_shape)
    n_channels = len(channels)
    kinds = {"mean": "mean", "min": "low", "max": "high"}
    found = {name: joined(field, n_channels) for name, field in kinds.items()}
    for k, channel in enumerate(channels):
        for name, values_ in found.items():
            columns[f"intensity_{name}{channel}"] = values_[:, k]
    letters = labels.spatial.lower()
    center = joined("center", d)
    for k, letter in enumerate(letters):
        columns[f"centroid_{letter}"] = center[:, k]
    for k, letter in enumerate(letters):
        columns[f"centroid_{letter}_{unit}"] = center[:, k] * size[k]
    for k, letter in enumerate(letters):
        for name, bound in zip(bounds_names(letter), (start, stop), strict=True):
            columns[name] = bound[:, k].astype(np.int64)
    return columns


def axis_lengths(
    covariance: NDArray[np.float64], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Axes of the ellipse or ellipsoid with the same covariance, longest first.

    The full axis is 2 √((d + 2) λ) for each eigenvalue λ: 4 √λ in 2D, √(20 λ) in 3D,
    as in scikit-image.

    Parameters
    ----------
    covariance : ndarray, N × d × d
        Of voxel indices.
    size : ndarray, d
        Voxel size.

    Returns
    -------
    ndarray, N × d
        In the unit of `size`.
    """
    physical = covariance * size[:, np.newaxis] * size
    values = np.linalg.eigvalsh(physical)[:, ::-1]
    lengths: NDArray[np.float64] = 2 * np.sqrt((len(size) + 2) * np.maximum(values, 0))
    return lengths


def _touches(
    start: NDArray[Any], stop: NDArray[Any], shape: Sequence[int]
) -> NDArray[np.bool_]:
    """Whether bounding boxes reach an edge of the image.

    An axis of length 1 has no inside, and does not count.
    """
    long = np.array(shape) > 1
    at_edge = (start == 0) | (stop == np.array(shape))
    touching: NDArray[np.bool_] = (at_edge & long).any(axis=1)
    return touching
