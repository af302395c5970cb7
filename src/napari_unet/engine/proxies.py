"""How pixels arrive in the engine: the engine's side of :mod:`.arrays`."""

from __future__ import annotations

import itertools
import logging
import math
import operator
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ArrayLike
from napari_unet.engine.arrays import SLOT_BYTES
from napari_unet.engine.protocol import Message
from napari_unet.engine.shared import Block, attach
from napari_unet.errors import DataError

logger = logging.getLogger(__name__)

Region = tuple[tuple[int, int], ...]
"""Start and stop along every axis."""


class RegionReader:
    """Asks the viewer for regions of arrays; used by all tasks at once.

    Parameters
    ----------
    send : callable
        Sends a message to the viewer.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._numbers = itertools.count()
        self._waiting: dict[int, queue.SimpleQueue[Message]] = {}

    def deliver(self, message: Message) -> None:
        """Hand an answer to the thread that waits for it."""
        self._waiting.pop(message["id"]).put(message)

    def ask(self, job: int, key: str, region: Region) -> Message:
        """Block until the viewer answered: the slot that holds the region.

        Raises
        ------
        DataError
            If the viewer could not read the region.
        """
        number = next(self._numbers)
        answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._waiting[number] = answers
        self._send(
            {"type": "read", "id": number, "job": job, "key": key, "region": region}
        )
        answer = answers.get()
        if "error" in answer:
            raise DataError(answer["error"])
        slot: Message = answer["slot"]
        return slot


class JobReader:
    """Reads regions for one job, one after the other: they share one slot."""

    def __init__(self, reader: RegionReader, job: int) -> None:
        self._reader = reader
        self._job = job
        self._lock = threading.Lock()
        self._slot: Block | None = None

    def read_into(self, target: NDArray[Any], key: str, region: Region) -> None:
        """Fill `target` with a region of at most `SLOT_BYTES` bytes."""
        with self._lock:
            spec = self._reader.ask(self._job, key, region)
            if self._slot is None or self._slot.spec["name"] != spec["name"]:
                self._slot = attach(spec)
            np.copyto(target, self._slot.array(target.shape, target.dtype))


class ServedArray:
    """An array that stays with the viewer and is read region by region.

    Takes what basic NumPy indexing takes (whole numbers, slices with any step, ``…``)
    and, on any axis, a list of positions or a mask.
    """

    def __init__(
        self, reader: JobReader, key: str, shape: Sequence[int], dtype: str
    ) -> None:
        self._reader = reader
        self._key = key
        self.shape = tuple(shape)
        self.dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        region, rest = split_key(key, self.shape)
        return self._read(region)[rest]

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("pixels that the viewer holds can only be copied")
        return np.asarray(self[...], dtype)

    def _read(self, region: Region) -> NDArray[Any]:
        result = np.empty([stop - start for start, stop in region], self.dtype)
        if result.size:
            self._fill(result, region)
        return result

    def _fill(self, target: NDArray[Any], region: Region) -> None:
        if target.nbytes <= SLOT_BYTES:
            self._reader.read_into(target, self._key, region)
            return
        axis = next(i for i, n in enumerate(target.shape) if n > 1)
        half = target.shape[axis] // 2
        start, stop = region[axis]
        for begin, end in ((start, start + half), (start + half, stop)):
            inside = [slice(None)] * target.ndim
            inside[axis] = slice(begin - start, end - start)
            part = (*region[:axis], (begin, end), *region[axis + 1 :])
            self._fill(target[tuple(inside)], part)


class StoredArray:
    """An array on disk whose values are brought to native byte order when read."""

    def __init__(self, array: ArrayLike) -> None:
        self._array = array
        self.shape = tuple(int(n) for n in array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype).newbyteorder("=")

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Any:
        return np.asarray(self._array[key], self.dtype)

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return np.asarray(self[...], dtype)


def open_input(spec: Message, reader: JobReader) -> ArrayLike:
    """The array that a description of :meth:`.JobArrays.share` stands for."""
    shape, dtype = tuple(spec["shape"]), spec["dtype"]
    if spec["way"] == "block":
        return attach(spec["block"]).array(shape, dtype)
    served = ServedArray(reader, spec["key"], shape, dtype)
    if spec["way"] == "served":
        return served
    try:
        stored = _open_stored(spec)
        if stored.shape != shape or stored.dtype != served.dtype:
            raise ValueError("the file changed")  # noqa: TRY301
    except Exception:
        # The viewer can read it, for it shows it: let the viewer do so.
        logger.warning("Cannot open %s", spec["path"], exc_info=True)
        return served
    return stored


def _open_stored(spec: Message) -> ArrayLike:
    if spec["way"] == "zarr":
        import zarr

        component = spec["component"] or None
        return StoredArray(zarr.open_array(spec["path"], path=component, mode="r"))
    # Copy on write: tasks may scribble on it, the file stays as it is.
    mapped = np.memmap(
        spec["path"],
        np.dtype(spec["stored"]),
        "c",
        spec["offset"],
        tuple(spec["shape"]),
    )
    if mapped.dtype.isnative:
        return mapped.view(np.ndarray)
    return StoredArray(mapped)


def split_key(key: Any, shape: tuple[int, ...]) -> tuple[Region, tuple[Any, ...]]:
    """Split an index into the smallest box that holds it and the index in that box.

    Raises
    ------
    IndexError
        If the index does not fit the shape.
    """
    keys = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, k in enumerate(keys) if k is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can hold only one ellipsis ('...')")
    if len(keys) - len(dots) > len(shape):
        raise IndexError(f"too many indices for an array of {len(shape)} axes")
    missing = [slice(None)] * (len(shape) - len(keys) + len(dots))
    where = dots[0] if dots else len(keys)
    keys[where : where + len(dots)] = missing
    pairs = [_split_axis(k, n) for k, n in zip(keys, shape, strict=True)]
    return tuple(region for region, _ in pairs), tuple(rest for _, rest in pairs)


def _split_axis(key: Any, n: int) -> tuple[tuple[int, int], Any]:
    if isinstance(key, slice):
        positions = range(n)[key]
        if not positions:
            return (0, 0), slice(0, 0)
        low, high = sorted((positions[0], positions[-1]))
        return (low, high + 1), slice(None, None, positions.step)
    if isinstance(key, (list, np.ndarray)) and np.ndim(key) > 0:
        array = np.asarray(key)
        if array.dtype == bool:
            if array.shape != (n,):
                raise IndexError(f"a mask of shape {array.shape} does not fit {n}")
            array = np.flatnonzero(array)
        if not array.size:
            return (0, 0), array.astype(np.intp)
        array = np.where(array < 0, array + n, array)
        if array.min() < 0 or array.max() >= n:
            raise IndexError(f"a position is outside an axis of {n}")
        low = int(array.min())
        return (low, int(array.max()) + 1), array - low
    try:
        position = operator.index(key)
    except TypeError:
        raise IndexError(f"{key!r} cannot be used as an index here") from None
    if not -n <= position < n:
        raise IndexError(f"position {position} is outside an axis of {n}")
    return (position % n, position % n + 1), 0
