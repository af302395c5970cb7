"""The annotation of a project on disk: only what was painted is written again.

A zarr array with one chunk for each part of a plane. Chunks without a stroke have no
file, and each file is replaced only once the new one is complete: after a crash a chunk
holds either the strokes from before or those from after a save.
"""

from __future__ import annotations

import math
import os
import shutil
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from napari_unet.errors import DataError

ANNOTATION_NAME = "annotation.zarr"
EDGE = 1024
"""Longest edge of a chunk along Y and X."""

Cell = tuple[int, ...]
"""Place of a chunk in the grid of chunks."""
Box = Sequence[Sequence[int]]
"""Start and stop along every axis of the annotation."""


class AnnotationStore:
    """Keeps up with an annotation that is painted.

    Parameters
    ----------
    folder : Path
        Of the project.
    axes : str
        Letters of the annotation's axes.
    """

    def __init__(self, folder: Path, axes: str) -> None:
        self._folder, self._axes = folder, axes
        self._array: Any = None
        self._touched: set[Cell] = set()
        self._touched_boxes: list[Box] = []
        self._written: dict[Cell, int] = {}
        """Checksums of the chunks on disk, where they are known."""
        self._empty: int | None = None
        """The same of all other chunks; ``None`` where nothing is known of them."""
        self._lock = threading.Lock()

    def touch(self, box: Box) -> None:
        """Something may have changed in a box: it is looked at by the next save."""
        self._touched_boxes.append(box)

    def save(self, labels: NDArray[np.integer], *, everything: bool = False) -> None:
        """Write the chunks that are others than on disk; from any thread.

        Parameters
        ----------
        labels : ndarray
            The whole annotation; only what is looked at is read.
        everything : bool
            Look at all chunks, not only at those that were touched.

        Raises
        ------
        OSError
            If the disk refuses; what was not written is tried again next time.
        """
        with self._lock:
            if self._array is None or not self._array.store.root.is_dir():
                self._open(labels)
                everything = True
            grid = _grid(self._array)
            boxes, self._touched_boxes = self._touched_boxes, []
            for box in boxes:
                self._touched.update(_cells(box, self._array.chunks, grid))
            cells = np.ndindex(*grid) if everything else sorted(self._touched)
            for cell in cells:
                self._save_chunk(labels, cell)
                self._touched.discard(cell)
            os.utime(self._folder / ANNOTATION_NAME)

    def _save_chunk(self, labels: NDArray[np.integer], cell: Cell) -> None:
        key = tuple(
            slice(i * n, (i + 1) * n)
            for i, n in zip(cell, self._array.chunks, strict=True)
        )
        part = np.ascontiguousarray(labels[key])
        checksum = zlib.crc32(part.tobytes()) if part.any() else 0
        if self._written.get(cell, self._empty) != checksum:
            self._array[key] = part
            self._written[cell] = checksum

    def _open(self, labels: NDArray[np.integer]) -> None:
        """Take the array that is there, if it can hold these labels; else a new one."""
        path = self._folder / ANNOTATION_NAME
        self._written, self._empty = {}, None
        try:
            self._array = _open_array(path)
            same_type = self._array.dtype == labels.dtype.newbyteorder("=")
            fits = self._array.shape == labels.shape and same_type
        except DataError:
            fits = False  # none is there, or none that could be read again
        if not fits:
            _replace(path, labels, self._axes, fill=False)
            self._array, self._empty = _open_array(path), 0


def save_annotation(folder: Path, labels: NDArray[np.integer], axes: str) -> None:
    """Write a whole annotation, unless one is there.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    path = folder / ANNOTATION_NAME
    if not path.exists():
        _replace(path, labels, axes, fill=True)


def load_annotation(folder: Path) -> NDArray[np.integer]:
    """The annotation that a project holds.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    path = folder / ANNOTATION_NAME
    array = _open_array(path)
    try:
        labels: NDArray[np.integer] = array[...]
    except Exception as error:  # codecs raise what they like
        raise _unreadable(path) from error
    return labels


def _open_array(path: Path) -> Any:
    import zarr

    from napari_unet.live.safe_store import SafeStore

    if not path.is_dir():
        raise _unreadable(path)
    try:
        array = zarr.open_array(SafeStore(path), mode="r+")
    except Exception as error:  # zarr raises many kinds for a damaged file
        raise _unreadable(path) from error
    if array.dtype.kind not in "iu":
        raise DataError(f"The annotation in {path.parent} does not hold whole numbers.")
    return array


def _unreadable(path: Path) -> DataError:
    return DataError(
        f"The annotation in {path.parent} cannot be read: the project is damaged."
    )


def _replace(path: Path, labels: NDArray[np.integer], axes: str, *, fill: bool) -> None:
    """Make an array under a name that nobody reads, and give it the right one."""
    import zarr

    from napari_unet.live.safe_store import SafeStore

    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{uuid4().hex}.part")
    old = path.with_name(f".{path.name}.{uuid4().hex}.old")
    try:
        array = zarr.create_array(
            SafeStore(new),
            shape=labels.shape,
            dtype=np.dtype(labels.dtype).newbyteorder("="),
            chunks=_chunks(labels.shape, axes),
        )
        if fill:
            for cell in np.ndindex(*_grid(array)):
                key = tuple(
                    slice(i * n, (i + 1) * n)
                    for i, n in zip(cell, array.chunks, strict=True)
                )
                if (part := labels[key]).any():
                    array[key] = part
        if path.exists():
            path.rename(old)
        new.rename(path)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _chunks(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    """Parts of planes: people paint in planes."""
    return tuple(
        max(1, min(n, EDGE)) if letter in "YX" else 1
        for n, letter in zip(shape, axes, strict=True)
    )


def _grid(array: Any) -> tuple[int, ...]:
    return tuple(
        math.ceil(n / c) for n, c in zip(array.shape, array.chunks, strict=True)
    )


def _cells(box: Box, chunks: Sequence[int], grid: Sequence[int]) -> Iterator[Cell]:
    """Chunks that a box touches."""
    spans = [
        range(max(0, start // c), min(n, -(-stop // c)))
        for (start, stop), c, n in zip(box, chunks, grid, strict=True)
    ]
    for place in np.ndindex(*(len(s) for s in spans)):
        yield tuple(s[i] for s, i in zip(spans, place, strict=True))
