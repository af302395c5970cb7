"""Objects keep their identity over time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_unet.config import TrackingConfig
from napari_unet.errors import ConfigError, DataError
from napari_unet.generators import exhaust
from napari_unet.sample_timelapse import nuclei_timelapse, unlinked
from napari_unet.stopping import Stopped
from napari_unet.tracking import Film, follow, relabel, track


def squares(*frames: dict[int, tuple[int, int]], side: int = 6) -> Any:
    """Squares by number and corner, in frames of 48 × 48 pixels."""
    labels = np.zeros((len(frames), 48, 48), np.int32)
    for frame, places in zip(labels, frames, strict=True):
        for value, (y, x) in places.items():
            frame[y : y + side, x : x + side] = value
    return labels


def at(labels: Any, t: int, y: int, x: int) -> int:
    return int(labels[t, y, x])


def test_numbers_last_and_objects_stay_as_they_are() -> None:
    labels = squares({1: (2, 2), 2: (20, 20)}, {7: (21, 21), 3: (3, 4)})
    out, tracks = track(labels)
    assert at(out, 0, 3, 3) == at(out, 1, 4, 6) == 1
    assert at(out, 0, 22, 22) == at(out, 1, 22, 22) == 2
    np.testing.assert_array_equal(out > 0, labels > 0)
    assert out.dtype == np.int32
    assert tracks.count == 2
    assert tracks.divisions == 0
    assert tracks.data[:, :2].tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    np.testing.assert_allclose(tracks.data[0, 2:], (4.5, 4.5))
    assert tracks.labels.tolist() == [1, 3, 2, 7]


def test_all_objects_together_decide_not_the_nearest_alone() -> None:
    # The second one overlaps most with where the first one went.
    labels = squares({1: (20, 10), 2: (20, 16)}, {1: (20, 14), 2: (20, 20)})
    out, _ = track(labels)
    assert at(out, 0, 22, 12) == at(out, 1, 22, 16)
    assert at(out, 0, 22, 18) == at(out, 1, 22, 22)


def test_nobody_goes_further_than_the_limit() -> None:
    labels = squares({1: (2, 2)}, {1: (2, 14)})
    assert track(labels)[1].count == 2
    assert track(labels, max_distance=13)[1].count == 1


def test_the_limit_is_in_the_unit_of_the_voxels() -> None:
    labels = squares({1: (2, 2)}, {1: (8, 2)})
    # Six pixels down are 12 µm, six to the side would be 3 µm.
    assert track(labels, voxel_size=(2, 0.5), max_distance=11)[1].count == 2
    assert track(labels, voxel_size=(2, 0.5), max_distance=13)[1].count == 1
    assert (
        track(labels.swapaxes(1, 2), voxel_size=(2, 0.5), max_distance=4)[1].count == 1
    )


def test_the_default_limit_follows_the_size_of_the_objects() -> None:
    _, tracks = track(squares({1: (2, 2)}, {1: (3, 2)}), voxel_size=(0.5, 0.5))
    assert tracks.max_distance == pytest.approx(1.25 * 2 * np.sqrt(36 / np.pi) * 0.5)


def divided() -> Any:
    labels = np.zeros((4, 48, 48), np.int32)
    labels[:2, 20:30, 18:30] = 4
    labels[2:, 20:30, 13:20] = 4
    labels[2:, 20:30, 28:35] = 9
    labels[:, 2:8, 2:8] = 1
    return labels


def test_a_division_gives_two_new_numbers_and_a_mother() -> None:
    out, tracks = track(divided())
    mother = at(out, 1, 25, 24)
    daughters = {at(out, 2, 25, 15), at(out, 2, 25, 32)}
    assert len(daughters | {mother}) == 3
    assert tracks.graph == {d: [mother] for d in daughters}
    assert tracks.divisions == 1
    assert at(out, 3, 25, 15) in daughters


def test_without_divisions_one_daughter_goes_on() -> None:
    out, tracks = track(divided(), divisions=False)
    assert not tracks.graph
    after = {at(out, 2, 25, 15), at(out, 2, 25, 32)}
    assert at(out, 1, 25, 24) in after


def test_a_newcomer_beside_an_object_of_full_size_is_no_daughter() -> None:
    labels = squares({1: (20, 20)}, {1: (20, 20), 2: (20, 27)})
    assert not track(labels)[1].graph


def test_an_object_may_be_missing_where_that_is_allowed() -> None:
    labels = squares({1: (20, 20)}, {}, {1: (21, 21)}, {1: (21, 22)})
    assert track(labels)[1].count == 2
    out, tracks = track(labels, max_gap=1)
    assert tracks.count == 1
    assert not out[1].any()
    assert tracks.data[:, 1].tolist() == [0, 2, 3]
    longer = squares({1: (20, 20)}, {}, {}, {1: (21, 21)})
    assert track(longer, max_gap=1)[1].count == 2
    assert track(longer, max_gap=2)[1].count == 1


def test_empty_frames_end_tracks() -> None:
    labels = squares({}, {5: (2, 2)}, {5: (3, 2)}, {}, {5: (3, 2)}, {})
    _, tracks = track(labels)
    assert tracks.data[:, :2].tolist() == [[1, 1], [1, 2], [2, 4]]


def test_volumes_are_followed_with_time_on_any_axis() -> None:
    movie = np.repeat(squares({1: (2, 2)}, {9: (3, 3)})[:, None], 5, axis=1)
    movie[:, 4] = 0
    out, tracks = track(movie, voxel_size=(2, 1, 1))
    assert set(np.unique(out)) == {0, 1}
    assert tracks.axes == "ZYX"
    np.testing.assert_allclose(tracks.data[0], (1, 0, 1.5, 4.5, 4.5))
    turned, same = track(movie.swapaxes(0, 1), axes="ZTYX", voxel_size=(2, 1, 1))
    np.testing.assert_array_equal(turned.swapaxes(0, 1), out)
    np.testing.assert_allclose(same.data, tracks.data)


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_lazy_labels_are_read_and_written_frame_by_frame(
    kind: str, tmp_path: Path
) -> None:
    movie = nuclei_timelapse(seed=1, frames=4, shape=(96, 96))
    labels = unlinked(movie.labels)
    chunks = (1, 96, 96)
    lazy: Any = da.from_array(labels, chunks=chunks)
    if kind == "zarr":
        lazy = zarr.create_array(tmp_path / "a", data=labels, chunks=chunks)
    wanted, _ = track(labels)
    film = Film(lazy, "TYX")
    out = zarr.create_array(
        tmp_path / "b", shape=labels.shape, chunks=chunks, dtype="int32"
    )
    exhaust(relabel(film, exhaust(follow(film)), out))
    np.testing.assert_array_equal(out[...], wanted)


def test_a_synthetic_time_lapse_is_followed() -> None:
    movie = nuclei_timelapse(seed=3, frames=8)
    out, tracks = track(unlinked(movie.labels), voxel_size=movie.voxel_size)
    right = total = 0
    for t in range(len(out) - 1):
        for value in np.intersect1d(movie.labels[t], movie.labels[t + 1])[1:]:
            before = out[t][movie.labels[t] == value][0]
            after = out[t + 1][movie.labels[t + 1] == value][0]
            right += before == after
            total += 1
    assert total > 200
    assert right / total > 0.97
    assert tracks.divisions > 0


def test_the_table_of_tracks_names_mothers(tmp_path: Path) -> None:
    _, tracks = track(divided())
    path = tmp_path / "new" / "tracks.csv"
    tracks.write_csv(path)
    header, *rows = path.read_text().splitlines()
    assert header == "track,frame,y,x,size,label,parent"
    assert len(rows) == len(tracks.data)
    (daughter, (mother,)), *_ = tracks.graph.items()
    (first, *_) = [row for row in rows if row.startswith(f"{daughter},2,")]
    assert first.endswith(f",{mother}")
    with pytest.raises(DataError, match="could not be written"):
        tracks.write_csv(tmp_path / "new" / "tracks.csv" / "below.csv")


@pytest.mark.parametrize(
    ("labels", "axes", "words"),
    [
        (np.zeros((3, 8, 8), int), "ZYX", "no time axis"),
        (np.zeros((1, 8, 8), int), "TYX", "one frame only"),
        (np.zeros((3, 2, 8, 8), int), "TCYX", "channels"),
        (np.zeros((3, 8, 8)), "TYX", "whole numbers"),
        (np.zeros((3, 8, 8), int), "TYX", "no object"),
        (np.full((3, 8, 8), -1), "TYX", "below 0"),
        (np.zeros((8, 8), int), "", "no time-lapse"),
    ],
)
def test_labels_that_cannot_be_followed_are_told(
    labels: Any, axes: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        track(labels, axes=axes)


def test_wrong_settings_are_told() -> None:
    labels = squares({1: (2, 2)}, {1: (2, 2)})
    with pytest.raises(ConfigError, match="max_distance"):
        track(labels, max_distance=-1)
    with pytest.raises(DataError, match="voxel size"):
        track(labels, voxel_size=(1, 0))


def test_a_stop_is_asked_for_every_frame() -> None:
    labels = squares(*[{1: (2, 2)}] * 5)
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 7

    with pytest.raises(Stopped):
        exhaust(follow(Film(labels, "TYX"), TrackingConfig(), stop=stop))
    assert len(asked) == 8


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, napari_unet.tracking\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'napari', 'scipy'}\n"
        "sys.exit(' '.join(heavy & {m.partition('.')[0] for m in sys.modules}) or 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
