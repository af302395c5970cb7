"""Save a Labels layer for other tools, from napari's own Save dialog."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.data.classes import PALETTE
from napari_unet.exchange import export_labels
from napari_unet.widgets.readings import AXIS_WORDS

BY_COUNT = {2: "YX", 3: "ZYX", 4: "TZYX"}


def write_tiff(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """A TIFF with axes and pixel size; OME-TIFF where labels are large."""
    return _write(path, ".tif", data, attributes)


def write_rois(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Outlines for the ROI Manager of ImageJ."""
    return _write(path, ".zip", data, attributes)


def write_geojson(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Outlines for QuPath."""
    return _write(path, ".geojson", data, attributes)


def _write(path: str, ending: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    target = Path(path)
    if not target.suffix:
        target = target.with_name(target.name + ending)
    # Of several resolutions the first is the full one.
    whole = data[0] if isinstance(data, list | tuple) else data
    labels = np.asarray(whole)
    axes = axes_of(labels.ndim, attributes.get("axis_labels", ()))
    size, unit = _calibration(axes, attributes)
    export_labels(
        target, labels, axes, voxel_size=size, unit=unit, classes=_classes(attributes)
    )
    return [str(target)]


def axes_of(ndim: int, names: Sequence[str]) -> str:
    """Letters of the axes of labels: what they are called, else by their number."""
    said = "".join(AXIS_WORDS.get(str(name).lower(), "?") for name in names)
    known = set("TZYX")
    if len(said) == ndim == len(set(said)) and set("YX") <= set(said) <= known:
        return said
    return BY_COUNT.get(ndim, "TZYX"[-ndim:])


def _calibration(axes: str, attributes: dict[str, Any]) -> tuple[list[float], str]:
    """Voxel size along the spatial axes, and its unit."""
    scale = [abs(float(s)) for s in attributes.get("scale", ())]
    units = [str(u) for u in attributes.get("units", ())]
    if len(scale) != len(axes):
        return [], "pixel"
    spatial = [i for i, axis in enumerate(axes) if axis in "ZYX"]
    spatial.sort(key=lambda i: "ZYX".index(axes[i]))
    unit = units[spatial[-1]] if len(units) == len(axes) else "pixel"
    return [scale[i] for i in spatial], unit


def _classes(attributes: dict[str, Any]) -> dict[int, tuple[str, str]] | None:
    """Names and colours, where the labels are classes."""
    features = attributes.get("features")
    if features is None or not {"index", "class"} <= set(features):
        return None
    pairs = zip(features["index"], features["class"], strict=True)
    names = {int(value): str(name) for value, name in pairs}
    if len(names) < 2:
        return None  # background alone: the rest are objects
    colors = getattr(attributes.get("colormap"), "color_dict", {})
    return {v: (name, _hex(colors.get(v), v)) for v, name in names.items()}


def _hex(color: Any, value: int) -> str:
    if color is None:
        return PALETTE[value % len(PALETTE)]
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in color[:3])
