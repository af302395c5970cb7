"""The annotation of a project on disk: what is written, and what survives a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.errors import DataError
from napari_unet.live import annotation_store
from napari_unet.live.annotation_store import (
    ANNOTATION_NAME,
    AnnotationStore,
    load_annotation,
    save_annotation,
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotation_store, "EDGE", 16)


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Chunks on disk, with what tells one writing from another."""
    root = folder / ANNOTATION_NAME / "c"
    return {
        str(path.relative_to(root)): (path.stat().st_ino, path.read_bytes())
        for path in root.rglob("*")
        if path.is_file()
    }


def whole(labels: np.ndarray) -> Any:
    return [(0, n) for n in labels.shape]


@pytest.mark.parametrize(
    ("shape", "axes", "dtype"),
    [
        ((3, 40, 50), "ZYX", np.uint8),
        ((40, 50), "YX", np.int32),
        ((40, 50, 3), "YXZ", np.int64),
        ((2, 3, 5, 7), "TZYX", ">u2"),
    ],
)
def test_what_is_saved_comes_back(
    tmp_path: Path, shape: Any, axes: str, dtype: Any
) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, shape).astype(dtype)
    AnnotationStore(tmp_path, axes).save(labels)
    found = load_annotation(tmp_path)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    # Another run on another day, where much was erased.
    labels[..., :1] = 0
    labels[:1] = 0
    AnnotationStore(tmp_path, axes).save(labels)
    np.testing.assert_array_equal(load_annotation(tmp_path), labels)


def test_only_what_was_painted_is_written(tmp_path: Path) -> None:
    labels = np.zeros((5, 40, 50), np.int32)
    labels[0, 3:5, 3:9], labels[4, 30, 40] = 1, 2
    store = AnnotationStore(tmp_path, "ZYX")
    store.save(labels)
    before = files(tmp_path)
    assert set(before) == {"0/0/0", "4/1/2"}
    labels[2, 14:18, 20:22] = 3
    labels[4, 30, 40] = 0
    store.touch([(2, 3), (14, 18), (20, 22)])
    store.touch([(4, 5), (30, 31), (40, 41)])
    store.touch([(0, 1), (0, 16), (0, 16)])  # touched, and the same as before
    store.save(labels)
    after = files(tmp_path)
    assert set(after) == {"0/0/0", "2/0/1", "2/1/1"}
    assert after["0/0/0"] == before["0/0/0"]
    np.testing.assert_array_equal(load_annotation(tmp_path), labels)


def test_strokes_that_nobody_told_of_are_found_at_the_end(tmp_path: Path) -> None:
    labels = np.zeros((40, 50), np.int32)
    store = AnnotationStore(tmp_path, "YX")
    store.save(labels)
    labels[33, 44] = 2
    store.save(labels)
    assert not load_annotation(tmp_path).any()
    store.save(labels, everything=True)
    np.testing.assert_array_equal(load_annotation(tmp_path), labels)


def test_a_full_disk_loses_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros((40, 50), np.int32)
    labels[:2] = 1
    store = AnnotationStore(tmp_path, "YX")
    store.save(labels)
    before = labels.copy()
    labels[20, 20], labels[1, 1] = 5, 6
    store.touch(whole(labels))

    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.save(labels)
    np.testing.assert_array_equal(load_annotation(tmp_path), before)
    assert not [p for p in tmp_path.rglob("*") if p.name.endswith(".part")]
    store.save(labels)
    np.testing.assert_array_equal(load_annotation(tmp_path), labels)


def test_the_viewer_replaces_nothing_that_the_engine_wrote(tmp_path: Path) -> None:
    labels = np.ones((20, 20), np.int32)
    AnnotationStore(tmp_path, "YX").save(labels)
    save_annotation(tmp_path, np.zeros((20, 20), np.int32), "YX")
    assert load_annotation(tmp_path).all()


def test_an_annotation_of_another_size_begins_anew(tmp_path: Path) -> None:
    save_annotation(tmp_path, np.ones((20, 20), np.int32), "YX")
    other = np.full((3, 20, 20), 7, np.uint8)
    AnnotationStore(tmp_path, "ZYX").save(other)
    np.testing.assert_array_equal(load_annotation(tmp_path), other)
    assert [p.name for p in tmp_path.iterdir()] == [ANNOTATION_NAME]


def test_a_damaged_annotation_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_annotation(tmp_path)
    assert list(tmp_path.iterdir()) == []
    save_annotation(tmp_path, np.ones((20, 20), np.int32), "YX")
    about = tmp_path / ANNOTATION_NAME / "zarr.json"
    chunk = tmp_path / ANNOTATION_NAME / "c" / "0" / "0"
    for path in (chunk, about):
        right = path.read_bytes()
        for damaged in (b"", right[: len(right) // 2], b"PK" + bytes(99)):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match="annotation"):
                load_annotation(tmp_path)
        path.write_bytes(right)
    about.write_text(about.read_text().replace('"int32"', '"float32"'))
    with pytest.raises(DataError, match="whole numbers"):
        load_annotation(tmp_path)
