"""The synthetic time-lapse is what it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_unet.sample_timelapse import TimeLapse, nuclei_timelapse, unlinked


@pytest.fixture(scope="module")
def movie() -> TimeLapse:
    return nuclei_timelapse(seed=4, frames=10)


def test_the_same_seed_gives_the_same_movie(movie: TimeLapse) -> None:
    again = nuclei_timelapse(seed=4, frames=10)
    np.testing.assert_array_equal(again.image, movie.image)
    np.testing.assert_array_equal(again.labels, movie.labels)
    assert (nuclei_timelapse(seed=5, frames=10).image != movie.image).any()


def test_nuclei_are_whole_numbered_and_brighter_than_background(
    movie: TimeLapse,
) -> None:
    values = np.unique(movie.labels)
    np.testing.assert_array_equal(values, np.arange(len(values)))
    for frame, labels in zip(movie.image, movie.labels, strict=True):
        assert frame[labels > 0].mean() > 2 * np.median(frame[labels == 0]) - 400
        for value in np.unique(labels)[1:]:
            assert ndimage.label(labels == value)[1] == 1


def test_nuclei_move_a_little_and_keep_their_numbers(movie: TimeLapse) -> None:
    ways = []
    for a, b in zip(movie.labels, movie.labels[1:], strict=False):
        both = [v for v in np.intersect1d(a, b) if v]
        before = np.array(ndimage.center_of_mass(a > 0, a, both))
        after = np.array(ndimage.center_of_mass(b > 0, b, both))
        ways += list(np.linalg.norm(after - before, axis=1) * movie.voxel_size[0])
    assert 0.5 < np.median(ways) < 4
    assert np.max(ways) < 12


def test_daughters_follow_their_mother_and_she_is_gone(movie: TimeLapse) -> None:
    assert movie.graph
    seen = {
        int(v): [t for t, f in enumerate(movie.labels) if (f == v).any()]
        for v in np.unique(movie.labels)[1:]
    }
    for daughter, mother in movie.graph.items():
        assert max(seen[mother]) < min(seen[daughter])


def test_unlinked_frames_hold_the_same_objects(movie: TimeLapse) -> None:
    other = unlinked(movie.labels)
    for a, b in zip(movie.labels, other, strict=True):
        pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
        assert len(pairs.T) == len(np.unique(a)) == len(np.unique(b))
    assert (other != movie.labels).any()


def test_three_frames_are_annotated_each_with_numbers_of_its_own(
    movie: TimeLapse,
) -> None:
    painted = [frame for frame in movie.annotation if frame.any()]
    assert len(painted) == 3
    ids = [set(np.unique(frame).tolist()) - {0, 1} for frame in painted]
    assert all(len(found) >= 3 for found in ids)
    assert len(set.union(*ids)) == sum(len(found) for found in ids)
    assert not movie.labels[movie.annotation == 1].any()
    assert all((frame == 1).any() for frame in painted)
