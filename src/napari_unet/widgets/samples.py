"""Sample data under File ▸ Open Sample."""

from __future__ import annotations

from typing import Any

from napari_unet.widgets.annotation_layer import (
    METADATA_KEY,
    annotation_colors,
)

LayerData = tuple[Any, dict[str, Any], str]


def nuclei_2d() -> list[LayerData]:
    """Nuclei with a few of them annotated, to train on at once."""
    from napari_unet.sample_data import nuclei_2d as make

    sample = make(seed=0)
    colors = annotation_colors()
    return [
        (sample.image, {"name": "nuclei", "colormap": "gray"}, "image"),
        (
            sample.annotation,
            {
                "name": "nuclei annotation",
                "colormap": colors,
                "opacity": 0.6,
                "metadata": {METADATA_KEY: {"annotation": "sparse"}},
            },
            "labels",
        ),
    ]
