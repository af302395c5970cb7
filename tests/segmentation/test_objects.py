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


def ridge(*heights: float) -> tuple[np.ndarray, np.ndarray]:
    """Foreground and distance of one row of voxels."""
    distance = np.array([heights], float)
    return np.ones_like(distance), distance


@pytest.mark.parametrize(
    ("prominence", "count"), [(0.05, 3), (0.15, 2), (0.25, 2), (0.35, 1)]
)
def test_a_peak_is_an_object_if_it_rises_above_the_pass(
    prominence: float, count: int
) -> None:
    # The second peak rises 0.1 above its pass, the third 0.3, though it is the lowest.
    maps = ridge(0.5, 0.9, 0.7, 0.8, 0.3, 0.6, 0.4)
    found = decode_objects(*maps, DecoderInfo(prominence=prominence, min_size=1))
    assert found.max() == count


def test_a_small_peak_joins_the_neighbour_behind_the_highest_pass() -> None:
    maps = ridge(0.9, 0.4, 0.6, 0.55, 0.9)
    found = decode_objects(*maps, DecoderInfo(prominence=0.1, min_size=1))
    assert found[0, 2] == found[0, 4] != found[0, 0]


def test_prominence_is_the_same_for_any_number_of_basins_between() -> None:
    # Bumps on the way up join each other first, and never hide the pass in the middle.
    maps = ridge(0.5, 0.48, 0.6, 0.58, 0.8, 0.3, 0.7, 0.68, 0.6, 0.62)
    found = decode_objects(*maps, DecoderInfo(prominence=0.1, min_size=1))
    np.testing.assert_array_equal(found[0] == found[0, 0], np.arange(10) < 6)
    assert found.max() == 2


def test_models_with_a_seed_threshold_can_still_be_read() -> None:
    old = {"foreground_threshold": 0.4, "seed_threshold": 0.6, "min_size": 7}
    assert DecoderInfo.model_validate(old).prominence == DecoderInfo().prominence


def test_small_objects_are_dropped_and_ids_have_no_gaps() -> None:
    labels = np.zeros((10, 10), np.int32)
    labels[0, 0], labels[2:5, 2:5], labels[6:9, 6:9] = 5, 9, 900
    assert set(np.unique(compact_labels(labels, 4))) == {0, 1, 2}
    assert set(np.unique(compact_labels(labels))) == {0, 1, 2, 3}


def test_nothing_there() -> None:
    empty = np.zeros((8, 9))
    assert not decode_objects(empty, empty, DecoderInfo()).any()
