"""The fill tool paints superpixels, and can be undone click by click."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.data.source import image_source
from napari_unet.widgets.superpixels import (
    SuperpixelMap,
    SuperpixelTool,
    divide,
    read_plane,
)


class Mouse:
    """A mouse event as napari hands it to callbacks of a layer."""

    def __init__(self, position: tuple[float, ...], button: int = 1) -> None:
        self.position = position
        self.button = button
        self.type = "mouse_press"
        self.dims_displayed = [len(position) - 2, len(position) - 1]


def drag(layer: Labels, *positions: tuple[float, ...], button: int = 1) -> None:
    """Press at the first position, move over the others, release."""
    event = Mouse(positions[0], button)
    running = [f(layer, event) for f in layer.mouse_drag_callbacks]
    running = [g for g in running if g is not None]
    for kind, place in [
        *(("mouse_move", p) for p in positions),
        ("mouse_release", positions[-1]),
    ]:
        event.type, event.position = kind, place
        for generator in running:
            next(generator, None)


def callbacks(layer: Labels) -> list[str]:
    names = [f.__name__ for f in layer.mouse_drag_callbacks]
    return [name for name in names if name != "no_op"]


def quarters() -> SuperpixelMap:
    """Four squares of 10 pixels."""
    y, x = np.indices((20, 20)) // 10
    return SuperpixelMap((1 + 2 * y + x).astype(np.int32), ((0, 20), (0, 20)), (0, 1))


@pytest.fixture
def layer() -> Labels:
    made = Labels(np.zeros((20, 20), np.int32))
    made.selected_label = 3
    return made


@pytest.fixture
def tool(layer: Labels) -> SuperpixelTool:
    made = SuperpixelTool(layer)
    made.map = quarters()
    return made


def test_a_click_fills_one_superpixel(tool: SuperpixelTool, layer: Labels) -> None:
    painted: list[Any] = []
    layer.events.paint.connect(painted.append)
    drag(layer, (2, 14))
    assert (layer.data[:10, 10:] == 3).all()
    assert np.count_nonzero(layer.data) == 100
    assert len(painted) == 1


def test_a_drag_fills_all_it_crosses_and_is_undone_at_once(
    tool: SuperpixelTool, layer: Labels
) -> None:
    drag(layer, (2, 2), (2, 18), (18, 18))  # fast: no event in between
    assert np.count_nonzero(layer.data) == 300
    assert not layer.data[10:, :10].any()
    layer.undo()
    assert not layer.data.any()
    layer.redo()
    assert np.count_nonzero(layer.data) == 300


def test_every_click_is_a_step_of_undo(tool: SuperpixelTool, layer: Labels) -> None:
    layer.data[3, 3] = 7
    drag(layer, (2, 2))
    drag(layer, (12, 12))
    layer.undo()
    assert np.count_nonzero(layer.data) == 100
    layer.undo()
    assert np.argwhere(layer.data).tolist() == [[3, 3]]
    assert layer.data[3, 3] == 7


def test_label_0_erases(tool: SuperpixelTool, layer: Labels) -> None:
    layer.data[...] = 2
    layer.selected_label = 0
    drag(layer, (2, 2))
    assert not layer.data[:10, :10].any()
    assert np.count_nonzero(layer.data) == 300


def test_labels_can_be_preserved(tool: SuperpixelTool, layer: Labels) -> None:
    layer.data[:5] = 2
    layer.preserve_labels = True
    drag(layer, (7, 2))
    assert (layer.data[:5] == 2).all()
    assert (layer.data[5:10, :10] == 3).all()
    layer.selected_label = 0  # erases the label that was selected before, 3
    drag(layer, (7, 2))
    assert (layer.data[:5] == 2).all()
    assert not (layer.data == 3).any()


def test_other_buttons_and_places_do_nothing(
    tool: SuperpixelTool, layer: Labels
) -> None:
    drag(layer, (2, 2), button=2)
    drag(layer, (-5, 2))
    drag(layer, (2, 30), (40, 30))
    tool.map = None
    drag(layer, (2, 2))
    assert not layer.data.any()
    layer.undo()  # nothing to undo


def test_other_tools_work_as_always(tool: SuperpixelTool, layer: Labels) -> None:
    layer.mode = "paint"
    layer.brush_size = 1
    drag(layer, (2, 2))
    assert np.count_nonzero(layer.data) == 1
    layer.mode = "pan_zoom"  # as while Space is held down
    drag(layer, (2, 2))
    assert np.count_nonzero(layer.data) == 1
    layer.mode = "fill"
    drag(layer, (2, 2))
    assert np.count_nonzero(layer.data) == 100


@pytest.mark.parametrize("mode", ["pan_zoom", "paint", "erase", "fill"])
def test_the_layer_is_given_back_as_it_was(layer: Labels, mode: str) -> None:
    layer.mode = mode
    before = callbacks(layer)
    tool = SuperpixelTool(layer)
    tool.map = quarters()
    assert layer.mode == "fill"
    tool.close()
    assert layer.mode == mode
    assert callbacks(layer) == before
    layer.mode = "fill"
    drag(layer, (2, 2))
    assert np.count_nonzero(layer.data) == 400  # napari's own fill


def test_a_tool_chosen_since_is_kept(tool: SuperpixelTool, layer: Labels) -> None:
    layer.mode = "erase"
    tool.close()
    assert layer.mode == "erase"


@pytest.mark.parametrize("shape", [(3, 20, 20), (2, 3, 20, 20)])
def test_only_the_plane_of_the_map_is_painted(shape: tuple[int, ...]) -> None:
    layer = Labels(np.zeros(shape, np.int32))
    layer.selected_label = 4
    tool = SuperpixelTool(layer)
    outer = tuple((1, 2) for _ in shape[:-2])
    plane = (len(shape) - 2, len(shape) - 1)
    tool.map = SuperpixelMap(quarters().pieces, (*outer, (0, 20), (0, 20)), plane)
    drag(layer, (*(1.2 for _ in outer), 2, 2))
    assert np.count_nonzero(layer.data) == 100
    assert np.count_nonzero(layer.data[*(1 for _ in outer)]) == 100
    drag(layer, (*(0.2 for _ in outer), 12, 12))  # another plane
    assert np.count_nonzero(layer.data) == 100
    layer.undo()
    assert not layer.data.any()


def test_a_map_of_a_window_is_painted_where_it_lies() -> None:
    layer = Labels(np.zeros((50, 60), np.int32))
    layer.selected_label = 1
    tool = SuperpixelTool(layer)
    tool.map = SuperpixelMap(quarters().pieces, ((30, 50), (40, 60)), (0, 1))
    drag(layer, (32, 42))
    assert (layer.data[30:40, 40:50] == 1).all()
    drag(layer, (2, 2))
    assert np.count_nonzero(layer.data) == 100


@pytest.mark.parametrize(
    "place",
    [
        {"scale": (0.5, 0.25), "translate": (100, -3)},
        {"rotate": 30, "scale": (2, 2), "translate": (1, 2)},
        {"affine": [[0, -2, 5], [2, 0, 1], [0, 0, 1]]},
    ],
)
def test_layers_may_lie_anywhere(place: dict[str, Any]) -> None:
    layer = Labels(np.zeros((20, 20), np.int32), **place)
    layer.selected_label = 3
    tool = SuperpixelTool(layer)
    tool.map = quarters()
    drag(layer, tuple(layer.data_to_world((14, 3))))
    assert (layer.data[10:, :10] == 3).all()
    assert np.count_nonzero(layer.data) == 100


def test_planes_are_read_with_all_channels() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (5, 30, 40, 3), np.uint8)
    source = image_source(rgb, "ZYXC")
    pixels = read_plane(source, ((2, 3), (10, 30), (0, 40)), (1, 2))
    np.testing.assert_array_equal(pixels, np.moveaxis(rgb[2, 10:], -1, 0))
    side = read_plane(source, ((0, 5), (7, 8), (0, 40)), (0, 2))
    np.testing.assert_array_equal(side, np.moveaxis(rgb[:, 7], -1, 0))
    movie = rng.random((2, 4, 3, 30, 40))  # C T Z Y X
    source = image_source(movie, "CTZYX")
    pixels = read_plane(source, ((3, 4), (1, 2), (0, 30), (5, 40)), (2, 3))
    np.testing.assert_array_equal(pixels, movie[:, 3, 1, :, 5:])


def test_divided_planes_know_where_they_lie() -> None:
    image = np.zeros((4, 64, 64), np.float32)
    image[1, 16:48, 16:48] = 1
    found = divide(image_source(image, "ZYX"), ((1, 2), (0, 64), (8, 64)), (1, 2), 8)
    assert found.pieces.shape == (64, 56)
    inside = found.pieces[20:44, 12:36]
    outside = np.concatenate([found.pieces[:12].ravel(), found.pieces[52:].ravel()])
    assert not set(inside.ravel()) & set(outside)
