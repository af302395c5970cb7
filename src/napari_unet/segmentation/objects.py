"""Objects from the network's maps: seeds in the middle, watershed to the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from napari_unet.segmentation.settings import DecoderInfo


def decode_objects(
    foreground: NDArray[Any], distance: NDArray[Any], settings: DecoderInfo
) -> NDArray[np.int32]:
    """Label the objects of one image.

    Seeds are the connected parts where the centre distance is high; every foreground
    component without one is a seed itself; a watershed on the distance (Beucher and
    Meyer 1993, as in scikit-image) grows them over the foreground.

    Parameters
    ----------
    foreground : ndarray, (Z) Y X
        Probability that a voxel belongs to an object, 0 to 1.
    distance : ndarray, (Z) Y X
        Normalised centre distance, 0 to 1.

    Returns
    -------
    ndarray of int32, (Z) Y X
        0 is background; objects are 1, 2, … without gaps.
    """
    mask = foreground > settings.foreground_threshold
    if not mask.any():
        return np.zeros(mask.shape, np.int32)
    parts, n_parts = ndimage.label(mask)
    seeds, n_seeds = ndimage.label(mask & (distance > settings.seed_threshold))
    seeded = np.zeros(n_parts + 1, bool)
    seeded[parts[seeds > 0]] = True
    orphan = mask & ~seeded[parts]
    seeds[orphan] = parts[orphan] + n_seeds
    labels = watershed(-distance.astype(np.float32), seeds, mask=mask)
    return compact_labels(labels, settings.min_size)


def compact_labels(labels: NDArray[Any], min_size: int = 0) -> NDArray[np.int32]:
    """Renumber objects 1, 2, … and drop those below `min_size` voxels."""
    sizes = np.bincount(labels.ravel())
    keep = sizes >= max(1, min_size)
    keep[0] = False
    renumber = np.zeros(len(sizes), np.int32)
    renumber[keep] = np.arange(1, int(keep.sum()) + 1)
    compact: NDArray[np.int32] = renumber[labels]
    return compact
