"""Images of values, such as distances, that belong to another image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import DataError
from napari_unet.image_io.read import _fit, _without_channels, read_raw


def read_values(path: str | Path, source: ImageSource) -> ArrayLike:
    """Open an image of one number per pixel.

    Parameters
    ----------
    path : path
        As in :func:`~napari_unet.image_io.read_image`.
    source : ImageSource
        The image it belongs to: axes are brought into the order of its
        ``labels_axes``.

    Raises
    ------
    DataError
        If the file cannot be read, has colours, or does not fit `source`.
    """
    path = Path(path)
    raw = read_raw(path)
    if not raw.axes and raw.shape == source.labels_shape:
        return raw.array
    raw = _without_channels(raw.with_known_axes(path.name), path)
    array, axes = raw.array, raw.axes
    if tuple(array.shape) == source.labels_shape and axes == source.labels_axes:
        return array
    fitted = _fit(np.asarray(array), axes, source.labels_axes)
    if fitted is None or fitted.shape != source.labels_shape:
        raise DataError(
            f"The target {path.name} has the shape {tuple(array.shape)} ({axes}), but "
            f"the image {source.name!r} needs {source.labels_shape} "
            f"({source.labels_axes}): choose values that belong to this image."
        )
    return fitted
