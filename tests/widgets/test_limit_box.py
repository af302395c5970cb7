"""A rectangle in a Shapes layer, as voxels of the image or annotation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_unet.widgets.limit_box import LimitBox
from napari_unet.widgets.limit_section import LimitSection


@pytest.fixture
def viewer(qapp: Any) -> ViewerModel:
    return ViewerModel()  # a canvas is needed for the view alone


@pytest.fixture
def limit(viewer: Any) -> Iterator[LimitBox]:
    made = LimitBox(viewer)
    yield made
    made.close()


def rectangle(top: float, bottom: float, left: float, right: float) -> np.ndarray:
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def put(limit: LimitBox, *corners: np.ndarray) -> None:
    """Move the rectangle, as a drag does."""
    assert limit.layer is not None
    limit.layer.data = [(c, "rectangle") for c in corners]
    limit.look()


@pytest.mark.viewer
def test_the_first_box_lies_inside_the_view(
    make_napari_viewer: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer()
    limit = LimitBox(viewer)
    labels = viewer.add_labels(np.zeros((200, 300), np.int32), name="em annotation")
    limit.set_target(labels)
    assert limit.box is None
    limit.draw()
    assert limit.layer is viewer.layers["em limit"]
    (top, bottom), (left, right) = limit.box
    assert 0 < top < bottom < 200
    assert 0 < left < right < 300
    limit.close()


def test_voxels_that_the_rectangle_touches_are_inside(
    viewer: Any, limit: LimitBox
) -> None:
    limit.set_target(viewer.add_labels(np.zeros((20, 30), np.int32)))
    limit.draw()
    put(limit, rectangle(4.5, 9.5, 2, 7))
    assert limit.box == ((5, 10), (2, 8))
    put(limit, rectangle(-100, 100, -100, 100))
    assert limit.box == ((0, 20), (0, 30))
    put(limit, rectangle(2, 3, 2, 3), rectangle(8, 9, 10, 11))
    assert limit.box == ((2, 10), (2, 12))  # around all of them
    put(limit, rectangle(50, 60, 2, 3))
    assert limit.box is None  # beside the image


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (0.5, 0.25), "translate": (100, -3)},
        {"rotate": 30, "scale": (2, 3), "translate": (1, 2)},
        {"shear": [0.3], "scale": (2, 2)},
        {"affine": [[0, -2, 5], [2, 0, 1], [0, 0, 1]]},
    ],
)
def test_layers_may_lie_anywhere(
    viewer: Any, limit: LimitBox, place: dict[str, Any]
) -> None:
    labels = viewer.add_labels(np.zeros((200, 300), np.int32), **place)
    limit.set_target(labels)
    limit.draw()
    put(limit, rectangle(19.5, 99.5, 49.5, 69.5))
    assert limit.box == ((20, 100), (50, 70))


def test_a_rectangle_in_the_world_is_found_in_a_turned_layer(
    viewer: Any, limit: LimitBox
) -> None:
    quarter_turn = {"rotate": 90, "scale": (2, 2)}
    limit.set_target(viewer.add_labels(np.zeros((50, 50), np.int32), **quarter_turn))
    limit.draw()
    assert limit.layer is not None
    limit.layer.rotate = 0
    # Data (y, x) lies in the world at (-2 x, 2 y) here.
    put(limit, rectangle(-20.25, -10.25, 5.75, 15.75))
    assert limit.box == ((6, 17), (10, 21)) or limit.box == ((5, 16), (10, 21))


@pytest.mark.parametrize("shape", [(4, 60, 80), (2, 4, 60, 80)])
def test_other_axes_are_whole(
    viewer: Any, limit: LimitBox, shape: tuple[int, ...]
) -> None:
    scale = (5, 3, 0.5, 0.5)[-len(shape) :]
    limit.set_target(viewer.add_labels(np.zeros(shape, np.int32), scale=scale))
    limit.draw()
    put(limit, rectangle(9.5, 19.5, 9.5, 49.5))
    expected = (*((0, n) for n in shape[:-2]), (10, 20), (10, 50))
    assert limit.box == expected
    viewer.dims.set_current_step(0, 1)  # the rectangle is there in every plane
    limit.look()
    assert limit.box == expected
    viewer.dims.ndisplay = 3
    limit.look()
    assert limit.box == expected


def test_channels_are_no_axis_of_labels(viewer: Any, limit: LimitBox) -> None:
    channels = Image(np.zeros((2, 60, 80)))
    viewer.add_layer(channels)
    limit.set_target(channels, channels_first=True)
    limit.draw()
    put(limit, rectangle(9.5, 19.5, 9.5, 49.5))
    assert limit.box == ((10, 20), (10, 50))
    rgb = Image(np.zeros((60, 80, 3), np.uint8))
    viewer.add_layer(rgb)
    limit.set_target(rgb)
    assert limit.box == ((10, 20), (10, 50))


def test_news_are_told_once_the_rectangle_rests(
    viewer: Any, limit: LimitBox, qtbot: Any
) -> None:
    limit.set_target(viewer.add_labels(np.zeros((60, 80), np.int32)))
    heard: list[Any] = []
    limit.changed.connect(heard.append)
    limit.draw()
    assert len(heard) == 1
    assert limit.layer is not None
    limit.layer.data = [(rectangle(9.5, 19.5, 9.5, 49.5), "rectangle")]
    qtbot.waitUntil(lambda: len(heard) == 2, timeout=10_000)
    assert heard[-1] == ((10, 20), (10, 50))
    limit.layer.data = []
    qtbot.waitUntil(lambda: len(heard) == 3, timeout=10_000)
    assert heard[-1] is None


def test_deleting_the_layer_lifts_the_limit(viewer: Any, limit: LimitBox) -> None:
    limit.set_target(viewer.add_labels(np.zeros((60, 80), np.int32), name="a"))
    limit.draw()
    assert limit.box is not None
    viewer.layers.remove("a limit")
    assert limit.box is None
    limit.draw()  # and can be set again
    assert limit.box is not None


def test_the_button_sets_and_lifts(viewer: Any, qtbot: Any) -> None:
    section = LimitSection(viewer)
    qtbot.addWidget(section)
    assert section.isHidden()
    labels = Labels(np.zeros((60, 80), np.int32), name="a annotation")
    viewer.add_layer(labels)
    section.show_for(labels)
    heard: list[Any] = []
    section.changed.connect(heard.append)
    section.button.click()
    assert section.box is not None
    assert heard == [section.box]
    assert section.button.isChecked()
    assert "pixels count" in section.message.text()
    other = LimitSection(viewer)  # a second widget finds the same rectangle
    qtbot.addWidget(other)
    other.show_for(labels)
    other.button.click()
    assert other.box == section.box
    section.button.click()
    assert section.box is None
    assert other.box is None
    assert not other.button.isChecked()
    assert heard[-1] is None
    assert "a limit" not in viewer.layers
    section.close_layer()
    other.close_layer()
