"""Masks: labels of which 0 says that nothing is looked for there."""

from __future__ import annotations

import numpy as np

from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import DataError


def mask_of(mask: ImageSource | ArrayLike, image: ImageSource) -> ImageSource:
    """A mask that is read like its image.

    Parameters
    ----------
    mask : ImageSource or array
        Of the axes of the image's labels, or (Z) Y X for all samples alike.

    Raises
    ------
    DataError
        If it is of another size.
    """
    if isinstance(mask, ImageSource):
        fits = mask.spatial_shape == image.spatial_shape
        if not fits or mask.sample_shape != image.sample_shape or mask.n_channels != 1:
            raise _wrong_mask(mask.labels_shape, image)
        return mask
    shape = tuple(int(n) for n in mask.shape)
    if shape == image.labels_shape:
        array = mask
    elif shape == image.spatial_shape:
        letters = image.sample_axes + image.spatial
        array = np.broadcast_to(np.asarray(mask), image.sample_shape + shape)
        array = array.transpose([letters.index(a) for a in image.labels_axes])
    else:
        raise _wrong_mask(shape, image)
    return ImageSource((array,), image.labels_axes, name="mask", ndim=image.ndim)


def _wrong_mask(shape: tuple[int, ...], image: ImageSource) -> DataError:
    ours, theirs = (" × ".join(map(str, s)) for s in (image.labels_shape, shape))
    return DataError(
        f"The mask has {theirs} pixels, but the labels of {image.name!r} have {ours}: "
        "give a mask of the same size."
    )
