"""Corrections become annotation, pixel by pixel. No viewer is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_unet.data.classes import ClassInfo, make_classes
from napari_unet.errors import AnnotationError
from napari_unet.models.info import ModelInfo, NetworkInfo
from napari_unet.widgets import edit_layers
from napari_unet.widgets.edit_layers import (
    Original,
    accept,
    editable_copy,
    learn_from_edits,
    original_of,
    remember_original,
    remember_result,
    write,
)
from napari_unet.widgets.edits import (
    accepted_objects,
    annotation_values,
    class_edits,
    object_edits,
)

SPARSE = {0: 1, 2: 2, 3: 3}


def test_values_of_results_become_values_of_a_sparse_annotation() -> None:
    assert annotation_values(make_classes([1, 2, 3], 1)) == {0: 1, 2: 2, 3: 3}
    assert annotation_values(make_classes([0, 1, 2], 0)) == {0: 1, 1: 2, 2: 3}
    street = [ClassInfo(value=4, name="road", color="#000000")]
    assert annotation_values(street) == {4: 4}


def test_exactly_the_changed_pixels_of_classes_are_taken() -> None:
    before = np.zeros((6, 8), np.uint8)
    before[2:4, 2:6] = 2
    now = before.copy()
    now[2, 2] = 0  # erased
    now[0, 0] = 3
    found = class_edits(before, now, SPARSE)
    assert found[2, 2] == 1
    assert found[0, 0] == 3
    assert np.count_nonzero(found) == 2


def two_objects() -> np.ndarray:
    labels = np.zeros((12, 20), np.uint16)
    labels[2:6, 2:8] = 1
    labels[2:6, 12:18] = 2
    return labels


def test_a_changed_object_is_taken_whole_and_others_are_left() -> None:
    before = two_objects()
    now = before.copy()
    now[6, 2:8] = 1  # extended
    found = object_edits(before, now, 10)
    np.testing.assert_array_equal(found == 10, now == 1)
    assert np.count_nonzero(found) == np.count_nonzero(now == 1)


def test_erasing_the_rim_of_an_object_corrects_it() -> None:
    before = two_objects()
    now = before.copy()
    now[2, 2:8] = 0
    found = object_edits(before, now, 10)
    assert (found[2, 2:8] == 1).all()
    np.testing.assert_array_equal(found == 10, now == 1)
    assert not found[:, 12:].any()


def test_an_erased_object_is_background_and_a_new_one_is_an_object() -> None:
    before = two_objects()
    now = before.copy()
    now[now == 2] = 0
    now[8:11, 4:9] = 70
    found = object_edits(before, now, 5)
    np.testing.assert_array_equal(found == 1, before == 2)
    np.testing.assert_array_equal(found == 5, now == 70)


def test_an_object_that_was_cut_in_two_is_two() -> None:
    before = two_objects()
    now = before.copy()
    now[2:6, 5] = 0
    found = object_edits(before, now, 10)
    assert set(np.unique(found)) == {0, 1, 10, 11}
    assert len(np.unique(found[2:6, 2:5])) == 1


def test_a_number_used_twice_marks_only_the_touched_object() -> None:
    before = two_objects()
    before[2:6, 12:18] = 1
    now = before.copy()
    now[6, 2:8] = 1
    found = object_edits(before, now, 10)
    assert not found[:, 12:].any()


def test_joined_objects_are_one() -> None:
    before = two_objects()
    now = before.copy()
    now[2:6, 8:12] = 1
    now[now == 2] = 1
    found = object_edits(before, now, 10)
    np.testing.assert_array_equal(found == 10, now == 1)


def test_huge_numbers_cost_no_memory() -> None:
    before = two_objects().astype(np.int32)
    now = before.copy()
    now[8:11, 4:9] = 2**31 - 1
    assert (object_edits(before, now, 2)[8:11, 4:9] == 2).all()


def test_objects_that_may_be_cut_are_not_accepted() -> None:
    shown = two_objects()
    shown[2:6, 12:20] = 2  # reaches the right side
    annotated = np.zeros_like(shown)
    found = accepted_objects(shown, annotated, 5, [(False, False), (True, True)])
    np.testing.assert_array_equal(found == 5, shown == 1)
    assert not found[shown == 2].any()
    assert (found[shown == 0] == 1).all()
    whole = accepted_objects(shown, annotated, 5, [(False, False), (False, False)])
    assert set(np.unique(whole)) == {1, 5, 6}


def test_painted_objects_are_not_accepted_over() -> None:
    shown, annotated = two_objects(), np.zeros((12, 20), np.int32)
    annotated[3, 3] = 7
    annotated[0, 0] = 1
    found = accepted_objects(shown, annotated, 8, [(False, False)] * 2)
    assert not found[shown == 1].any()
    np.testing.assert_array_equal(found == 8, shown == 2)
    assert found[0, 0] == 0


# On layers ---------------------------------------------------------------------------


def copy_to_edit(
    labels: np.ndarray, task: str, box: tuple[tuple[int, int], ...] | None = None
) -> Labels:
    layer = Labels(labels.copy(), name="edited")
    box = box or tuple((0, n) for n in labels.shape)
    original = Original(labels.copy(), box, (12, 20), task, SPARSE)  # type: ignore[arg-type]
    remember_original(layer, original)
    return layer


def test_edits_reach_the_annotation_as_one_undoable_step() -> None:
    annotation = Labels(np.zeros((12, 20), np.int32))
    annotation.data[11, 19] = 3
    layer = copy_to_edit(two_objects()[:6, 2:8], "classes", ((0, 6), (2, 8)))
    layer.data[0, 0] = 2
    layer.data[2, 0] = 0
    assert learn_from_edits(layer, annotation) == 2
    assert annotation.data[0, 2] == 2
    assert annotation.data[2, 2] == 1
    annotation.undo()
    assert np.flatnonzero(annotation.data).tolist() == [11 * 20 + 19]


def test_the_same_edits_are_taken_once() -> None:
    annotation = Labels(np.zeros((12, 20), np.int32))
    annotation.data[0, 0] = 4
    layer = copy_to_edit(two_objects(), "objects")
    layer.data[6, 2:8] = 1
    learn_from_edits(layer, annotation)
    assert (annotation.data[2:7, 2:8] == 5).all()
    with pytest.raises(AnnotationError, match="Nothing was changed"):
        learn_from_edits(layer, annotation)
    layer.data[8:10, 10:12] = 9
    learn_from_edits(layer, annotation)
    assert (annotation.data[8:10, 10:12] == 6).all()
    assert (annotation.data[2:7, 2:8] == 5).all()


def test_layers_of_other_images_and_other_people_are_refused() -> None:
    layer = copy_to_edit(two_objects(), "objects")
    layer.data[0, 0] = 9
    with pytest.raises(AnnotationError, match="do not belong"):
        learn_from_edits(layer, Labels(np.zeros((5, 5), np.int32)))
    stranger = Labels(two_objects())
    assert original_of(stranger) is None
    with pytest.raises(AnnotationError, match="press Edit"):
        learn_from_edits(stranger, Labels(np.zeros((12, 20), np.int32)))


def test_too_many_objects_for_the_layer_are_told() -> None:
    annotation = Labels(np.zeros((12, 20), np.uint8))
    annotation.data[11, 0] = 255
    layer = copy_to_edit(two_objects(), "objects")
    layer.data[6, 2:8] = 1
    with pytest.raises(AnnotationError, match="int32"):
        learn_from_edits(layer, annotation)


def test_accepting_classes_keeps_what_was_painted() -> None:
    annotation = Labels(np.zeros((12, 20), np.int32))
    annotation.data[2, 3] = 1
    shown = np.where(two_objects() > 0, 2, 0)[2:8, 2:12]
    count = accept(shown, ((2, 8), (2, 12)), annotation, "classes", SPARSE)
    assert count == shown.size - 1
    assert annotation.data[2, 3] == 1
    assert annotation.data[2, 2] == 2
    assert annotation.data[7, 11] == 1
    assert not annotation.data[8:].any()
    annotation.undo()
    assert np.count_nonzero(annotation.data) == 1


def test_accepting_one_plane_of_a_stack_takes_its_objects() -> None:
    annotation = Labels(np.zeros((3, 12, 20), np.int32))
    shown = two_objects()[None]
    accept(shown, ((1, 2), (0, 12), (0, 20)), annotation, "objects", {})
    assert set(np.unique(annotation.data[1])) == {1, 2, 3}
    assert not annotation.data[[0, 2]].any()


@pytest.mark.parametrize("small", [False, True])
def test_a_copy_to_edit_lies_over_the_image(
    monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if small:
        monkeypatch.setattr(edit_layers, "MAX_VOXELS", 50)
    annotation = Labels(np.zeros((12, 20), np.int32), scale=(2, 3), translate=(5, 7))
    place = {
        name: np.array(getattr(annotation, name))
        for name in ("scale", "translate", "rotate", "shear")
    }
    shown = two_objects()[2:7, 2:8]
    layer = editable_copy(
        shown, ((2, 7), (2, 8)), (12, 20), place, "objects", {}, name="copy"
    )
    assert layer.data.shape == ((5, 6) if small else (12, 20))
    assert layer.data.dtype == np.int32
    assert layer.editable
    start = (0, 0) if small else (2, 2)
    np.testing.assert_allclose(
        layer.data_to_world(start), annotation.data_to_world((2, 2))
    )
    layer.data[start[0] + 4, start[1] : start[1] + 6] = 1
    learn_from_edits(layer, annotation)
    assert (annotation.data[2:7, 2:8] == 2).all()
    assert np.count_nonzero(annotation.data) == 30


def test_a_result_of_a_model_can_be_corrected() -> None:
    labels = np.zeros((3, 12, 20), np.int32)
    labels[0, 2:6, 2:8] = 1
    annotation = Labels(np.zeros((5, 12, 20), np.int32))
    layer = Labels(labels)
    info = ModelInfo(
        name="m",
        task="classes",
        spatial="YX",
        n_channels=1,
        classes=make_classes([0, 1], 0),  # from a complete annotation
        network=NetworkInfo(name="unet", arguments={}),
    )
    remember_result(layer, ((1, 4), (0, 12), (0, 20)), (5, 12, 20), info)
    layer.data[0, 2, 2] = 0
    layer.data[2, 9, 9] = 1
    assert learn_from_edits(layer, annotation) == 2
    assert annotation.data[1, 2, 2] == 1
    assert annotation.data[3, 9, 9] == 2


@pytest.mark.parametrize("shape", [(20, 24), (3, 20, 24)])
def test_a_hidden_annotation_takes_corrections_in_another_view(
    qapp: Any, shape: tuple[int, ...]
) -> None:
    """Who looks at the preview alone hides the annotation, and may turn to 3D."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((5, 20, 24)))
    annotation = viewer.add_labels(np.zeros(shape, np.int32))
    annotation.visible = False
    viewer.dims.ndisplay = 3
    values = np.zeros(shape, np.int32)
    values[..., 4:9, 5:16] = 2
    assert write(annotation, values, [0] * len(shape)) == np.count_nonzero(values)
    np.testing.assert_array_equal(annotation.data, values)
    annotation.undo()
    assert not annotation.data.any()
