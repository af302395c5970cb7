"""Sample data under File ▸ Open Sample, each with an annotation to train on at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.annotation_layer import (
    annotation_colors,
    channel_memory,
    class_features,
    sample_memory,
)

if TYPE_CHECKING:
    from napari_unet.sample_data import Sample

LayerData = tuple[Any, dict[str, Any], str]

CHANNEL_COLORS = ("green", "magenta", "cyan", "yellow")
SEEN = (0.5, 99.8)
"""Percentiles of the pixels between which an image is shown."""


def nuclei_2d() -> list[LayerData]:
    """Nuclei with a few of them annotated."""
    from napari_unet.sample_data import nuclei_2d as make

    return _layers(make(), gamma=0.7)


def nuclei_3d() -> list[LayerData]:
    """Nuclei in a stack with voxels longer than wide, a few of them annotated."""
    from napari_unet.sample_data import nuclei_3d as make

    return _layers(make(), gamma=0.7)


def membranes() -> list[LayerData]:
    """An electron micrograph with strokes on membranes and inside cells."""
    from napari_unet.sample_membranes import membranes as make

    return _layers(make())


def cells_two_channels() -> list[LayerData]:
    """Cells that nuclei and membranes tell apart together, a few of them annotated."""
    from napari_unet.sample_cells import cells_two_channels as make

    return _layers(make(), gamma=0.7)


def nuclei_timelapse() -> list[LayerData]:
    """Dividing nuclei, annotated in three frames.

    The labels, with other numbers in every frame, can be followed over time.
    """
    from napari_unet.sample_timelapse import nuclei_timelapse as make
    from napari_unet.sample_timelapse import unlinked

    movie = make(seed=0)
    place = {
        "scale": (1.0, *movie.voxel_size),
        "units": ("pixel", movie.unit, movie.unit),
        "axis_labels": ("t", "y", "x"),
    }
    labels = {"name": f"{movie.name} labels", "opacity": 0.5, "visible": False}
    return [
        (
            movie.image,
            {"name": movie.name, **_seen(movie.image, 0.7), **place},
            "image",
        ),
        (unlinked(movie.labels), {**labels, **place}, "labels"),
        (
            movie.annotation,
            {
                "name": f"{movie.name} annotation",
                **_painted(sample_memory("objects", {1: "background"})),
                **place,
            },
            "labels",
        ),
    ]


def _layers(sample: Sample, gamma: float = 1.0) -> list[LayerData]:
    """The image, or a layer for each of its channels, and the annotation."""
    place = {
        "scale": sample.voxel_size,
        "units": (sample.unit,) * len(sample.voxel_size),
        "axis_labels": tuple(sample.axes.replace("C", "").lower()),
    }
    found: list[LayerData] = []
    for number, channel in enumerate(sample.channel_names):
        shown = {
            **_seen(sample.image[number], gamma),
            "colormap": CHANNEL_COLORS[number % len(CHANNEL_COLORS)],
            "blending": "additive",
            "metadata": channel_memory(sample.name),
        }
        name = f"{sample.name}: {channel}"
        found.append((sample.image[number], {"name": name, **shown, **place}, "image"))
    if not found:
        shown = {"name": sample.name, **_seen(sample.image, gamma)}
        found.append((sample.image, {**shown, **place}, "image"))
    painted = {
        "name": f"{sample.name} annotation",
        "features": class_features(sample.class_names),
        **_painted(sample_memory(sample.task, sample.class_names)),
    }
    return [*found, (sample.annotation, {**painted, **place}, "labels")]


def _seen(image: NDArray[Any], gamma: float) -> dict[str, Any]:
    low, high = np.percentile(image, SEEN)
    return {"contrast_limits": (float(low), float(high)), "gamma": gamma}


def _painted(memory: dict[str, Any]) -> dict[str, Any]:
    return {"colormap": annotation_colors(), "opacity": 0.6, "metadata": memory}
