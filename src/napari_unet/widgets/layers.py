"""From napari layers to what the engine takes, and back.

:func:`snapshot` freezes what the chosen layers hold now; :func:`result_layer` makes a
layer that lies exactly over the image it came from.
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

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Image, Labels, Layer

AXIS_WORDS = {
    "t": "T",
    "time": "T",
    "frame": "T",
    "frames": "T",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "channels": "C",
    "z": "Z",
    "depth": "Z",
    "plane": "Z",
    "slice": "Z",
    "y": "Y",
    "row": "Y",
    "height": "Y",
    "x": "X",
    "col": "X",
    "column": "X",
    "width": "X",
}
"""Names that people give to axes, and the letters they mean."""

_AXIS_TEXT = {"T": "time", "C": "channels", "Z": "depth"}


@dataclass(frozen=True)
class Reading:
    """One way to understand the axes of a layer.

    ``axes`` has a letter for every axis of the array, with a last ``C`` for RGB;
    ``ndim`` is the number of axes along which the network sees, 2 or 3.
    """

    axes: str
    ndim: int

    @property
    def text(self) -> str:
        """What to show in a chooser, such as "depth (Z), 3D network"."""
        outer = [a for a in self.axes if a not in "YX"]
        if outer and self.axes[-1] == "C":
            outer.pop()
        names = ", ".join(f"{_AXIS_TEXT[a]} ({a})" for a in outer)
        network = f"{self.ndim}D network"
        if self.ndim == 2 and "Z" in outer:
            network += ", plane by plane"
        return f"{names}: {network}" if names else network


def readings(layer: Image) -> list[Reading]:
    """Ways to understand the axes of an image layer, the most likely one first.

    Axis labels that say what an axis is are believed.

    Raises
    ------
    DataError
        If the layer has fewer than two or more than five axes.
    """
    count = layer.ndim
    by_count = {
        2: ["YX"],
        3: ["ZYX", "TYX", "CYX"],
        4: ["TZYX", "CZYX", "CTYX"],
        5: ["TCZYX", "CTZYX"],
    }
    if count not in by_count:
        raise DataError(
            f"{layer.name!r} has {count} axes: 2 to 5 can be used. Right-click the "
            "layer and choose Split Stack to take it apart."
        )
    said = _said_axes(layer)
    if said is not None and len(set(said)) == count and set("YX") <= set(said):
        candidates = ["".join(a for a in said if a)]
    else:
        candidates = by_count[count]
        if said is not None:
            fitting = [
                axes
                for axes in candidates
                if all(s is None or s == a for s, a in zip(said, axes, strict=True))
            ]
            candidates = fitting or candidates
    if layer.rgb:
        candidates = [axes for axes in candidates if "C" not in axes]
    found = []
    for axes in candidates:
        deep = "Z" in axes and layer_shape(layer)[axes.index("Z")] > 1
        full = axes + "C" * bool(layer.rgb)
        if "Z" in axes:
            found.append(Reading(full, 3 if deep else 2))
        found.append(Reading(full, 2))
    return list(dict.fromkeys(found))


def _said_axes(layer: Layer) -> tuple[str | None, ...] | None:
    labels = tuple(getattr(layer, "axis_labels", ()))
    if len(labels) != layer.ndim:
        return None
    said = tuple(AXIS_WORDS.get(str(word).strip().lower()) for word in labels)
    return said if any(said) else None


def level_zero(layer: Layer) -> Any:
    """The layer's pixels in full resolution."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def layer_shape(layer: Layer) -> tuple[int, ...]:
    """Shape of the pixels in full resolution, without the last axis of RGB."""
    return tuple(int(n) for n in level_zero(layer).shape[: layer.ndim])


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


def snapshot(layers: Sequence[Image], reading: Reading | None = None) -> ImageSnapshot:
    """Freeze image layers; several are the channels of one image.

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
    if first.rgb:
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


def placement(layer: Layer, *, channels_first: bool = False) -> dict[str, Any]:
    """Arguments that put another layer over `layer`.

    With `channels_first`, they are for a layer that lacks the first axis.
    """
    n = layer.ndim
    cut = int(channels_first)
    shear = np.asarray(layer.shear, float)
    if shear.ndim == 1:
        # One number per pair of axes, row by row: the first n - 1 are of axis 0.
        shear = shear[(n - 1) * cut :]
    else:
        shear = shear[cut:, cut:]
    place: dict[str, Any] = {
        "scale": np.array(layer.scale)[cut:],
        "translate": np.array(layer.translate)[cut:],
        "rotate": np.array(layer.rotate)[cut:, cut:],
        "shear": shear,
        "affine": np.array(layer.affine.affine_matrix)[cut:, cut:],
    }
    for name in ("units", "axis_labels"):
        value = getattr(layer, name, None)
        if value is not None and len(value) == n:
            place[name] = tuple(value)[cut:]
    return place


def shifted(place: Mapping[str, Any], offset: Sequence[float]) -> dict[str, Any]:
    """`place` for a piece of the image that begins at voxel `offset`."""
    from napari.utils.transforms import Affine

    linear = Affine(
        scale=place["scale"],
        rotate=place["rotate"],
        shear=place["shear"],
        ndim=len(offset),
    ).linear_matrix
    moved = np.asarray(place["translate"], float) + linear @ np.asarray(offset, float)
    return {**place, "translate": moved}


def displayed_box(
    layer: Image, reading: Reading, dims: Dims
) -> tuple[tuple[int, int], ...]:
    """Start and stop, in voxels, of what the canvas shows along each labels axis.

    Axes with a slider give the plane on screen; a 3D view shows everything.
    """
    shape = layer_shape(layer)
    offset = dims.ndim - layer.ndim
    shown = {axis - offset for axis in dims.displayed}
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors[layer.data_level])
    point = layer.world_to_data(dims.point)
    box = []
    for axis, length in enumerate(shape):
        if axis not in shown:
            start = int(np.clip(np.round(point[axis]), 0, length - 1))
            stop = start + 1
        elif dims.ndisplay == 3:
            start, stop = 0, length
        else:
            start = int(np.clip(np.floor(corners[0, axis]), 0, length - 1))
            stop = int(np.clip(np.ceil(corners[1, axis]) + 1, start + 1, length))
        box.append((start, stop))
    return tuple(box[1:] if reading.axes[0] == "C" else box)


def result_layer(
    labels: NDArray[np.int32],
    name: str,
    place: Mapping[str, Any],
    **more: Any,
) -> Labels:
    """An editable Labels layer at `place`; `more` goes to the layer."""
    from napari.layers import Labels

    return Labels(labels, name=name, **place, **more)
