"""Layers of a live run as a project remembers them, and back into the viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.errors import DataError
from napari_unet.live.annotation_store import load_annotation
from napari_unet.live.project_info import (
    AnnotationInfo,
    LayerInfo,
    ProjectInfo,
    read_info,
)
from napari_unet.widgets.annotation_layer import (
    MAX_BRUSH_SHARE,
    annotation_colors,
    chosen_colors,
    class_names,
    color_class,
    name_class,
    project_of,
    remember_project,
    remember_rule,
)
from napari_unet.widgets.placement import add_with_label, placement
from napari_unet.widgets.project_images import LOOK, ProjectImages
from napari_unet.widgets.readings import level_zero

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels

COPIED_BYTES = 2 << 30
"""Larger images that lie in no file are not copied into the project."""


@dataclass
class Restored:
    """What a project brought back into the viewer."""

    folder: Path
    info: ProjectInfo
    images: list[Image]
    annotation: Labels


# What is remembered ------------------------------------------------------------------


def image_info(layer: Image, number: int) -> LayerInfo:
    """What is needed to bring an image layer back; `number` names its copy."""
    pixels = level_zero(layer)
    shape = tuple(int(n) for n in pixels.shape)
    dtype = np.dtype(pixels.dtype)
    path = layer.source.path
    path = str(Path(path).absolute()) if path and Path(path).exists() else None
    size = int(np.prod(shape)) * dtype.itemsize
    look = {name: _plain(getattr(layer, name)) for name in LOOK}
    if layer.rgb:
        del look["contrast_limits"]
    else:
        look["colormap"] = str(layer.colormap.name)
    return LayerInfo(
        name=layer.name,
        shape=shape,
        dtype=dtype.str,
        path=path,
        reader=layer.source.reader_plugin,
        copy_name=f"image{number}.npy" if not path and size <= COPIED_BYTES else None,
        rgb=bool(layer.rgb),
        placement=_plain(placement(layer)),
        look=look,
    )


def annotation_info(layer: Labels) -> AnnotationInfo:
    """What is needed to bring the annotation back, but its pixels."""
    from napari.utils.colormaps import DirectLabelColormap

    return AnnotationInfo(
        name=layer.name,
        placement=_plain(placement(layer)),
        names=class_names(layer),
        colors=chosen_colors(layer),
        own_colors=isinstance(layer.colormap, DirectLabelColormap),
    )


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


# And back ----------------------------------------------------------------------------


def restore(viewer: napari.Viewer, folder: Path) -> Restored:
    """Bring the layers of a project back; what is open already is used as it is.

    Raises
    ------
    DataError
        If the project is damaged, or one of its images is missing or another one. The
        viewer then is as before.
    """
    info = read_info(folder)
    annotation = _open_annotation(viewer, folder, info)
    labels = None if annotation is not None else load_annotation(folder)
    if labels is not None and labels.shape != info.shape:
        raise DataError(
            f"The annotation of the project {folder.name!r} does not have the size of "
            "its image: the project is damaged. Start a new run with Train."
        )
    images = ProjectImages(viewer, folder)
    try:
        layers = [images.find(image) for image in info.images]
        made = annotation or _make_annotation(labels, info)
    except DataError:
        images.undo()
        raise
    images.tidy(layers)
    if annotation is None:
        add_with_label(viewer, made, made.selected_label)
        remember_project(made, folder)
    return Restored(folder, info, layers, made)


def _open_annotation(
    viewer: napari.Viewer, folder: Path, info: ProjectInfo
) -> Labels | None:
    from napari.layers import Labels

    for layer in viewer.layers:
        if (
            isinstance(layer, Labels)
            and project_of(layer) == folder
            and tuple(layer.data.shape) == info.shape
        ):
            return layer
    return None


def _make_annotation(labels: Any, info: ProjectInfo) -> Labels:
    from napari.layers import Labels

    known = info.annotation
    look = {"colormap": annotation_colors()} if known.own_colors else {}
    try:
        layer = Labels(labels, name=known.name, opacity=0.6, **look, **known.placement)
    except (TypeError, ValueError) as error:
        raise DataError(
            "The annotation of the project cannot be shown: the project is damaged. "
            "Start a new run with Train."
        ) from error
    remember_rule(layer, "sparse")
    for value, name in known.names.items():
        name_class(layer, value, name)
    for value, color in known.colors.items():
        color_class(layer, value, color)
    layer.brush_size = max(2, min(10, min(info.shape[-2:]) // MAX_BRUSH_SHARE))
    layer.selected_label = 2
    return layer
