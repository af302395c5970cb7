"""Annotation layers: what they remember and what they tell about classes."""

from __future__ import annotations

import numpy as np
from napari.layers import Image, Labels

from napari_unet.data.classes import BACKGROUND_COLOR, PALETTE
from napari_unet.widgets.annotation_layer import (
    annotated_values,
    class_colors,
    class_names,
    classes_of,
    name_class,
    new_annotation_layer,
    remember_rule,
    rule_of,
)
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.readings import Reading


def new_layer(task: str = "classes") -> Labels:
    image = Image(np.zeros((120, 90)), scale=(0.5, 0.25), translate=(3, 4), name="em")
    return new_annotation_layer(snapshot([image]), task)  # type: ignore[arg-type]


def test_new_layer_is_ready_to_paint() -> None:
    layer = new_layer()
    assert layer.data.shape == (120, 90)
    assert layer.name == "em annotation"
    assert (layer.selected_label, layer.brush_size, layer.mode) == (2, 10, "paint")
    np.testing.assert_allclose(layer.scale, (0.5, 0.25))
    np.testing.assert_allclose(layer.translate, (3, 4))
    assert not layer.data.any()


def test_new_layer_has_no_channels() -> None:
    image = Image(np.zeros((2, 30, 40)), name="two")
    made = snapshot([image], Reading("CYX", 2))
    assert new_annotation_layer(made, "objects").data.shape == (30, 40)


def test_small_images_get_a_small_brush() -> None:
    made = snapshot([Image(np.zeros((20, 30)))])
    assert new_annotation_layer(made, "objects").brush_size == 2


def test_only_our_own_layers_are_known_to_be_sparse() -> None:
    assert rule_of(new_layer()) == "sparse"
    assert rule_of(Labels(np.zeros((4, 4), int))) is None


def test_what_the_user_said_is_remembered() -> None:
    layer = Labels(np.zeros((4, 4), int))
    remember_rule(layer, "complete")
    assert rule_of(layer) == "complete"
    layer.metadata["napari_unet"] = {"annotation": "nonsense"}
    assert rule_of(layer) is None


def test_names_and_colours_reach_the_classes() -> None:
    layer = new_layer()
    name_class(layer, 3, "membrane")
    classes = classes_of(layer, [1, 2, 3], background=1)
    assert [(c.value, c.name) for c in classes] == [
        (1, "background"),
        (2, "class 2"),
        (3, "membrane"),
    ]
    assert [c.color for c in classes] == [BACKGROUND_COLOR, PALETTE[0], PALETTE[1]]
    assert [c.background for c in classes] == [True, False, False]
    assert list(layer.features["class"]) == ["background", "class 2", "membrane"]
    assert class_names(layer)[3] == "membrane"


def test_foreign_layers_give_the_colours_on_screen() -> None:
    layer = Labels(np.zeros((4, 4), int))
    (one,) = classes_of(layer, [5], background=None)
    shown = [round(255 * float(part)) for part in layer.get_color(5)[:3]]
    assert one.color == "#{:02x}{:02x}{:02x}".format(*shown)


def test_results_show_classes_in_their_colours() -> None:
    classes = classes_of(new_layer(), [1, 2, 3], background=1)
    colors = class_colors(classes)
    np.testing.assert_allclose(colors.map(0), (0, 0, 0, 0))
    assert colors.map(2)[3] == 1
    assert not np.allclose(colors.map(2), colors.map(3))


def test_values_are_counted() -> None:
    labels = np.array([[0, 1, 1], [2, 2, 7]])
    assert annotated_values(labels) == {1: 2, 2: 2, 7: 1}
    assert annotated_values(labels, None) == {0: 1, 1: 2, 2: 2, 7: 1}
    assert annotated_values(np.stack([labels, labels])) == {1: 4, 2: 4, 7: 2}
    assert annotated_values(np.array([[-1, 70_000]])) == {-1: 1, 70_000: 1}
    assert annotated_values(np.array([[True, False]])) == {1: 1}
