"""Sample data under File ▸ Open Sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet.widgets.annotation_layer import METADATA_KEY, annotation_colors

LayerData = tuple[Any, dict[str, Any], str]


def nuclei_2d() -> list[LayerData]:
    """Nuclei with a few of them annotated, to train on at once."""
    from napari_unet.sample_data import nuclei_2d as make

    sample = make(seed=0)
    place = {
        "scale": sample.voxel_size,
        "units": (sample.unit,) * len(sample.voxel_size),
    }
    low, high = np.percentile(sample.image, (0.5, 99.8))
    shown = {"contrast_limits": (float(low), float(high)), "gamma": 0.7}
    painted = {
        "colormap": annotation_colors(),
        "opacity": 0.6,
        "metadata": {METADATA_KEY: {"annotation": "sparse"}},
    }
    name = sample.name
    return [
        (sample.image, {"name": name, **shown, **place}, "image"),
        (
            sample.annotation,
            {"name": f"{name} annotation", **painted, **place},
            "labels",
        ),
    ]


def nuclei_timelapse() -> list[LayerData]:
    """Dividing nuclei over time, and their labels with other numbers in every frame."""
    from napari_unet.sample_timelapse import nuclei_timelapse as make
    from napari_unet.sample_timelapse import unlinked

    movie = make(seed=0)
    place = {
        "scale": (1.0, *movie.voxel_size),
        "units": ("pixel", movie.unit, movie.unit),
        "axis_labels": ("t", "y", "x"),
    }
    low, high = np.percentile(movie.image, (0.5, 99.8))
    shown = {"contrast_limits": (float(low), float(high)), "gamma": 0.7}
    labels = unlinked(movie.labels)
    return [
        (movie.image, {"name": movie.name, **shown, **place}, "image"),
        (labels, {"name": f"{movie.name} labels", "opacity": 0.5, **place}, "labels"),
    ]
