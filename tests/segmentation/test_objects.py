from __future__ import annotations

import numpy as np
import pytest

from napari_unet.data.targets import centre_distance
from napari_unet.metrics.objects import match_objects
from napari_unet.segmentation.objects import compact_labels, decode_objects
from napari_unet.segmentation.settings import DecoderInfo


def touching_discs(ndim: int) -> np.ndarray:
    """Two balls that share a face, and one apart."""
    grid = np.indices((40,) * ndim)
    labels = np.zeros((40,) * ndim, np.int32)
    middle = [20] * (ndim - 2)
    for number, centre in enumerate([(10, 10), (10, 23), (30, 20)], start=1):
        where = np.array([*middle, *centre]).reshape(-1, *[1] * ndim)
        near = ((grid - where) ** 2).sum(axis=0) < 49
        labels[near & (labels == 0)] = number
    return labels


@pytest.mark.parametrize("ndim", [2, 3])
def test_exact_maps_give_the_objects_back(ndim: int) -> None:
    truth = touching_discs(ndim)
    distance = centre_distance(truth, (1.0,) * ndim)
    found = decode_objects((truth > 0) * 1.0, distance, DecoderInfo())
    assert found.dtype == np.int32
    assert found.max() == 3
    assert match_objects(truth, found, (0.9,)).ap == (1.0,)


def test_an_object_without_a_seed_is_still_found() -> None:
    truth = touching_discs(2)
    found = decode_objects((truth == 3) * 1.0, np.zeros(truth.shape), DecoderInfo())
    np.testing.assert_array_equal(found > 0, truth == 3)


def test_small_objects_are_dropped_and_ids_have_no_gaps() -> None:
    labels = np.zeros((10, 10), np.int32)
    labels[0, 0], labels[2:5, 2:5], labels[6:9, 6:9] = 5, 9, 900
    assert set(np.unique(compact_labels(labels, 4))) == {0, 1, 2}
    assert set(np.unique(compact_labels(labels))) == {0, 1, 2, 3}


def test_nothing_there() -> None:
    empty = np.zeros((8, 9))
    assert not decode_objects(empty, empty, DecoderInfo()).any()
