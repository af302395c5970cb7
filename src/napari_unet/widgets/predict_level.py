"""Which resolution of a multiscale image is segmented, and how its pixels lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout

from napari_unet.axes import spatial_axes
from napari_unet.errors import DataError
from napari_unet.image_io.store import nearest_level
from napari_unet.widgets.layers import ImageSnapshot, without_alpha
from napari_unet.widgets.placement import displayed_box, shifted
from napari_unet.widgets.readings import layer_shape
from napari_unet.widgets.style import Colors, Message, narrow, show_row

if TYPE_CHECKING:
    from napari.components import Dims
    from napari.layers import Image, Layer

    from napari_unet.models.info import ModelInfo

Box = tuple[tuple[int, int], ...]

CHOICES = [
    ("Nearest to the model's pixel size", "nearest"),
    ("Full", "full"),
]


class LevelChoice:
    """A row that is there for images in several resolutions, and a sentence."""

    changed = Signal()

    def __init__(self, form: QFormLayout) -> None:
        self._form = form
        self.resolution = ComboBox(
            choices=CHOICES,
            value="nearest",
            tooltip="Segment the resolution that looks most like what the model has "
            "learnt from, or the full one. Labels have its pixels: only those of the "
            "full one can be learnt from, and compared with an annotation",
        )
        narrow(self.resolution.native)
        form.addRow("Resolution", self.resolution.native)
        self.said = Message("quiet")
        form.addRow("", self.said)
        self.resolution.changed.connect(self._on_choice)
        self.offer([])

    def offer(self, layers: Sequence[Image]) -> None:
        """Show the row where there is something to choose."""
        self.said.say("")
        several = bool(layers) and all(layer.multiscale for layer in layers)
        show_row(self._form, self.resolution.native, visible=several)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.said.set_colors(colors)

    def chosen(
        self, layers: Sequence[Image], image: ImageSnapshot, info: ModelInfo
    ) -> ImageSnapshot:
        """The image in the resolution that is segmented; a sentence names it."""
        level = 0
        if self.resolution.value == "nearest":
            level = level_for(layers, image, info)
        if not level:
            self.said.say("")
            return image
        made = at_level(layers, image, level)
        self.said.say(
            f"Of {len(layers[0].data)} resolutions, the one with pixels of "
            f"{_size(made.voxel_size, made.unit)} is segmented: the model knows "
            f"{_size(info.voxel_size, info.unit)}."
        )
        return made

    def _on_choice(self, _: Any = None) -> None:
        self.changed.emit()


def _size(voxel: Sequence[float], unit: str) -> str:
    return f"{voxel[-1]:.3g} {unit}"


def level_for(layers: Sequence[Image], image: ImageSnapshot, info: ModelInfo) -> int:
    """Number of the resolution whose pixels are nearest to those of a model.

    0, the full one, where a size is not known, and among resolutions that leave out
    planes or frames.
    """
    if not layers or not all(layer.multiscale for layer in layers):
        return 0
    # Here, since it loads scipy: widgets open in under a second.
    from napari_unet.prediction.resampling import relative_size

    ratios = relative_size(info, image.source)
    if ratios is None:
        return 0
    axes = image.reading.axes
    spatial = spatial_axes(axes)[-image.reading.ndim :]
    shares = []
    for level in range(min(len(layer.data) for layer in layers)):
        shapes = {_shape(layer, level) for layer in layers}
        factors = dict(zip(axes, _factors(layers[0], level), strict=False))
        whole = all(n == 1 for a, n in factors.items() if a not in spatial)
        fits = len(shapes) == 1 and whole
        shares.append(factors["X"] * ratios[-1] if fits else None)
    return nearest_level(shares)


def at_level(
    layers: Sequence[Image], image: ImageSnapshot, level: int
) -> ImageSnapshot:
    """A snapshot of another resolution, which covers what the full one covers."""
    arrays = tuple(layer.data[level] for layer in layers)
    if getattr(layers[0], "rgb", False):
        arrays = tuple(without_alpha(a) for a in arrays)
    axes = image.reading.axes
    factors = _factors(layers[0], level)
    if axes[0] == "C":
        factors = factors[1:]
    # The first small pixel lies where the middle of those is that it stands for.
    place = shifted(image.placement, [(f - 1) / 2 for f in factors])
    place["scale"] = np.asarray(place["scale"], float) * factors
    letters = axes.replace("C", "")
    spatial = [factors[letters.index(a)] for a in spatial_axes(axes)]
    made = replace(
        image,
        arrays=arrays,
        voxel_size=tuple(s * f for s, f in zip(image.voxel_size, spatial, strict=True)),
        placement=place,
    )
    if made.source.axes != axes:  # building the source checks shape, axes and dtype
        raise DataError(f"The axes of {made.name!r} could not be understood.")
    return made


def seen_box(layer: Layer, image: ImageSnapshot, dims: Dims) -> Box:
    """What the canvas shows of a layer, in voxels of the resolution of `image`."""
    return on_level(displayed_box(layer, image.reading, dims), layer, image)


def on_level(box: Box, layer: Layer, image: ImageSnapshot) -> Box:
    """A box in voxels of a layer's full resolution, in those of `image`.

    It covers what `box` covers, and what a coarser voxel adds to that.
    """
    full = layer_shape(layer)
    if image.reading.axes[0] == "C":
        full = full[1:]
    found = []
    for (start, stop), n, m in zip(box, full, image.source.labels_shape, strict=True):
        first = min(start * m // n, m - 1)
        found.append((first, max(first + 1, min(m, math.ceil(stop * m / n)))))
    return tuple(found)


def _shape(layer: Layer, level: int) -> tuple[int, ...]:
    return tuple(int(n) for n in layer.data[level].shape[: layer.ndim])


def _factors(layer: Layer, level: int) -> NDArray[np.float64]:
    """Voxels of the full resolution for one of a level, along the layer's axes."""
    full, small = _shape(layer, 0), _shape(layer, level)
    return np.asarray([n / m for n, m in zip(full, small, strict=True)], float)
