"""Painting aids: classes with names, background and new objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels
from qtpy.QtWidgets import QPushButton

from napari_unet.widgets.annotation_layer import (
    annotation_colors,
    chosen_colors,
    class_names,
    classes_of,
    name_class,
    new_annotation_layer,
    show_chosen_colors,
)
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.paint_section import PaintSection

pytestmark = pytest.mark.viewer


@pytest.fixture
def section(qtbot: Any) -> PaintSection:
    made = PaintSection()
    qtbot.addWidget(made)
    return made


@pytest.fixture
def layer() -> Labels:
    made = new_annotation_layer(snapshot([Image(np.zeros((40, 50)))]), "classes")
    made.mode = "pan_zoom"
    return made


def test_nothing_is_offered_without_a_layer(section: PaintSection) -> None:
    section.show_for(None, "classes", [], None)
    assert section.isHidden()


def test_a_swatch_selects_label_and_brush(section: PaintSection, layer: Labels) -> None:
    section.show_for(layer, "classes", [1, 2, 3], 1)
    assert [n.text() for n in section.names.values()] == [
        "background",
        "class 2",
        "class 3",
    ]
    section._swatches[3].click()
    assert (layer.selected_label, str(layer.mode)) == (3, "paint")
    assert "white" in section._swatches[3].styleSheet()
    layer.selected_label = 1  # chosen in napari's own controls
    assert "white" in section._swatches[1].styleSheet()
    assert "white" not in section._swatches[3].styleSheet()


def test_names_are_kept_in_the_layer(section: PaintSection, layer: Labels) -> None:
    heard: list[None] = []
    section.renamed.connect(lambda: heard.append(None))
    section.show_for(layer, "classes", [1, 2], 1)
    section.names[2].setText(" membrane ")
    section.names[2].editingFinished.emit()
    assert class_names(layer)[2] == "membrane"
    assert heard
    section.names[2].setText("")  # an empty name changes nothing
    section.names[2].editingFinished.emit()
    assert class_names(layer)[2] == "membrane"


def test_a_class_can_be_added(section: PaintSection, layer: Labels) -> None:
    section.show_for(layer, "classes", [1, 2], 1)
    section.add_class()
    assert class_names(layer)[3] == "class 3"
    assert layer.selected_label == 3


def test_rows_are_painted_by_number(section: PaintSection, layer: Labels) -> None:
    section.show_for(layer, "classes", [1, 2, 5], 1)
    section.paint_class(3)
    assert (layer.selected_label, str(layer.mode)) == (5, "paint")
    section.paint_class(4)  # there is none
    assert layer.selected_label == 5
    assert "Ctrl" in section._swatches[5].toolTip()
    section.show_for(layer, "objects", [], 1)
    section.paint_class(1)
    assert layer.selected_label == 1
    section.show_for(None, "classes", [], None)
    section.paint_class(1)


def test_tools_that_paint_are_kept(section: PaintSection, layer: Labels) -> None:
    section.show_for(layer, "classes", [1, 2], 1)
    for mode, then in [("fill", "fill"), ("polygon", "polygon"), ("erase", "paint")]:
        layer.mode = mode
        section.paint_with(1)
        assert layer.mode == then


def test_colours_are_chosen_and_kept(section: PaintSection, layer: Labels) -> None:
    section.show_for(layer, "classes", [1, 2, 3], 1)
    section.set_color(3, "#123456")
    np.testing.assert_allclose(
        layer.get_color(3)[:3], (0x12 / 255, 0x34 / 255, 0x56 / 255), atol=1e-3
    )
    assert "#123456" in section._swatches[3].styleSheet()
    assert [c.color for c in classes_of(layer, [1, 2, 3], 1)][2] == "#123456"
    assert chosen_colors(layer) == {3: "#123456"}
    layer.colormap = annotation_colors()  # as when the layer is loaded again
    show_chosen_colors(layer)
    assert classes_of(layer, [3], None)[0].color == "#123456"


def test_colours_of_other_layers_stay(section: PaintSection) -> None:
    foreign = Labels(np.arange(12).reshape(3, 4))
    before = foreign.get_color(7)
    section.show_for(foreign, "classes", [1, 2, 7], 0)
    section.set_color(2, "#ff0000")
    np.testing.assert_allclose(foreign.get_color(7), before, atol=1e-3)
    np.testing.assert_allclose(foreign.get_color(2), (1, 0, 0, 1), atol=1e-3)
    np.testing.assert_allclose(foreign.colormap.map(0), 0)


def test_only_empty_classes_can_be_removed(
    section: PaintSection, layer: Labels
) -> None:
    section.show_for(layer, "classes", [1, 2], 1)
    section.add_class()
    assert list(section.names) == [1, 2, 3]
    layer.data[5, 5] = 2
    infos = {c.value: c for c in classes_of(layer, [1, 2, 3], 1)}
    enabled = {
        value: section.menu_for(info).actions()[1].isEnabled()
        for value, info in infos.items()
    }
    assert enabled == {1: False, 2: False, 3: True}
    section.remove_class(2)
    assert 2 in class_names(layer)
    section.remove_class(3)
    assert 3 not in class_names(layer)
    assert list(section.names) == [1, 2]
    assert layer.selected_label == 2


def test_objects_get_numbers_of_their_own(section: PaintSection, layer: Labels) -> None:
    section.show_for(layer, "objects", [], 1)
    section.paint_new_object()
    assert layer.selected_label == 2
    layer.data[3:6, 3:6] = 7
    section.paint_new_object()
    assert layer.selected_label == 8
    complete = Labels(np.zeros((4, 4), int))
    section.show_for(complete, "objects", [], 0)
    section.paint_new_object()
    assert complete.selected_label == 1


def test_features_of_others_are_left_alone() -> None:
    features = pd.DataFrame({"index": [1, 2], "area": [3.0, 4.0]})
    labels = Labels(np.zeros((4, 4), int), features=features)
    name_class(labels, 2, "membrane")
    assert class_names(labels) == {2: "membrane"}
    assert list(labels.features.columns) == ["index", "area"]


def test_a_layer_that_is_no_longer_shown_is_let_go(
    section: PaintSection, layer: Labels
) -> None:
    section.show_for(layer, "classes", [1, 2], 1)
    section.close_layer()
    style = section._swatches[2].styleSheet()
    layer.selected_label = 1
    assert section._swatches[2].styleSheet() == style


def test_the_background_button_is_down_while_background_is_painted(
    section: PaintSection, layer: Labels
) -> None:
    section.show_for(layer, "objects", [], 1)
    ground, new = section.findChildren(QPushButton)
    assert not ground.isChecked()
    for _ in range(2):  # pressed twice, it stays down
        ground.click()
        assert ground.isChecked()
    new.click()
    assert layer.selected_label == 2
    assert not ground.isChecked()
    layer.selected_label = np.int32(1)  # picked from the pixels
    assert ground.isChecked()
