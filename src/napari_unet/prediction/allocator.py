"""Memory that is used again instead of being given back after every layer.

The C library of Linux takes each block above 32 MB from the system, and gives it back
at once. A map of a large tile is such a block: its pages were cleared anew for every
layer, which took a third of the time of a U-Net on the CPU. While tiles are computed,
such blocks are kept (where the library's version allows it), and after the last one
they are given back. Threads that have an arena of their own do not profit.

What outlives a tile must not lie between those blocks: it would cut them into pieces
that fit nothing any more, and memory would grow. It comes from :func:`empty_apart`.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# From malloc.h of glibc.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**30
"""Blocks up to so many bytes are used again."""
USUAL_BYTES = 2**25
"""Above this glibc gives blocks back, whatever it has learnt from a program."""
APART_BYTES = 2**20
"""Smaller arrays fit between others."""
CHOSEN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")
"""Variables of users who have chosen for themselves."""

_lock, _users = threading.Lock(), list[None]()


@lru_cache(maxsize=1)
def _libc() -> Any:
    """The C library, where it is the one that is meant; else None."""
    if not sys.platform.startswith("linux") or any(
        name in os.environ for name in CHOSEN
    ):
        return None
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - not there in other libraries
        libc.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
        libc.malloc_trim.argtypes = [ctypes.c_size_t]
    except (OSError, AttributeError):
        return None
    return libc


@contextmanager
def large_blocks_kept() -> Iterator[None]:
    """Use large blocks of memory again while this lasts, and give them back after it.

    Within another one, as around each image of many, nothing is given back before the
    outer one ends. Does nothing on other systems, and where the user has set the
    allocator up.
    """
    libc = _libc()
    if libc is None:
        yield
        return
    with _lock:
        _users.append(None)
        if len(_users) == 1:
            libc.mallopt(MMAP_THRESHOLD, KEPT_BYTES)
            libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        with _lock:
            _users.pop()
            if not _users:
                libc.mallopt(MMAP_THRESHOLD, USUAL_BYTES)
                libc.mallopt(TRIM_THRESHOLD, 2 * USUAL_BYTES)
                libc.malloc_trim(0)


def empty_apart(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """An array for what outlives a tile: pixels that wait, a result that fills.

    Where large blocks are kept, it is taken from the system by itself, and goes back
    there with the last reference. Values are undefined.
    """
    dtype = np.dtype(dtype)
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes < APART_BYTES or _libc() is None:
        return np.empty(shape, dtype)
    try:
        memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:  # so that it is handled like any other lack of memory
        raise MemoryError(str(error)) from error
    return np.frombuffer(memory, dtype).reshape(shape)
