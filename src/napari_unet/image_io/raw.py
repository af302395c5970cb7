"""What a file holds before it is an image: an array, axis letters, a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import KNOWN, check_axes, guess_axes, looks_rgb, spatial_axes
from napari_unet.data.source import ArrayLike
from napari_unet.errors import DataError


@dataclass(frozen=True)
class RawImage:
    """An array as a file holds it.

    Parameters
    ----------
    array : array-like
        Numpy array, memory map or zarr array.
    axes : str
        One letter an axis as the file names them, in capitals; a letter out of
        ``TCZYX`` is certain, every other is one that the file did not explain.
        Empty where the file says nothing.
    spacing : dict of str to float
        Size of a pixel along Z, Y, X in `unit`, as far as the file tells.
    unit : str
    note : str
        What to know about how it is read; empty for nothing.
    """

    array: ArrayLike
    axes: str = ""
    spacing: dict[str, float] = field(default_factory=dict)
    unit: str = "pixel"
    note: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.array.shape)

    def with_known_axes(self, name: str, axes: str | None = None) -> RawImage:
        """The same with letters out of ``TCZYX`` alone.

        Axes of length 1 that say nothing (not Z, Y or X) are dropped; what the file
        left open is guessed.

        Parameters
        ----------
        name : str
            What to call the image in messages.
        axes : str, optional
            What the user says about the axes; believed instead of the file.

        Raises
        ------
        DataError
            If the axes do not fit, or the array has too few or too many.
        """
        shape = self.shape
        if len(shape) < 2:
            raise DataError(
                f"{name} has the shape {shape}: an image needs at least "
                "a height and a width."
            )
        if axes is not None:
            return self._with_users_axes(axes)
        letters = self.axes
        array = self.array
        if letters:
            keep = [a in "ZYX" or n > 1 for a, n in zip(letters, shape, strict=True)]
            array = _drop(array, keep)
            letters = "".join(a for a, k in zip(letters, keep, strict=True) if k)
        letters = _name_axes(letters, array)
        return replace(self, array=array, axes=letters)

    def _with_users_axes(self, axes: str) -> RawImage:
        array = self.array
        long = [n > 1 for n in self.shape]
        if len(axes) < len(long) and len(axes) == sum(long):
            array = _drop(array, long)
        return replace(self, array=array, axes=check_axes(axes, array.shape))

    def voxel_size(self) -> tuple[float, ...]:
        """Size along the spatial axes of `axes`; a missing one is as long as X."""
        fallback = self.spacing.get("X", self.spacing.get("Y", 1.0))
        return tuple(self.spacing.get(a, fallback) for a in spatial_axes(self.axes))


def _drop(array: ArrayLike, keep: Sequence[bool]) -> ArrayLike:
    """Leave out axes of length 1; only numpy arrays and memory maps stay lazy."""
    if all(keep):
        return array
    key = tuple(slice(None) if k else 0 for k in keep)
    if isinstance(array, np.ndarray):
        view: NDArray[Any] = array[key]
        return view
    return SqueezedArray(array, tuple(keep))


@dataclass(frozen=True)
class SqueezedArray:
    """A lazy array seen without some of its axes of length 1."""

    array: ArrayLike
    keep: tuple[bool, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(n for n, k in zip(self.array.shape, self.keep, strict=True) if k)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return sum(self.keep)

    def __getitem__(self, key: Any, /) -> Any:
        key = key if isinstance(key, tuple) else (key,)
        if Ellipsis in key:
            at = key.index(Ellipsis)
            missing = self.ndim - len(key) + 1
            key = key[:at] + (slice(None),) * missing + key[at + 1 :]
        key += (slice(None),) * (self.ndim - len(key))
        given = iter(key)
        return self.array[tuple(next(given) if k else 0 for k in self.keep)]

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def _name_axes(told: str, array: ArrayLike) -> str:
    """Letters out of ``TCZYX`` for what a file told; see `RawImage`."""
    shape = tuple(array.shape)
    dtype = np.dtype(array.dtype)
    rgb = looks_rgb(shape, (dtype.kind, dtype.itemsize))
    letters = list(told if "C" in told else told.replace("S", "C"))
    unknown = [k for k, letter in enumerate(letters) if letter not in KNOWN + "S"]
    if not told or (rgb and unknown and not set(letters) & set("TCZS")):
        return guess_axes(shape, rgb=rgb)
    # A stack of which nothing is known is a volume, a stack of stacks a time-lapse.
    free = [letter for letter in "ZTC" if letter not in letters]
    for position, letter in zip(reversed(unknown), free, strict=False):
        letters[position] = letter
    return check_axes("".join(letters), shape)


def display_name(path: Path) -> str:
    """What to call a file in messages and layers: its name without endings."""
    name = path.name
    for ending in (".ome.tiff", ".ome.tif", ".ome.zarr"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem if path.suffix else name
