"""What is measured of frames."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_unet.tracking.frames import describe, number, overlap


@pytest.mark.parametrize("largest", [9, 2**31 - 1])
def test_objects_of_any_numbers_are_numbered_in_order(largest: int) -> None:
    frame = np.array([[0, largest, 5], [5, 0, largest]], np.int64)
    ids, numbered = number(frame)
    assert ids.tolist() == [5, largest]
    assert numbered.tolist() == [[0, 2, 1], [1, 0, 2]]


@pytest.mark.parametrize("value", [0, 7, 2**31 - 1])
def test_frames_of_one_value_are_understood(value: int) -> None:
    ids, numbered = number(np.full((3, 4), value, np.int64))
    assert ids.tolist() == ([value] if value else [])
    assert (numbered == bool(value)).all()


def test_centroids_and_volumes_are_those_of_scikit_image() -> None:
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 6, (7, 9, 8)).astype(np.uint16)
    spacing = (2.0, 0.5, 0.25)
    objects = describe(*number(frame), spacing)
    for region, place, size in zip(
        regionprops(frame, spacing=spacing),
        objects.centroids,
        objects.sizes,
        strict=True,
    ):
        np.testing.assert_allclose(place, region.centroid)
        assert size == pytest.approx(region.area)


def test_diameters_are_those_of_a_disc_and_a_ball() -> None:
    grid = np.indices((41, 41, 41)) - 20
    ball = ((grid**2).sum(0) <= 15**2).astype(np.int32)
    assert describe(*number(ball), (1, 1, 1)).diameters[0] == pytest.approx(
        30, rel=0.02
    )
    disc = ball[20]
    assert describe(*number(disc), (1, 1)).diameters[0] == pytest.approx(30, rel=0.02)


def test_overlap_is_intersection_over_union() -> None:
    before = np.array([[1, 1, 1, 0, 2]], np.int32)
    after = np.array([[0, 1, 1, 1, 0]], np.int32)
    np.testing.assert_allclose(overlap(before, after, (2, 1)).toarray(), [[2 / 4], [0]])
