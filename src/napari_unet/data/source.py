"""Images as networks see them: ``S C (Z) Y X``, read region by region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import check_axes, guess_axes, looks_rgb, spatial_axes
from napari_unet.errors import DataError

Box = tuple[tuple[int, int], ...]
"""Start and stop along each spatial axis, (Z) Y X, in voxels."""


class ArrayLike(Protocol):
    """What a source needs of an array: numpy, dask, zarr, memory map, engine slot."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, key: Any, /) -> Any: ...


@dataclass(frozen=True)
class ImageSource:
    """One image, or several of equal size whose channels are stacked.

    Parameters
    ----------
    arrays : tuple of array-like
        Each with axes `axes`; their channels follow each other.
    axes : str
        Letters out of ``TCZYX``, one per axis of every array.
    voxel_size : tuple of float
        Size along (Z) Y X in `unit`.
    unit : str
        Unit of `voxel_size`, such as ``"micrometer"`` or ``"pixel"``.
    name : str
        What to call the image in messages.
    ndim : {2, 3}, optional
        Number of spatial axes that networks see. 2 on an image with Z treats each
        plane as a sample of its own. Default: 3 if there is a Z axis, else 2.
    """

    arrays: tuple[ArrayLike, ...]
    axes: str
    voxel_size: tuple[float, ...] = ()
    unit: str = "pixel"
    name: str = "image"
    ndim: int = 0

    def __post_init__(self) -> None:
        if not self.arrays:
            raise DataError("No image was given: choose at least one.")
        first = self.arrays[0]
        axes = check_axes(self.axes, first.shape)
        for array in self.arrays[1:]:
            if tuple(array.shape) != tuple(first.shape):
                raise DataError(
                    f"Images used as channels must have one shape, but {self.name!r} "
                    f"holds {tuple(first.shape)} and {tuple(array.shape)}."
                )
        if 0 in first.shape:
            raise DataError(
                f"The image {self.name!r} is empty: its shape is {tuple(first.shape)}."
            )
        for array in self.arrays:
            if np.dtype(array.dtype).kind not in "buif":
                raise DataError(
                    f"The image {self.name!r} has values of type {array.dtype}: "
                    "only whole numbers, decimals and true/false can be used."
                )
        object.__setattr__(self, "axes", axes)
        letters = spatial_axes(axes)
        ndim = self.ndim or len(letters)
        if ndim == 3 and "Z" not in axes:
            raise DataError(
                f"The image {self.name!r} has no Z axis (axes {axes}), "
                "and a 3D model needs one: use a 2D model."
            )
        object.__setattr__(self, "ndim", ndim)
        size = self.voxel_size or (1.0,) * len(letters)
        if len(size) == len(letters) and ndim < len(size):
            size = size[-ndim:]
        if len(size) != ndim or not all(s > 0 and math.isfinite(s) for s in size):
            raise DataError(
                f"The voxel size {tuple(self.voxel_size)} does not fit the axes "
                f"{letters} of {self.name!r}: give one positive number per axis."
            )
        object.__setattr__(self, "voxel_size", tuple(float(s) for s in size))

    @property
    def spatial(self) -> str:
        """``"ZYX"`` or ``"YX"``: the axes along which networks convolve."""
        return "ZYX"[3 - self.ndim :]

    @property
    def sample_axes(self) -> str:
        """Letters of the axes that run over samples, such as ``"T"``."""
        return "".join(a for a in self.axes if a != "C" and a not in self.spatial)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Length of each axis in `sample_axes`."""
        return tuple(self._length(a) for a in self.sample_axes)

    @property
    def n_samples(self) -> int:
        """Length of S."""
        return math.prod(self.sample_shape)

    @property
    def n_channels(self) -> int:
        """Length of C over all arrays together."""
        per_array = self._length("C") if "C" in self.axes else 1
        return per_array * len(self.arrays)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Shape (Z) Y X."""
        return tuple(self._length(a) for a in self.spatial)

    @property
    def labels_axes(self) -> str:
        """Axes of labels that belong to this image: its own without C."""
        return self.axes.replace("C", "")

    @property
    def labels_shape(self) -> tuple[int, ...]:
        """Shape along `labels_axes`."""
        return tuple(self._length(a) for a in self.labels_axes)

    def _length(self, letter: str) -> int:
        return int(self.arrays[0].shape[self.axes.index(letter)])

    def read(self, sample: int, box: Box | None = None) -> NDArray[Any]:
        """Pixels of one sample, ``C (Z) Y X``, in the image's own dtype.

        Parameters
        ----------
        sample : int
            Index along S.
        box : Box, optional
            Region inside the image; the whole of it by default.
        """
        box = box or tuple((0, n) for n in self.spatial_shape)
        index = sample_index(self.sample_shape, sample)
        wanted: dict[str, Any] = dict(
            zip(self.spatial, (slice(*b) for b in box), strict=True)
        )
        wanted.update(zip(self.sample_axes, index, strict=True))
        key = tuple(wanted.get(a, slice(None)) for a in self.axes)
        left = [a for a in self.axes if a == "C" or a in self.spatial]
        order = [left.index(a) for a in ("C" + self.spatial) if a in left]
        parts = []
        for array in self.arrays:
            part = np.asarray(array[key]).transpose(order)
            parts.append(part if "C" in left else part[np.newaxis])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def sample_index(shape: Sequence[int], sample: int) -> tuple[int, ...]:
    """Position along each sample axis of the flat index `sample`."""
    return tuple(int(i) for i in np.unravel_index(sample, shape)) if shape else ()


def image_source(
    image: ArrayLike | ImageSource,
    axes: str | None = None,
    voxel_size: Sequence[float] = (),
    *,
    ndim: int = 0,
    name: str = "image",
) -> ImageSource:
    """Wrap an array as an `ImageSource`.

    Without `axes`, arrays are read as ``YX``, ``ZYX``, ``TZYX`` or ``TCZYX``, and 8-bit
    arrays whose last axis has 3 or 4 entries as RGB.
    """
    if isinstance(image, ImageSource):
        return image
    if axes is None:
        dtype = np.dtype(image.dtype)
        rgb = looks_rgb(image.shape, (dtype.kind, dtype.itemsize))
        axes = guess_axes(image.shape, rgb=rgb)
    return ImageSource((image,), axes, tuple(voxel_size), name=name, ndim=ndim)
