from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_unet.engine.protocol import (
    MessageWriter,
    decode_message,
    encode_message,
    read_lines,
    summary,
)


def test_round_trip_on_one_line() -> None:
    message = {"text": "a\nb\r\x00 µ \udc80", "path": Path("a/b"), "n": np.uint8(3)}
    line = encode_message(message)
    assert line.count(b"\n") == 1
    assert decode_message(line) == {
        "text": message["text"],
        "path": str(Path("a/b")),
        "n": 3,
    }


@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
@pytest.mark.parametrize("dtype", ["?", ">u2", "f2", "i8"])
def test_arrays_arrive_as_arrays(shape: tuple[int, ...], dtype: str) -> None:
    array = np.ones(shape, dtype)
    back = decode_message(encode_message({"a": array}))["a"]
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype.newbyteorder("=")
    back[...] = 0  # writeable


def test_foreign_lines_are_refused() -> None:
    for line in (b"", b"[1]", b"hello", b"\xff\xfe"):
        with pytest.raises(ValueError):  # noqa: PT011 (its subclasses differ)
            decode_message(line)
    with pytest.raises(TypeError):
        encode_message({"a": np.array([object()])})


def test_threads_never_mix_lines_even_larger_than_the_pipe() -> None:
    read_end, write_end = os.pipe()
    writer = MessageWriter(write_end)
    text = "x" * 300_000

    def write(who: int) -> None:
        for i in range(10):
            writer.write({"who": who, "i": i, "text": text})

    def write_all() -> None:
        threads = [
            threading.Thread(target=write, args=(who,), daemon=True) for who in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(write_end)

    threading.Thread(target=write_all, daemon=True).start()
    got = [decode_message(line) for line in read_lines(read_end)]
    os.close(read_end)
    for who in range(4):
        assert [m["i"] for m in got if m["who"] == who] == list(range(10))
    assert all(m["text"] == text for m in got)


def test_summary_is_short_and_one_line() -> None:
    assert summary(ValueError("a.\nb")) == "ValueError: a"
    assert summary(MemoryError()) == "MemoryError"
    assert len(summary(ValueError("x" * 1000))) < 250
