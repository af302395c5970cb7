"""The cursor knows its direction as soon as the view is 3D."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_unet.widgets.box_layer import BoxLayer
from napari_unet.widgets.look_direction import LookDirection

BOX = ((0, 4), (0, 8), (0, 8))
PLACE = {
    "scale": np.ones(3),
    "translate": np.zeros(3),
    "rotate": np.eye(3),
    "shear": np.eye(3),
}


@pytest.fixture
def viewer(qapp: Any) -> ViewerModel:
    made = ViewerModel()
    # Names are what napari's status bar shows beside the value.
    made.add_labels(
        np.ones((4, 8, 8), np.int32), features={"name": ["background", "cell"]}
    )
    made.mouse_over_canvas = True
    return made


def test_the_status_bar_works_in_3d_before_the_mouse_moved(viewer: ViewerModel) -> None:
    followed = LookDirection(viewer)
    viewer.dims.ndisplay = 3
    viewer.update_status_from_cursor()
    followed.close()


def test_a_view_that_is_3d_already_is_taken_in(viewer: ViewerModel) -> None:
    viewer.dims.ndisplay = 3
    LookDirection(viewer)
    viewer.update_status_from_cursor()


def test_a_layer_is_added_once_though_another_listener_fails(
    viewer: ViewerModel,
) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("somebody else's")

    before = viewer.layers.selection.active
    shown = BoxLayer(viewer, lambda data, **place: type(before)(data, **place))
    viewer.layers.events.inserted.connect(fail)
    pixels = np.ones((4, 8, 8), np.uint8)
    with pytest.raises(RuntimeError, match="somebody"):
        shown.show(pixels, BOX, PLACE)
    shown.show(pixels, BOX, PLACE)  # draws in the layer that is there
    assert len(viewer.layers) == 2
    assert viewer.layers.selection.active is before
