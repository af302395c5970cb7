"""Images at the pixel size that a model knows, and its maps back on the image's grid.

Both are done region by region: a region gives what the whole image would give there, up
to rounding. Between pixels it is interpolated linearly; where pixels become larger, the
image is smoothed before, as in scikit-image's ``resize``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.data.source import ArrayLike, Box, ImageSource
from napari_unet.errors import DataError
from napari_unet.models.info import ModelInfo
from napari_unet.units import METRES, unit_name

EQUAL = 0.02
"""Pixels that differ by less than this share are taken as equally large."""
TRUNCATE = 3.0
"""Standard deviations at which smoothing ends."""


def relative_size(info: ModelInfo, source: ImageSource) -> tuple[float, ...] | None:
    """Size of an image's pixels over that of the model's, along (Z) Y X.

    Returns
    -------
    tuple of float or None
        None where one of the sizes is not known.
    """
    if len(info.voxel_size) != len(source.voxel_size):
        return None
    ours, theirs = unit_name(source.unit), unit_name(info.unit)
    if "pixel" in (ours, theirs):
        return None
    factor = 1.0
    if ours != theirs:
        if ours not in METRES or theirs not in METRES:
            return None
        factor = METRES[ours] / METRES[theirs]
    pairs = zip(source.voxel_size, info.voxel_size, strict=True)
    return tuple(factor * a / b for a, b in pairs)


@dataclass(frozen=True)
class Resampling:
    """Two grids over one image: its own, and one with the pixels of a model.

    Parameters
    ----------
    shape : tuple of int
        Of the image, (Z) Y X.
    model_shape : tuple of int
        Of the same image in the model's pixels.
    """

    shape: tuple[int, ...]
    model_shape: tuple[int, ...]

    @classmethod
    def between(cls, info: ModelInfo, source: ImageSource) -> Resampling | None:
        """The grids of a model and an image; None where they are about the same.

        Raises
        ------
        DataError
            If the size of one of their pixels is not known.
        """
        ratios = relative_size(info, source)
        if ratios is None:
            raise DataError(_unknown_size(info, source))
        if max(abs(math.log(r)) for r in ratios) < EQUAL:
            return None
        shape = source.spatial_shape
        pairs = zip(shape, ratios, strict=True)
        return cls(shape, tuple(max(1, round(n * r)) for n, r in pairs))

    @property
    def factors(self) -> tuple[float, ...]:
        """The model's voxels for one of the image, along (Z) Y X."""
        return tuple(m / n for m, n in zip(self.model_shape, self.shape, strict=True))

    def source(self, image: ImageSource) -> ImageSource:
        """An image as the model knows it, computed where it is read."""
        arrays = tuple(
            ResampledArray(a, image.axes, image.spatial, self) for a in image.arrays
        )
        size = tuple(s / f for s, f in zip(image.voxel_size, self.factors, strict=True))
        return replace(image, arrays=arrays, voxel_size=size)

    def needed(self, box: Box) -> Box:
        """What has to be known in the model's grid to fill a box of the image."""
        return needed_box(box, self.model_shape, self.shape)

    def back(self, maps: NDArray[Any], seen: Box, box: Box) -> NDArray[np.float32]:
        """Maps in a box of the image, from those in :meth:`needed` of it.

        Parameters
        ----------
        maps : array, K (Z) Y X
        seen, box : Box
            Where they lie in the model's grid, and where they are wanted.
        """
        return resample(maps, seen, self.model_shape, box, self.shape)


def _unknown_size(info: ModelInfo, source: ImageSource) -> str:
    if not info.voxel_size or unit_name(info.unit) == "pixel":
        return (
            f"The model {info.name!r} does not know the size of its pixels: predict "
            "without resampling."
        )
    return (
        f"The pixel size of {source.name!r} is not known: set the scale and unit of "
        "the image, or predict without resampling."
    )


class ResampledArray:
    """An array whose pixels are computed in another grid when they are read.

    Parameters
    ----------
    array : array-like
    axes : str
        Of it; letters out of ``TCZYX``.
    spatial : str
        Those along which it is resampled.
    resampling : Resampling
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self, array: ArrayLike, axes: str, spatial: str, resampling: Resampling
    ) -> None:
        self._array, self._axes, self._spatial = array, axes, spatial
        self._resampling = resampling
        new = dict(zip(spatial, resampling.model_shape, strict=True))
        self.shape = tuple(
            new.get(a, int(n)) for a, n in zip(axes, array.shape, strict=True)
        )

    def __getitem__(self, key: Any, /) -> NDArray[np.float32]:
        """A region: whole numbers, and slices without steps."""
        keys = key if isinstance(key, tuple) else (key,)
        keys += (slice(None),) * (len(self.shape) - len(keys))
        spans = {
            a: slice(*k.indices(n)[:2]) if isinstance(k, slice) else k
            for a, k, n in zip(self._axes, keys, self.shape, strict=True)
        }
        wanted = [spans[a] for a in self._spatial]
        box = tuple(
            (w.start, w.stop) if isinstance(w, slice) else (w, w + 1) for w in wanted
        )
        pixels = self._read(spans, box)
        left = [a for a in self._axes if isinstance(spans[a], slice)]
        order = [a for a in left if a not in self._spatial] + list(self._spatial)
        for a, w in zip(self._spatial, wanted, strict=True):
            if not isinstance(w, slice):
                pixels = pixels[(slice(None),) * order.index(a) + (0,)]
                order.remove(a)
        return pixels.transpose([order.index(a) for a in left])

    def _read(self, spans: dict[str, Any], box: Box) -> NDArray[np.float32]:
        """Pixels … (Z) Y X of a box in the new grid."""
        shape = self._resampling.shape
        seen = needed_box(box, shape, self.shape_of(self._spatial))
        inside = {
            **spans,
            **dict(zip(self._spatial, (slice(*b) for b in seen), strict=True)),
        }
        pixels = np.asarray(self._array[tuple(inside[a] for a in self._axes)])
        left = [a for a in self._axes if isinstance(inside[a], slice)]
        order = [a for a in left if a not in self._spatial] + list(self._spatial)
        pixels = pixels.transpose([left.index(a) for a in order])
        return resample(pixels, seen, shape, box, self._resampling.model_shape)

    def shape_of(self, letters: str) -> tuple[int, ...]:
        """Lengths along some axes."""
        return tuple(self.shape[self._axes.index(a)] for a in letters)


def needed_box(box: Box, source_shape: Sequence[int], shape: Sequence[int]) -> Box:
    """What :func:`resample` has to know to fill a box."""
    needed = []
    for (start, stop), n_source, n in zip(box, source_shape, shape, strict=True):
        step = n_source / n
        margin = math.ceil(TRUNCATE * _sigma(step)) + 1
        first = math.floor((start + 0.5) * step - 0.5) - margin
        last = math.ceil((stop - 0.5) * step - 0.5) + margin
        needed.append((max(0, first), min(n_source, last + 1)))
    return tuple(needed)


def resample(
    pixels: NDArray[Any],
    seen: Box,
    source_shape: Sequence[int],
    box: Box,
    shape: Sequence[int],
) -> NDArray[np.float32]:
    """Pixels of one grid in a box of another; both cover the same image.

    Parameters
    ----------
    pixels : array, … (Z) Y X
        Of the first grid, in the box `seen`, which is that of :func:`needed_box`.
    source_shape, shape : sequence of int
        Of the whole image in either grid.
    box : Box
        In the second grid.
    """
    steps = [a / b for a, b in zip(source_shape, shape, strict=True)]
    offsets = [
        (start + 0.5) * step - 0.5 - first
        for (start, _), (first, _), step in zip(box, seen, steps, strict=True)
    ]
    sigmas = [_sigma(step) for step in steps]
    size = tuple(b - a for a, b in box)
    lead = pixels.shape[: pixels.ndim - len(size)]
    out = np.empty((*lead, *size), np.float32)
    for index in np.ndindex(*lead):
        part = pixels[index].astype(np.float32)
        if any(sigmas):
            ndimage.gaussian_filter(
                part, sigmas, output=part, mode="nearest", truncate=TRUNCATE
            )
        ndimage.affine_transform(
            part, steps, offsets, size, output=out[index], order=1, mode="nearest"
        )
    return out


def _sigma(step: float) -> float:
    """How far pixels are smoothed that become `step` times as large."""
    return max(0.0, (step - 1) / 2)
