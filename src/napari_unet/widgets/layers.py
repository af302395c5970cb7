"""From napari's image layers to what the engine takes.

:func:`snapshot` freezes what the chosen layers hold now; they may change or go while
the engine works with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.axes import spatial_axes
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.errors import DataError
from napari_unet.widgets.placement import placement
from napari_unet.widgets.readings import Reading, layer_shape, level_zero, readings

if TYPE_CHECKING:
    from napari.layers import Image, Labels


@dataclass(frozen=True)
class FirstChannels:
    """The first three values of an RGBA image; alpha says nothing about the cells."""

    array: ArrayLike

    @property
    def shape(self) -> tuple[int, ...]:
        return (*tuple(self.array.shape)[:-1], 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.array.dtype)

    def __getitem__(self, key: Any, /) -> Any:
        return np.asarray(self.array[key])[..., :3]


def without_alpha(array: Any) -> Any:
    """`array` (… C) with at most three channels, copying nothing."""
    if array.shape[-1] <= 3:
        return array
    if isinstance(array, np.ndarray) or type(array).__module__.startswith("dask"):
        return array[..., :3]
    return FirstChannels(array)


@dataclass(frozen=True)
class ImageSnapshot:
    """The chosen image layers as they were when a button was pressed."""

    arrays: tuple[Any, ...]
    reading: Reading
    voxel_size: tuple[float, ...]
    unit: str
    name: str
    placement: Mapping[str, Any]
    """Arguments that put a layer of labels over the image."""

    @cached_property
    def source(self) -> ImageSource:
        """The image as the core sees it."""
        return ImageSource(
            self.arrays,
            self.reading.axes,
            self.voxel_size,
            self.unit,
            self.name,
            self.reading.ndim,
        )

    def inputs(self) -> dict[str, Any]:
        """Arrays for the engine by name: ``image0``, ``image1`` and so on."""
        return {f"image{i}": array for i, array in enumerate(self.arrays)}

    def params(self) -> dict[str, Any]:
        """What the engine has to know about the arrays, as plain values."""
        source = self.source
        return {
            "axes": source.axes,
            "voxel_size": list(source.voxel_size),
            "unit": self.unit,
            "name": self.name,
            "ndim": source.ndim,
        }


def snapshot(
    layers: Sequence[Image | Labels], reading: Reading | None = None
) -> ImageSnapshot:
    """Freeze image layers; several are the channels of one image.

    A layer of labels may be given alone.

    Raises
    ------
    DataError
        If there is no layer, or the layers cannot be used together.
    """
    if not layers:
        raise DataError("There is no image: open one and choose it.")
    first = layers[0]
    reading = reading or readings(first)[0]
    axes = reading.axes
    if "C" in axes[1:-1]:
        raise DataError(
            f"{first.name!r} has its channels between other axes: right-click the "
            "layer, choose Split Stack, and pick the pieces as channels."
        )
    if len(layers) > 1 and "C" in axes:
        raise DataError(
            f"{first.name!r} has several channels itself: choose it alone, or choose "
            "layers of one channel each."
        )
    shape = layer_shape(first)
    for layer in layers[1:]:
        if layer.rgb or layer_shape(layer) != shape:
            raise DataError(
                f"Layers used as channels must have one shape, but {first.name!r} has "
                f"{_words(shape)} and {layer.name!r} has {_words(layer_shape(layer))}."
            )
    arrays = tuple(level_zero(layer) for layer in layers)
    if getattr(first, "rgb", False):
        arrays = tuple(without_alpha(a) for a in arrays)
    place = placement(first, channels_first=axes[0] == "C")
    spatial = [axes.replace("C", "").index(a) for a in spatial_axes(axes)]
    size = np.abs(np.asarray(place["scale"], float))
    if "units" in place:
        size = size * _in_one_unit(place["units"])
    size = size[spatial]
    made = ImageSnapshot(
        arrays=arrays,
        reading=reading,
        voxel_size=tuple(size.tolist()),
        unit=str(place["units"][-1]) if "units" in place else "pixel",
        name=" + ".join(layer.name for layer in layers),
        placement=place,
    )
    if made.source.axes != axes:  # building the source checks shape, axes and dtype
        raise DataError(f"The axes of {made.name!r} could not be understood.")
    return made


def _in_one_unit(units: Sequence[Any]) -> NDArray[np.float64]:
    """Factors that bring sizes along each axis to the unit of the last one."""
    last = units[-1]
    return np.array(
        [
            # Seconds of a time axis, or pixels beside micrometres, have no factor.
            float((1 * unit).to(last).magnitude)
            if unit != last and unit.is_compatible_with(last)
            else 1.0
            for unit in units
        ]
    )


def _words(shape: Sequence[int]) -> str:
    return " × ".join(str(n) for n in shape)
