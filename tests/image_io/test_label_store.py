"""Stores that are written piece by piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet.errors import DataError
from napari_unet.image_io.label_store import create_label_store, open_label_store

BOX = ((0, 64), (64, 128))


def chunks(path: Path) -> set[str]:
    """Names of the chunks of the full resolution."""
    return {
        str(p.relative_to(path)) for p in (path / "0" / "c").rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_chunk_has_its_name_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    store = create_label_store(
        tmp_path / "a.zarr",
        "YX",
        (128, 128),
        "YX",
        "uint8",
        voxel_size=(1, 1),
        chunk=(64, 64),
    )
    labels = np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)
    open_file = Path.open

    class Full:
        """A file on a disk that is full after a share of what is written."""

        def __init__(self, file: Any) -> None:
            self._file = file

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, data: Any) -> int:
            whole = memoryview(data).cast("B")
            self._file.write(whole[: int(share * len(whole))])
            self._file.flush()
            raise OSError(28, "No space left on device")

    def full(self: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        file = open_file(self, mode, *more, **options)
        return Full(file) if mode == "wb" and "/c/" in self.as_posix() else file

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match="No space left"):
        store.write((), BOX, labels)
    monkeypatch.undo()
    assert not store.has((), BOX)
    assert "0/c/0/1" not in chunks(store.path)
    # Another process goes on with it.
    again = open_label_store(store.path, "YX")
    again.write((), BOX, labels)
    assert again.has((), BOX)
    np.testing.assert_array_equal(again.read((), BOX), labels)
    assert chunks(store.path) == {"0/c/0/1"}


def test_what_a_crash_leaves_behind_is_no_chunk(tmp_path: Path) -> None:
    store = create_label_store(
        tmp_path / "a.zarr",
        "YX",
        (128, 128),
        "YX",
        "uint8",
        voxel_size=(1, 1),
        chunk=(64, 64),
    )
    folder = store.path / "0" / "c" / "0"
    folder.mkdir(parents=True)
    (folder / "1.0123.partial").write_bytes(b"half of it")
    assert not store.has((), BOX)
    assert not np.asarray(zarr.open_array(str(store.path / "0"))[:]).any()


def test_pieces_without_objects_are_there_as_well(tmp_path: Path) -> None:
    store = create_label_store(
        tmp_path / "a.zarr",
        "YX",
        (128, 128),
        "YX",
        "int32",
        voxel_size=(1, 1),
        chunk=(64, 64),
    )
    assert not store.has((), BOX)
    store.write((), BOX, np.zeros((64, 64), np.int32))
    assert store.has((), BOX)
