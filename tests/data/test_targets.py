from __future__ import annotations

import numpy as np

from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes
from napari_unet.data.source import ImageSource
from napari_unet.data.targets import centre_distance, make_target


def annotation(labels: np.ndarray, **options: object) -> Annotation:
    source = ImageSource((np.zeros(labels.shape, np.uint8),), "YX")
    return Annotation(labels, source, **options)


def test_distance_is_one_inside_and_zero_between_touching_objects() -> None:
    labels = np.zeros((20, 40), np.int32)
    labels[5:15, 5:18], labels[5:15, 18:31] = 7, 70_000
    distance = centre_distance(labels, (1.0, 1.0))
    assert distance[labels == 0].max() == 0
    assert distance[labels == 7].max() == distance[labels == 70_000].max() == 1
    # Both sides of the shared face lie low: a valley between the two.
    assert distance[10, 17] == distance[10, 18] < 0.25


def test_distance_follows_the_voxel_size() -> None:
    labels = np.zeros((9, 21, 21), np.int32)
    labels[3:6, 5:16, 5:16] = 1
    flat = centre_distance(labels, (1.0, 1.0, 1.0))
    tall = centre_distance(labels, (10.0, 1.0, 1.0))
    # With thin planes Z alone decides; with thick ones only Y and X do.
    assert flat[3, 10, 10] == 0.5
    assert tall[3, 10, 10] == 1.0


def test_an_object_cut_by_the_image_border_keeps_rising() -> None:
    labels = np.zeros((10, 10), np.int32)
    labels[:4, 2:8] = 1
    distance = centre_distance(labels, (1.0, 1.0))
    assert distance[0, 4] == 1.0


def test_an_object_that_fills_the_image() -> None:
    assert (centre_distance(np.ones((4, 4), np.int32), (1.0, 1.0)) == 1).all()


def test_sparse_and_complete_classes() -> None:
    labels = np.array([[0, 1, 2, 5]])
    classes = make_classes([1, 2, 5], 1)
    sparse = make_target(annotation(labels, rule="sparse"), 0, "classes", classes)
    assert sparse.index.tolist() == [[-1, 0, 1, 2]]
    classes = make_classes([0, 1, 2, 5], 0)
    complete = make_target(annotation(labels), 0, "classes", classes)
    assert complete.index.tolist() == [[0, 1, 2, 3]]


def test_without_background_zero_is_void_in_either_rule() -> None:
    labels = np.array([[0, 1, 2, 3]])
    classes = make_classes([1, 2, 3], None)
    for rule in ("sparse", "complete"):
        target = make_target(
            annotation(labels, rule=rule, background=False), 0, "classes", classes
        )
        assert target.index.tolist() == [[-1, 0, 1, 2]]


def test_sparse_objects() -> None:
    labels = np.array([[0, 1, 2, 2, 3]])
    classes = make_classes([2], 1)
    target = make_target(annotation(labels, rule="sparse"), 0, "objects", classes)
    assert target.index.tolist() == [[-1, 0, 1, 1, 1]]
    assert target.distance is not None
    assert (target.distance[0, 2:] > 0).all()
    assert (target.distance[0, :2] == 0).all()


def test_unknown_values_are_not_annotated() -> None:
    target = make_target(
        annotation(np.array([[0, 1, 9]])), 0, "classes", make_classes([0, 1], 0)
    )
    assert target.index.tolist() == [[0, 1, -1]]
