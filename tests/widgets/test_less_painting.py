"""Superpixels, limits and keys in the widgets that offer them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from napari.utils.key_bindings import coerce_keybinding

from napari_unet.errors import DataError
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session
from napari_unet.widgets.shortcuts import KEYS
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

TIMEOUT = 60_000


class Mouse:
    """A mouse event as the canvas hands it to a layer."""

    button = 1
    is_dragging = True
    dims_displayed = (0, 1)

    def __init__(self, kind: str, position: tuple[float, float]) -> None:
        self.type = kind
        self.position = position


@pytest.fixture
def train(viewer: Any, host: Any) -> TrainWidget:
    made = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Train U-Net")
    return made


def begin(widget: TrainWidget, **place: Any) -> Any:
    """Show an image with an empty annotation of classes."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    widget.annotation.task.value = "classes"
    widget.viewer.add_image(pixels, name="cells", **place)
    widget.new_annotation()
    widget.check()
    return widget.annotation.layer.value


def test_a_click_annotates_a_superpixel(train: TrainWidget, qtbot: Any) -> None:
    layer = begin(train, scale=(0.5, 0.5), rotate=30)
    told: list[None] = []
    train.annotation.painted.connect(lambda: told.append(None))
    section = train.annotation.superpixels
    section.switch.click()
    qtbot.waitUntil(lambda: section.found is not None, timeout=TIMEOUT)
    found = section.found
    assert found is not None
    places = [tuple(layer.data_to_world(p)) for p in [(20, 20), (20, 44)]]
    event = Mouse("mouse_press", places[0])  # napari updates the one of the press
    mouse_press_callbacks(layer, event)
    event.type, event.position = "mouse_move", places[1]
    mouse_move_callbacks(layer, event)
    event.type = "mouse_release"
    mouse_release_callbacks(layer, event)
    painted = np.unique(found.pieces[layer.data == 2])
    assert {found.pieces[20, 20], found.pieces[20, 44]} <= set(painted)
    np.testing.assert_array_equal(layer.data == 2, np.isin(found.pieces, painted))
    assert told
    layer.undo()
    assert not layer.data.any()
    train.viewer.layers.remove(layer)
    train.check()
    assert section.isHidden()
    assert [x.name for x in train.viewer.layers] == ["cells"]


def test_outlines_are_no_image_to_choose(train: TrainWidget, qtbot: Any) -> None:
    begin(train)
    section = train.annotation.superpixels
    section.switch.click()
    qtbot.waitUntil(lambda: section.found is not None, timeout=TIMEOUT)
    train.image.refresh()
    assert [layer.name for layer in train.image.image.choices] == ["cells"]
    assert train.image.candidates() == []
    train.close_parts()  # as when the dock is closed
    assert [x.name for x in train.viewer.layers] == ["cells", "cells annotation"]


def test_keys_of_the_widget(
    train: TrainWidget, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = begin(train)
    viewer, image = train.viewer, train.viewer.layers["cells"]
    train.annotation.paint.add_class()
    viewer.layers.selection.active = image

    def press(name: str) -> None:
        viewer.keymap[coerce_keybinding(KEYS[name])](viewer)

    press("class 1")
    assert layer.selected_label == 1
    assert viewer.layers.selection.active is layer
    press("class 3")
    assert layer.selected_label == 3
    press("class 9")  # there is none
    assert layer.selected_label == 3
    shown: list[bool] = []
    monkeypatch.setattr(train.live.view, "show_preview", shown.append)
    press("preview")
    assert shown == [False]
    press("superpixels")
    assert layer.mode == "fill"
    press("superpixels")
    assert layer.mode == "paint"
    train.annotation.task.value = "objects"
    train.check()
    layer.data[2, 2] = 5
    press("new object")
    assert layer.selected_label == 6
    train.close_parts()
    assert not viewer.keymap


def test_only_strokes_in_the_box_count(train: TrainWidget) -> None:
    layer = begin(train)
    layer.data[2:12, 2:12] = 1
    layer.data[20:40, 20:40] = 2
    layer.data[45:60, 45:60] = 3
    train.check()
    assert set(np.unique(train.request().annotation)) == {0, 1, 2, 3}
    limit = train.annotation.limit
    limit.button.click()
    shapes = train.viewer.layers["cells limit"]
    shapes.data = [np.array([[1, 1], [1, 42], [42, 42], [42, 1]])]
    limit._limit.look()
    assert limit.box == ((1, 43), (1, 43))
    assert set(np.unique(train.request().annotation)) == {0, 1, 2}
    assert layer.data.max() == 3  # nothing is lost
    limit.button.click()
    assert set(np.unique(train.request().annotation)) == {0, 1, 2, 3}


def test_prediction_inside_a_box(
    viewer: Any, host: Any, write_model: Callable[..., Any]
) -> None:
    widget = PredictWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget, name="Predict U-Net")
    widget.model.choose(write_model())
    viewer.add_image(np.zeros((3, 64, 80)), name="stack", scale=(4, 0.5, 0.5))
    widget.region.value = "box"
    shapes = viewer.layers["stack limit"]
    shapes.data = [np.array([[9.5, 4.5], [9.5, 44.5], [29.5, 44.5], [29.5, 4.5]])]
    widget.limit.look()
    assert widget.request().box == ((0, 3), (10, 30), (5, 45))
    viewer.layers.remove(shapes)
    with pytest.raises(DataError, match="no box"):
        widget.request()
    widget.region.value = "whole"
    assert widget.request().box is None
