"""Memory that the viewer and its engine process both see.

Only the viewer makes it; the engine attaches. It is a shared-memory segment, or a
memory-mapped temporary file where shared memory is too small (a container often has
64 MB). The arrays on a block keep it mapped: an array that somebody still holds stays
valid after the block was removed, and nothing is left behind on the machine.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import DTypeLike, NDArray

from napari_unet.errors import EngineError

PREFIX = "unetlive_"
"""Beginning of the names of segments (macOS allows 30 characters in all)."""

_SHM_FOLDER = Path("/dev/shm")  # noqa: S108 (where Linux keeps shared memory)
_MARGIN = 4 << 20
_ZEROS = bytes(1 << 20)
_attach_lock = threading.Lock()


class Block:
    """A piece of shared memory of `nbytes` bytes; see :func:`allocate`."""

    def __init__(
        self, spec: dict[str, Any], mapping: SharedMemory | mmap.mmap, *, owner: bool
    ) -> None:
        self.spec = spec
        """What the other process needs to attach; plain values."""
        self._mapping = mapping
        self._owner_pid = os.getpid() if owner else None
        buffer: Any = mapping.buf if isinstance(mapping, SharedMemory) else mapping
        whole = np.frombuffer(buffer, np.uint8)
        self._address = int(whole.__array_interface__["data"][0])

    @property
    def nbytes(self) -> int:
        return int(self.spec["nbytes"])

    def array(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
        """An array at the start of this block, which it keeps alive."""
        return np.asarray(_Window(self, tuple(shape), np.dtype(dtype)))

    def remove(self) -> None:
        """Take the block's name away: no process can attach to it any more."""
        if self._owner_pid != os.getpid():  # not ours, or we are a fork of the viewer
            return
        try:
            if isinstance(self._mapping, SharedMemory):
                self._mapping.unlink()
            else:
                os.unlink(self.spec["name"])
        except FileNotFoundError:
            pass  # it is gone: that is what we want
        except PermissionError:
            return  # Windows keeps a file that is mapped; `__del__` tries again
        self._owner_pid = None

    def __del__(self) -> None:
        # Python's own buffers do not know of our arrays, so a mapping must be closed
        # here, where the last array is gone, and nowhere else.
        if hasattr(self, "_mapping"):
            if isinstance(self._mapping, SharedMemory):
                self.remove()
                self._mapping.close()
            else:
                self._mapping.close()
                self.remove()


class _Window:
    """Ties the life of an array to its block, by NumPy's array interface."""

    def __init__(
        self, block: Block, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self._block = block
        self.__array_interface__ = {
            "version": 3,
            "shape": shape,
            "typestr": dtype.str,
            "data": (block._address, False),
        }


def allocate(nbytes: int, folder: Path) -> Block:
    """New zeroed memory, in `folder` if shared memory has no room.

    Parameters
    ----------
    nbytes : int
        Size in bytes, at least 1.
    folder : Path
        For temporary files; made when the first one is.

    Raises
    ------
    EngineError
        If neither shared memory nor the disk has room.
    """
    if nbytes + _MARGIN <= free_shared_memory():
        block = _allocate_segment(nbytes)
        if block is not None:
            return block
    block = _allocate_file(nbytes, folder)
    if block is not None:
        return block
    raise EngineError(
        f"There is no room for {_size(nbytes)} of image data: "
        f"{_size(free_shared_memory())} of memory and {_size(free_disk(folder))} in "
        f"{folder.parent} are free. Close other programs, free some disk space, or use "
        "a smaller part of the image."
    )


def free_shared_memory() -> int:
    """Bytes that a segment may take: half of the free memory, and what tmpfs allows."""
    free = int(psutil.virtual_memory().available) // 2
    if sys.platform == "linux" and _SHM_FOLDER.is_dir():
        free = min(free, shutil.disk_usage(_SHM_FOLDER).free)
    return free


def free_disk(folder: Path) -> int:
    """Bytes free where temporary files go."""
    return shutil.disk_usage(folder if folder.exists() else folder.parent).free


def temporary_folder() -> Path:
    """A path for the temporary files of one viewer, not made yet."""
    name = f"napari-unet-{os.getpid()}-{secrets.token_hex(8)}"
    return Path(tempfile.gettempdir()) / name


def _allocate_segment(nbytes: int) -> Block | None:
    try:
        name = f"{PREFIX}{os.getpid()}_{secrets.token_hex(4)}"
        memory = SharedMemory(name=name, create=True, size=nbytes)
    except OSError:
        return None
    spec = {"kind": "segment", "name": name, "nbytes": nbytes}
    try:
        _reserve_segment(name, nbytes)
    except OSError:
        memory.unlink()
        memory.close()
        return None
    return Block(spec, memory, owner=True)


def _reserve_segment(name: str, nbytes: int) -> None:
    # Linux promises memory that it does not have: the first write beyond a full
    # /dev/shm would end the viewer with SIGBUS.
    path = _SHM_FOLDER / name
    if sys.platform == "linux" and path.exists():
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(descriptor, 0, nbytes)
        finally:
            os.close(descriptor)


def _allocate_file(nbytes: int, folder: Path) -> Block | None:
    path = folder / secrets.token_hex(8)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if nbytes + _MARGIN > free_disk(folder):
            return None
        with path.open("xb+") as file:
            _reserve_file(file.fileno(), nbytes)
            mapping = mmap.mmap(file.fileno(), nbytes)
    except OSError:
        path.unlink(missing_ok=True)
        return None
    spec = {"kind": "file", "name": str(path), "nbytes": nbytes}
    return Block(spec, mapping, owner=True)


def _reserve_file(descriptor: int, nbytes: int) -> None:
    if sys.platform == "linux":
        try:
            os.posix_fallocate(descriptor, 0, nbytes)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
        else:
            return
    # Zeros take the room on disk now, instead of a fault at some later write.
    rest = nbytes
    while rest:
        rest -= os.write(descriptor, _ZEROS[:rest])


def attach(spec: dict[str, Any]) -> Block:
    """The block of the other process that `spec` describes.

    Raises
    ------
    FileNotFoundError
        If it was removed in the meantime.
    """
    if spec["kind"] == "segment":
        return Block(spec, _attach_segment(spec["name"]), owner=False)
    with open(spec["name"], "rb+") as file:
        return Block(spec, mmap.mmap(file.fileno(), spec["nbytes"]), owner=False)


def _attach_segment(name: str) -> SharedMemory:
    if sys.version_info >= (3, 13):
        return SharedMemory(name=name, track=False)
    else:
        # Before 3.13 an attaching process believes that the segment is its own, and
        # its resource tracker would remove it under the viewer's feet.
        with _attach_lock:
            register = resource_tracker.register
            resource_tracker.register = lambda name, rtype: None
            try:
                return SharedMemory(name=name)
            finally:
                resource_tracker.register = register


def _size(nbytes: int) -> str:
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e9 else f"{nbytes / 1e6:.0f} MB"
