"""Labels, values or maps in OME-Zarr, written piece by piece.

A piece is one or several chunks, and each chunk appears under its name only when it is
complete: zarr writes beside it and renames. Smaller copies for viewing (a pyramid) are
written with each piece, before it: a piece whose full resolution is there is done.
"""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import Box
from napari_unet.errors import DataError
from napari_unet.image_io.labels_group import (
    FILES,
    list_labels,
    open_group,
    read_attributes,
    unlist_labels,
)
from napari_unet.image_io.ome_metadata import StoreMetadata

if TYPE_CHECKING:
    import zarr

CHUNK = {2: (1024, 1024), 3: (32, 256, 256)}
"""Voxels of a chunk along (Z) Y X, by number of spatial axes."""
SMALL_PLANE = 2048
"""Copies are halved until a plane is no longer than this."""
LEAST_CHUNK = 64
"""… or their chunks would be shorter than this."""
NOTE = "napari-unet"
"""Where a store says what it was made from, and whether it is complete."""


def _writing_empty_chunks(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """A chunk without objects is written, too: else it would seem to be missing.

    ``Array.with_config`` came with zarr 3.1.6, which needs NumPy 2.
    """
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):
        return zarr.open_array(
            array.store, path=array.path, mode="r" if array.read_only else "r+"
        )


class LabelStore:
    """An OME-Zarr image of labels, of values, or of maps along C.

    Parameters
    ----------
    path : Path
        Folder of the store.
    levels : list of zarr.Array
        Full resolution first; each next one has half the size along Y and X.
    axes : str
        Letters of their axes.
    spatial : str
        Those along which networks see, ``YX`` or ``ZYX``.
    """

    def __init__(
        self, path: Path, levels: Sequence[zarr.Array[Any]], axes: str, spatial: str
    ) -> None:
        self.path, self.axes, self.spatial = path, axes, spatial
        self.levels = [_writing_empty_chunks(level) for level in levels]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.levels[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.levels[0].dtype)
        return dtype

    def _key(self, index: Sequence[int], box: Box) -> tuple[Any, ...]:
        """Where a box (Z) Y X of one sample lies along the store's axes."""
        samples = iter(index)
        spans = dict(zip(self.spatial, box, strict=True))
        if "C" in self.axes:
            spans["C"] = (0, self.shape[self.axes.index("C")])
        return tuple(
            slice(*spans[a]) if a in spans else next(samples) for a in self.axes
        )

    @property
    def _letters(self) -> str:
        """Axes of what is written and read: (C) (Z) Y X."""
        return ("C" if "C" in self.axes else "") + self.spatial

    def _to_store(self, pixels: NDArray[Any]) -> NDArray[Any]:
        order = [a for a in self.axes if a in self._letters]
        return pixels.transpose([self._letters.index(a) for a in order])

    def read(self, index: Sequence[int], box: Box) -> NDArray[Any]:
        """Pixels (C) (Z) Y X of a box of the sample at `index`, its place elsewhere."""
        part = np.asarray(self.levels[0][self._key(index, box)])
        order = [a for a in self.axes if a in self._letters]
        return part.transpose([order.index(a) for a in self._letters])

    def write(self, index: Sequence[int], box: Box, pixels: NDArray[Any]) -> None:
        """Write whole chunks (C) (Z) Y X at all levels, full resolution last.

        Raises
        ------
        DataError
            If the disk refuses.
        """
        try:
            for level in reversed(range(len(self.levels))):
                step = 2**level
                small = tuple(
                    (a, b) if axis == "Z" else (a // step, math.ceil(b / step))
                    for axis, (a, b) in zip(self.spatial, box, strict=True)
                )
                thin = pixels[..., ::step, ::step].astype(self.dtype, copy=False)
                self.levels[level][self._key(index, small)] = self._to_store(thin)
        except OSError as error:
            raise DataError(
                f"{self.path} could not be written: {error.strerror or error}. "
                "Choose another folder or free some disk space; what is there is kept."
            ) from error

    def replace(self, box: Box, labels: NDArray[Any]) -> None:
        """Write any box along all axes of the store, such as a piece that was edited.

        Raises
        ------
        DataError
            If a label is too large for the store, or the disk refuses.
        """
        most = int(np.iinfo(self.dtype).max)
        if labels.size and (labels.max() > most or labels.min() < 0):
            raise DataError(
                f"These labels can hold numbers from 0 to {most}: use smaller ones."
            )
        try:
            for level, array in enumerate(self.levels):
                part, key = labels.astype(self.dtype, copy=False), []
                for axis, (letter, (start, stop)) in enumerate(
                    zip(self.axes, box, strict=True)
                ):
                    step = 2**level if letter in "YX" else 1
                    first, last = math.ceil(start / step), math.ceil(stop / step)
                    key.append(slice(first, last))
                    offset = slice(first * step - start, None, step)
                    part = part[(slice(None),) * axis + (offset,)]
                if part.size:
                    array[tuple(key)] = part
        except OSError as error:
            raise DataError(
                f"{self.path} could not be written: {error.strerror or error}."
            ) from error

    def has(self, index: Sequence[int], box: Box) -> bool:
        """Whether all chunks of a box of one sample are there."""
        array = self.levels[0]
        folder = self.path / str(array.path).rpartition("/")[2]
        chunks = []
        for part, size in zip(self._key(index, box), array.chunks, strict=True):
            if isinstance(part, slice):
                chunks.append(range(part.start // size, math.ceil(part.stop / size)))
            else:
                chunks.append(range(part // size, part // size + 1))
        metadata: Any = array.metadata
        return all(
            (folder / metadata.encode_chunk_key(where)).is_file()
            for where in itertools.product(*chunks)
        )

    def note(self) -> dict[str, Any]:
        """What the store says about itself."""
        return dict(open_group(self.path).attrs.get(NOTE, {}))

    def update_note(self, **values: Any) -> None:
        """Change what the store says about itself."""
        group = open_group(self.path, "r+")
        group.attrs[NOTE] = {**dict(group.attrs.get(NOTE, {})), **values}


def create_label_store(
    path: Path,
    axes: str,
    shape: Sequence[int],
    spatial: str,
    dtype: str,
    *,
    voxel_size: Sequence[float],
    unit: str = "pixel",
    classes: Sequence[ClassInfo] = (),
    note: Mapping[str, Any] | None = None,
    image: str | None = None,
    zarr_format: int = 3,
    chunk: Sequence[int] | None = None,
    channel_names: Sequence[str] = (),
    levels: int | None = None,
) -> LabelStore:
    """Make an empty store; nothing may be there yet.

    Parameters
    ----------
    path : Path
        Folder of the store. With `image`, it is listed in the group that it lies in.
    axes, shape
        Of the array; letters out of ``TCZYX``.
    spatial : str
        Axes along which networks see.
    dtype : str
        Whole numbers are labels; decimals are values, and NaN until they are written.
    voxel_size, unit, classes, image, channel_names
        As in :class:`~napari_unet.image_io.ome_metadata.StoreMetadata`.
    note : mapping
        Plain values that the store remembers.
    zarr_format : {2, 3}
        2 is written as OME-Zarr 0.4, 3 as 0.5.
    chunk : sequence of int, optional
        Along `spatial`.
    levels : int, optional
        Resolutions, as far as chunks can be halved; by default until a plane is small.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    import zarr

    whole_numbers = np.dtype(dtype).kind in "bui"
    metadata = StoreMetadata(
        name=path.name.partition(".")[0],
        axes=axes,
        voxel_size=voxel_size,
        unit=unit,
        labels=whole_numbers,
        classes=classes,
        image=image,
        channel_names=channel_names,
    )
    size = dict(zip(spatial, chunk or CHUNK[len(spatial)], strict=True))
    chunks = [min(size.get(a, 1), n) for a, n in zip(axes, shape, strict=True)]
    try:
        group = zarr.create_group(str(path), zarr_format=zarr_format)
        arrays = [
            _create_level(
                group, level, axes, shape, chunks, dtype, 0 if whole_numbers else np.nan
            )
            for level in range(_count_levels(axes, shape, size, levels))
        ]
        for key, value in metadata.attributes(len(arrays), zarr_format).items():
            group.attrs[key] = value
        group.attrs[NOTE] = dict(note or {})
        if image is not None:
            list_labels(path, zarr_format)
    except OSError as error:
        raise DataError(
            f"{path} could not be made: {error.strerror or error}. "
            "Choose another folder."
        ) from error
    return LabelStore(path, arrays, axes, spatial)


def _create_level(
    group: Any,
    level: int,
    axes: str,
    shape: Sequence[int],
    chunks: Sequence[int],
    dtype: str,
    fill: float,
) -> Any:
    """An array 2**level times as small along Y and X, its chunks as well."""
    names: dict[str, Any] = {}
    if group.metadata.zarr_format == 3:
        names["dimension_names"] = [a.lower() for a in axes]
    else:
        names["chunk_key_encoding"] = {"name": "v2", "separator": "/"}
    step = [2**level if a in "YX" else 1 for a in axes]
    return group.create_array(
        str(level),
        shape=[math.ceil(n / s) for n, s in zip(shape, step, strict=True)],
        chunks=tuple(math.ceil(c / s) for c, s in zip(chunks, step, strict=True)),
        dtype=dtype,
        fill_value=fill,
        **names,
    )


def open_label_store(path: Path, spatial: str) -> LabelStore:
    """Open a store to go on writing it.

    Raises
    ------
    DataError
        If it is none of ours.
    """
    group = open_group(path, "r+")
    attributes = dict(group.attrs)
    attributes = attributes.get("ome", attributes)
    try:
        multiscale = attributes["multiscales"][0]
        axes = "".join(a["name"].upper() for a in multiscale["axes"])
        levels = [group[d["path"]] for d in multiscale["datasets"]]
    except (KeyError, IndexError, TypeError) as error:
        raise DataError(
            f"{path} holds something else than labels: choose another place."
        ) from error
    return LabelStore(path, levels, axes, spatial)


def remove_label_store(path: Path) -> None:
    """Remove a store, and its name from the ``labels`` group that it is in."""
    unlist_labels(path)
    shutil.rmtree(path)


def store_note(path: Path) -> dict[str, Any] | None:
    """What a store says about itself; None where there is none of ours."""
    for name in FILES:
        note = read_attributes(path / name).get(NOTE)
        if isinstance(note, dict):
            return dict(note)
    return None


def _count_levels(
    axes: str, shape: Sequence[int], chunk: Mapping[str, int], wanted: int | None
) -> int:
    if wanted is not None:
        most = next(k for k in range(64) if any(chunk[a] % 2 ** (k + 1) for a in "YX"))
        return min(wanted, most + 1)
    plane = max(n for a, n in zip(axes, shape, strict=True) if a in "YX")
    count = 1
    while (
        plane > SMALL_PLANE
        and min(chunk["Y"], chunk["X"]) // 2**count >= LEAST_CHUNK
        and all(chunk[a] % 2**count == 0 for a in "YX")
    ):
        plane = math.ceil(plane / 2)
        count += 1
    return count
