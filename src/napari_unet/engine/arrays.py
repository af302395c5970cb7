"""How pixels cross from the viewer to the engine: the viewer's side.

Each input goes the cheapest way that it can:

``memmap`` / ``zarr``
    The array lies in a file that the engine can open itself: only its place is told.
``block``
    Copied once into shared memory.
``served``
    Too big to copy, or computed on demand (dask and the like): the engine asks for
    regions, and a thread of the viewer puts them into a shared slot.

The engine's side is :mod:`napari_unet.engine.proxies`.
"""

from __future__ import annotations

import mmap
import queue
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_unet.data.source import ArrayLike
from napari_unet.engine.protocol import Message, summary
from napari_unet.engine.shared import Block, allocate
from napari_unet.errors import DataError, EngineError

SLOT_BYTES = 64 << 20
"""Largest region in bytes that crosses in one piece."""

_CHUNK_BYTES = 16 << 20
_PROBE_BYTES = 4096


class Cancelled(Exception):
    """The job was stopped while its arrays were copied."""


def copy_limit() -> int:
    """Bytes above which an array is served instead of copied."""
    return int(psutil.virtual_memory().available) // 4


class JobArrays:
    """The inputs and outputs of one job, and how the engine reaches them.

    Parameters
    ----------
    inputs : mapping of str to array-like
    outputs : mapping of str to (shape, dtype)
    folder : Path
        For temporary files, where shared memory is too small.
    limit : int
        Arrays of more bytes are served, not copied.
    image_name : str
        What the user calls the image, for messages.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, tuple[tuple[int, ...], str]],
        *,
        folder: Path,
        limit: int,
        image_name: str = "",
    ) -> None:
        self._inputs = {key: _as_array(value) for key, value in inputs.items()}
        self._outputs = dict(outputs)
        self._folder = folder
        self._limit = limit
        self._image_name = image_name
        self._blocks: list[Block] = []
        self._output_blocks: list[Block] = []
        self._slot: Block | None = None
        self.outputs: dict[str, NDArray[Any]] = {}

    def bytes_to_make(self) -> int:
        """Bytes that :meth:`share` copies or reserves: how long it may take."""
        total = 0
        for array in self._inputs.values():
            if isinstance(array, np.ndarray) and array.nbytes <= self._limit:
                total += array.nbytes
        for shape, dtype in self._outputs.values():
            total += _nbytes(shape, np.dtype(dtype))
        return total

    def share(self, cancelled: Callable[[], bool]) -> Message:
        """Copy what is copied; the description of all arrays for the engine.

        Raises
        ------
        DataError
            If an input cannot be used: empty, a single number, not numeric.
        EngineError
            If there is no room for an output.
        Cancelled
            If `cancelled` said so.
        """
        inputs = {
            key: self._share_input(key, array, cancelled)
            for key, array in self._inputs.items()
        }
        outputs = {}
        for key, (shape, dtype) in self._outputs.items():
            kind = np.dtype(dtype)
            if not shape or 0 in shape:
                raise DataError(f"There is nothing to compute: {key} would be empty.")
            block = allocate(_nbytes(shape, kind), self._folder)
            self._output_blocks.append(block)
            self.outputs[key] = block.array(shape, kind)
            outputs[key] = {
                "block": block.spec,
                "shape": list(shape),
                "dtype": kind.str,
            }
        return {"inputs": inputs, "outputs": outputs}

    def _share_input(
        self, key: str, array: ArrayLike, cancelled: Callable[[], bool]
    ) -> Message:
        name = self._name(key)
        check_array(array, name)
        native = np.dtype(array.dtype).newbyteorder("=")
        spec: Message = {
            "way": "served",
            "key": key,
            "shape": [int(n) for n in array.shape],
            "dtype": native.str,
        }
        reference = find_reference(array)
        if reference is not None:
            return {**spec, **reference}
        if isinstance(array, np.ndarray) and array.nbytes <= self._limit:
            try:
                block = allocate(array.nbytes, self._folder)
            except EngineError:
                return spec  # no room for a copy; a slot may still fit
            self._blocks.append(block)
            _copy(block.array(array.shape, native), array, cancelled)
            return {**spec, "way": "block", "block": block.spec}
        return spec

    def read(self, key: str, region: list[list[int]]) -> Message:
        """Put a region of an input into the slot; called by a thread of its own.

        Returns
        -------
        dict
            ``{"slot": …}``, or ``{"error": sentence}``.
        """
        array = self._inputs.get(key)
        if array is None:
            return {"error": "The image was closed before the engine had read it."}
        shape = tuple(stop - start for start, stop in region)
        native = np.dtype(array.dtype).newbyteorder("=")
        nbytes = _nbytes(shape, native)
        try:
            slot = self._slot
            if slot is None or slot.nbytes < nbytes:
                whole = _nbytes(array.shape, native)
                slot = allocate(max(nbytes, min(SLOT_BYTES, whole)), self._folder)
                self._slot = slot
            pixels = np.asarray(array[tuple(slice(*span) for span in region)])
            if pixels.shape != shape:
                raise ValueError(f"it gave {pixels.shape} instead of {shape}")  # noqa: TRY301
            np.copyto(slot.array(shape, native), pixels, casting="same_kind")
        except EngineError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 (any reader, any file format)
            return {"error": self._read_failure(key, error)}
        return {"slot": slot.spec}

    def _read_failure(self, key: str, error: Exception) -> str:
        return (
            f"{self._name(key)} could not be read ({summary(error)}): "
            "check that its file is still there and whole, then try again."
        )

    def _name(self, key: str) -> str:
        if key.startswith("annotation"):
            return "The annotation"
        return f"The image {self._image_name!r}" if self._image_name else "The image"

    def free_inputs(self) -> None:
        """Take the copies of the inputs away."""
        for block in (*self._blocks, *([self._slot] if self._slot else [])):
            block.remove()
        self._blocks, self._slot, self._inputs = [], None, {}

    def free(self) -> None:
        """Take everything away; arrays that somebody holds stay valid."""
        self.free_inputs()
        for block in self._output_blocks:
            block.remove()
        self._output_blocks = []
        self.outputs = {}


class ArrayServer:
    """A daemon thread that reads regions for the engine.

    Parameters
    ----------
    reply : callable
        Sends a message to the engine.
    """

    def __init__(self, reply: Callable[[Message], None]) -> None:
        self._reply = reply
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._arrays: dict[int, JobArrays] = {}
        self._thread: threading.Thread | None = None

    def add(self, job: int, arrays: JobArrays) -> None:
        self._arrays[job] = arrays

    def discard(self, job: int) -> None:
        self._arrays.pop(job, None)

    def request(self, message: Message) -> None:
        """Answer a ``read`` message, later and on the thread."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="unet-array-server", daemon=True
            )
            self._thread.start()
        self._requests.put(message)

    def close(self) -> None:
        self._requests.put(None)

    def _run(self) -> None:
        while (message := self._requests.get()) is not None:
            arrays = self._arrays.get(message["job"])
            if arrays is None:
                answer: Message = {"error": "The job has already ended."}
            else:
                answer = arrays.read(message["key"], message["region"])
            self._reply({"type": "region", "id": message["id"], **answer})


def check_array(array: ArrayLike, name: str) -> None:
    """Say in words why an array cannot be sent, if so.

    Raises
    ------
    DataError
        If the array is a single number, empty, or not of real numbers.
    """
    shape = tuple(array.shape)
    if not shape:
        raise DataError(f"{name} is a single number: choose an image with pixels.")
    if 0 in shape:
        raise DataError(
            f"{name} is empty: its shape is {shape}. Choose one with pixels."
        )
    dtype = np.dtype(array.dtype)
    if dtype.kind == "c":
        raise DataError(
            f"{name} holds complex numbers ({dtype}): use its magnitude or real part."
        )
    if dtype.kind not in "buif":
        raise DataError(
            f"{name} has values of type {dtype}: only whole numbers, decimals and "
            "true/false can be used."
        )


def find_reference(array: ArrayLike) -> Message | None:
    """Where an array lies on disk, if the engine can open exactly it there."""
    if type(array) is np.memmap:
        return _memmap_reference(array)
    return _zarr_reference(array)


def _memmap_reference(array: np.memmap[Any, Any]) -> Message | None:
    # mode "c" keeps changes in memory; a slice keeps its parent's `offset`, so the
    # place is computed from the address.
    buffer = getattr(array, "_mmap", None)
    if (
        array.filename is None
        or array.mode == "c"
        or not array.flags.c_contiguous
        or not isinstance(buffer, mmap.mmap)
    ):
        return None
    start = np.frombuffer(buffer, np.uint8).__array_interface__["data"][0]
    inside = array.__array_interface__["data"][0] - start
    if not 0 <= inside <= len(buffer) - array.nbytes:
        return None
    # `offset` is the parent's also in slices, and all of them share one mapping.
    offset = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY + inside
    path = Path(array.filename).absolute()
    flat = array.reshape(-1).view(np.uint8)
    try:
        with path.open("rb") as file:
            # The file may have been replaced since it was mapped.
            for where in (0, max(0, array.nbytes - _PROBE_BYTES)):
                file.seek(offset + where)
                probe = flat[where : where + _PROBE_BYTES].tobytes()
                if file.read(len(probe)) != probe:
                    return None
    except OSError:
        return None
    return {
        "way": "memmap",
        "path": str(path),
        "offset": offset,
        "stored": array.dtype.str,
    }


def _zarr_reference(array: ArrayLike) -> Message | None:
    # Another thread may be importing zarr right now: then this is no array of it.
    kind = getattr(sys.modules.get("zarr"), "Array", None)
    if kind is None or not isinstance(array, kind):
        return None
    store: Any = array.store
    if getattr(array, "chunk_store", store) is not store:
        return None
    places = {"LocalStore": "root", "DirectoryStore": "path"}  # zarr 3, zarr 2
    places["NestedDirectoryStore"] = "path"
    attribute = places.get(type(store).__name__)
    if attribute is None:
        return None
    path = Path(getattr(store, attribute)).absolute()
    if not path.is_dir():
        return None
    return {"way": "zarr", "path": str(path), "component": str(array.path)}


def _as_array(value: Any) -> ArrayLike:
    if all(hasattr(value, name) for name in ("shape", "dtype", "__getitem__")):
        array: ArrayLike = value
        return array
    return np.asarray(value)


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    total = dtype.itemsize
    for n in shape:
        total *= int(n)
    return total


def _copy(
    target: NDArray[Any], source: NDArray[Any], cancelled: Callable[[], bool]
) -> None:
    if cancelled():
        raise Cancelled
    if source.nbytes <= _CHUNK_BYTES or source.ndim == 0:
        np.copyto(target, source)
    elif len(source) == 1:
        _copy(target[0], source[0], cancelled)
    else:
        step = max(1, len(source) * _CHUNK_BYTES // source.nbytes)
        for start in range(0, len(source), step):
            part = slice(start, start + step)
            if step == 1:
                _copy(target[start], source[start], cancelled)
            else:
                if cancelled():
                    raise Cancelled
                np.copyto(target[part], source[part])
