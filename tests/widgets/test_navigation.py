from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_unet.widgets.navigation import camera_of, move_to

pytestmark = pytest.mark.viewer


@pytest.fixture
def layer(viewer: Any) -> Any:
    image = viewer.add_image(np.zeros((5, 200, 300), np.uint8), scale=(3, 0.5, 0.5))
    image.corner_pixels = np.array([[0, 0, 0], [0, 199, 299]])  # what a draw does
    return image


def test_a_place_in_the_middle_is_in_the_middle_of_the_canvas(
    viewer: Any, layer: Any
) -> None:
    move_to(viewer, layer, ((3, 4), (95, 105), (145, 155)))
    assert viewer.dims.current_step[0] == 3
    np.testing.assert_allclose(camera_of(viewer).center[1:], (99.5 / 2, 149.5 / 2))


def test_the_canvas_is_not_left_empty_for_a_place_in_a_corner(
    viewer: Any, layer: Any
) -> None:
    """A place of 10 pixels gets a canvas of 120: none of it lies outside the image."""
    zoom = camera_of(viewer).zoom
    move_to(viewer, layer, ((0, 1), (0, 10), (290, 300)))
    assert camera_of(viewer).zoom > zoom
    np.testing.assert_allclose(camera_of(viewer).center[1:], (30, 119.5))
