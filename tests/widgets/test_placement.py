"""Results lie over the image, whatever its scale, rotation or shear."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_unet.widgets.placement import (
    add_with_label,
    placement,
    result_layer,
    shifted,
)


@pytest.mark.viewer
def test_the_label_to_paint_with_is_set_once_controls_are_there(viewer: Any) -> None:
    layer, told = result_layer(np.ones((8, 8), np.int32), "result", {}), []
    layer.selected_label = 7
    viewer.layers.events.inserted.connect(
        lambda: layer.events.selected_label.connect(
            lambda: told.append(layer.selected_label)
        )
    )
    add_with_label(viewer, layer, layer.selected_label)
    assert told[-1] == 7  # napari 0.6 shows 0 otherwise, which erases


def image(*shape: int, **more: object) -> Image:
    return Image(np.zeros(shape, np.uint8), **more)


# napari says so of every image that is turned out of the plane on screen.
turned = pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")

PLACES: list[dict[str, object]] = [
    {"scale": (2, 0.5, 0.3)},
    {"translate": (5, -3, 2)},
    {"scale": (2, 0.5, 0.3), "rotate": (10, 20, 30), "translate": (1, 2, 3)},
    {"shear": (0.1, 0.2, 0.3), "scale": (1, 2, 3)},
    {"affine": [[1, 0, 0, 3], [0, 0.8, 0.1, 2], [0, 0, 1.2, 1], [0, 0, 0, 1]]},
    {"units": ("um", "um", "um"), "axis_labels": ("z", "y", "x")},
]


@turned
@pytest.mark.parametrize("place", PLACES)
def test_results_lie_over_the_image(place: dict[str, object]) -> None:
    layer = image(5, 8, 9, **place)
    labels = result_layer(np.zeros((5, 8, 9), np.int32), "labels", placement(layer))
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(labels, name), getattr(layer, name))
    np.testing.assert_allclose(labels.affine.affine_matrix, layer.affine.affine_matrix)
    assert labels.units == layer.units
    assert labels.axis_labels == layer.axis_labels
    point = (3, 4, 5)
    np.testing.assert_allclose(labels.data_to_world(point), layer.data_to_world(point))


@turned
@pytest.mark.parametrize("place", PLACES)
def test_pieces_lie_where_they_were_cut_out(place: dict[str, object]) -> None:
    layer = image(5, 8, 9, **place)
    offset = (1, 3, 2)
    piece = result_layer(
        np.zeros((1, 4, 4), np.int32), "piece", shifted(placement(layer), offset)
    )
    np.testing.assert_allclose(
        piece.data_to_world((2, 1, 3)),
        layer.data_to_world(np.add((2, 1, 3), offset)),
        atol=1e-12,
    )
