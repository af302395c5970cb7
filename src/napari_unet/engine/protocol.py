"""Messages between the viewer and its engine process: one line of JSON each.

Both sides write a message with one call under one lock, so that lines of threads never
mix. NumPy scalars become plain numbers, small arrays travel as base64 and arrive as
arrays (pixels of images do not go this way: see :mod:`napari_unet.engine.arrays`).
"""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import numpy as np

Message = dict[str, Any]

_ARRAY_KEY = "__ndarray__"
_READ_BYTES = 1 << 16


def encode_message(message: Message) -> bytes:
    """One line of ASCII, with its newline; NaN and infinity survive.

    Raises
    ------
    TypeError
        If a value is neither plain, nor NumPy's, nor a path.
    """
    return json.dumps(message, default=_plain).encode("ascii") + b"\n"


def decode_message(line: bytes) -> Message:
    """The message of one line.

    Raises
    ------
    ValueError
        If the line is not a JSON object.
    """
    message = json.loads(line, object_hook=_restore)
    if not isinstance(message, dict):
        raise ValueError("a message must be a JSON object")  # noqa: TRY004
    return message


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "buif":
            raise TypeError(f"arrays of type {value.dtype} cannot be sent")
        native = np.ascontiguousarray(value, value.dtype.newbyteorder("="))
        data = base64.b64encode(native.tobytes()).decode("ascii")
        return {_ARRAY_KEY: [native.dtype.str, list(value.shape), data]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _restore(value: dict[str, Any]) -> Any:
    if value.keys() != {_ARRAY_KEY}:
        return value
    dtype, shape, data = value[_ARRAY_KEY]
    flat = np.frombuffer(base64.b64decode(data), np.dtype(dtype))
    return flat.reshape(shape).copy()


class MessageWriter:
    """Writes messages to a pipe from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def write(self, message: Message) -> None:
        """Write one message; blocks while the pipe is full.

        Raises
        ------
        OSError
            If nobody reads any more.
        """
        self.write_bytes(encode_message(message))

    def write_bytes(self, line: bytes) -> None:
        """Write a line that :func:`encode_message` made."""
        with self._lock:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def read_lines(descriptor: int) -> Iterator[bytes]:
    """Lines that arrive on a pipe, until its end.

    Reads the bare descriptor: a buffered file whose lock a sleeping thread holds would
    abort the interpreter when it exits.
    """
    parts: list[bytes] = []
    while chunk := os.read(descriptor, _READ_BYTES):
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            yield b"".join([*parts, line])
            parts.clear()
        if rest:
            parts.append(rest)


def summary(error: BaseException) -> str:
    """Class and first line of an exception that is a defect."""
    first = next(iter(str(error).splitlines()), "")[:200]
    return f"{type(error).__name__}: {first}".rstrip(" .:")
