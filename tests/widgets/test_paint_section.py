"""Painting aids: classes with names, background and new objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels

from napari_unet.widgets.annotation_layer import (
    class_names,
    name_class,
    new_annotation_layer,
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
