from __future__ import annotations

import numpy as np
import pytest

from napari_unet.data.annotation import UNANNOTATED, Annotation
from napari_unet.data.source import ImageSource
from napari_unet.errors import AnnotationError

VALUES = np.array([[0, 1, 2], [2, 3, 0]])


def annotate(labels, axes="YX", **options):
    labels = np.asarray(labels)
    return Annotation(labels, ImageSource((np.zeros(labels.shape),), axes), **options)


@pytest.mark.parametrize(
    ("rule", "background", "background_value", "unannotated", "counts"),
    [
        ("sparse", True, 1, 0, {1: 1, 2: 2, 3: 1}),
        ("complete", True, 0, None, {0: 2, 1: 1, 2: 2, 3: 1}),
        ("sparse", False, None, 0, {1: 1, 2: 2, 3: 1}),
        ("complete", False, None, 0, {1: 1, 2: 2, 3: 1}),
    ],
)
def test_what_values_mean_by_each_rule(
    rule, background, background_value, unannotated, counts
):
    annotation = annotate(VALUES, rule=rule, background=background)
    assert annotation.background_value == background_value
    assert annotation.unannotated_value == unannotated
    assert annotation.count_values() == counts
    expected = VALUES.copy()
    if unannotated is not None:
        expected[VALUES == unannotated] = UNANNOTATED
    np.testing.assert_array_equal(annotation.read(0), expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, ">u2", np.int64, np.uint32])
def test_every_integer_type_is_read(dtype):
    labels = annotate(VALUES.astype(dtype), rule="sparse").read(0)
    assert labels.dtype == np.int32
    assert (labels == UNANNOTATED).sum() == 2


def test_labels_follow_the_image_through_samples_and_boxes():
    labels = np.arange(2 * 3 * 4 * 5).reshape(4, 2, 3, 5)
    source = ImageSource((np.zeros((4, 2, 7, 3, 5)),), "ZTCYX")
    annotation = Annotation(labels, source)
    np.testing.assert_array_equal(annotation.read(1), labels[:, 1])
    box = ((1, 3), (0, 2), (2, 4))
    np.testing.assert_array_equal(annotation.read(0, box), labels[1:3, 0, 0:2, 2:4])
    planes = Annotation(labels, ImageSource(source.arrays, "ZTCYX", ndim=2))
    np.testing.assert_array_equal(planes.read(3), labels[1, 1])


def test_samples_that_nobody_annotated_are_left_out():
    labels = np.zeros((4, 5, 6), int)
    labels[2, 1, 1] = 1
    assert annotate(labels, "TYX", rule="sparse").annotated_samples() == [2]
    assert annotate(labels, "TYX", rule="complete").annotated_samples() == [0, 1, 2, 3]


def test_what_does_not_fit_the_image_is_one_sentence():
    source = ImageSource((np.zeros((4, 5, 3)),), "YXC", name="cells")
    with pytest.raises(AnnotationError, match=r"the image needs \(4, 5\) \(YX\)"):
        Annotation(np.zeros((4, 5, 3), int), source)
    with pytest.raises(AnnotationError, match="labels are whole numbers"):
        Annotation(np.zeros((4, 5)), source)


def test_reading_changes_nothing_of_the_layer():
    labels = np.zeros((4, 5), np.int32)
    annotation = annotate(labels, rule="sparse")
    annotation.read(0)[:] = 9
    assert not labels.any()
