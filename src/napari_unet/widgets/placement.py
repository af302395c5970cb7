"""Where layers lie: over an image, over a piece of it, and what the canvas shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.readings import Reading, layer_shape

if TYPE_CHECKING:
    import napari
    from napari.components import Dims
    from napari.layers import Image, Labels, Layer


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


def add_with_label(viewer: napari.Viewer, layer: Labels, label: int) -> None:
    """Add a layer, with `label` for the next stroke.

    The controls of napari 0.6 begin with 0, as if the brush erased, whatever the layer
    says; they follow it only once they are there.
    """
    viewer.add_layer(layer)
    layer.selected_label = 0
    layer.selected_label = label


def result_layer(
    labels: NDArray[np.int32],
    name: str,
    place: Mapping[str, Any],
    **more: Any,
) -> Labels:
    """An editable Labels layer at `place`; `more` goes to the layer."""
    from napari.layers import Labels

    return Labels(labels, name=name, **place, **more)
