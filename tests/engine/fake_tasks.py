"""Tasks for the tests of the engine: no torch, and every bad habit a task can have."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Any

import numpy as np

from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.errors import DataError

_delay = float(os.environ.get("FAKE_IMPORT_SECONDS", "0"))
if _delay:
    time.sleep(_delay)


def describe_device() -> str:
    return "a fake device"


def echo(context: TaskContext) -> dict[str, Any]:
    return {"params": context.params}


def keeper(context: TaskContext) -> dict[str, Any]:
    """Writes two files when the viewer is gone, and tells of it between them."""
    folder = context.params["folder"]

    def keep() -> None:
        with open(os.path.join(folder, "first"), "x") as file:
            file.write(str(int(context.outputs["out"].sum())))

    context.on_exit = keep
    context.emit({"event": "Busy"})
    while not context.stop_requested():
        time.sleep(0.01)
    time.sleep(0.2)
    context.emit({"event": "Told"})
    with open(os.path.join(folder, "last"), "x") as file:
        file.write("kept")
    return {}


def total(context: TaskContext) -> dict[str, Any]:
    """Sum of each input, and what it looked like."""
    return {
        key: {
            "sum": float(np.asarray(array[...], np.float64).sum()),
            "dtype": np.dtype(array.dtype).str,
            "native": np.dtype(array.dtype).isnative,
            "shape": list(array.shape),
            "type": type(array).__name__,
        }
        for key, array in context.inputs.items()
    }


def double(context: TaskContext) -> None:
    context.outputs["out"][...] = np.asarray(context.inputs["image"][...]) * 2


def index(context: TaskContext) -> dict[str, Any]:
    """Values under keys that `eval` makes, as lists."""
    array, names = context.inputs["image"], {"slice": slice, "np": np}
    return {
        key: np.asarray(array[eval(key, names)]).tolist()
        for key in context.params["keys"]
    }


def sleep(context: TaskContext) -> dict[str, Any]:
    """Busy until stopped; gives a result all the same."""
    context.emit({"event": "Busy"})
    while not context.stop_requested():
        sum(range(10_000))
    return {"kept": True}


def obedient(context: TaskContext) -> None:
    context.emit({"event": "Busy"})
    while not context.wait_for_stop(0.01):
        pass
    raise TaskStopped


def deaf(context: TaskContext) -> None:
    context.emit({"event": "Busy"})
    while True:
        time.sleep(0.05)


def frozen(context: TaskContext) -> None:
    """Holds the interpreter's lock for minutes, so that not even heartbeats go out."""
    context.emit({"event": "Busy"})
    time.sleep(0.2)
    ctypes.PyDLL(None).sleep(600)


def many(context: TaskContext) -> None:
    for i in range(context.params["n"]):
        context.emit({"event": "Count", "i": i, "who": context.params["who"]})


def numbers(context: TaskContext) -> dict[str, Any]:
    context.emit(
        {
            "event": "Numbers",
            "f": np.float32(0.5),
            "i": np.int64(7),
            "b": np.bool_(True),
            "nan": np.float32("nan"),
            "inf": float("inf"),
            "array": np.arange(6, dtype=">u2").reshape(2, 3),
        }
    )
    return {"f": np.float64(1.5)}


def noisy(context: TaskContext) -> dict[str, Any]:
    print("no newline at the end", end="")
    print('{"type": "done", "job": 1, "result": {"forged": true}, "stopped": false}')
    sys.stdout.flush()
    os.write(1, b"\xff\xfe\x00 not UTF-8")
    libc = ctypes.CDLL(None)
    libc.puts(b"from C, \xe9")
    libc.fflush(None)
    os.system("echo from a grandchild")
    stdin = sys.stdin.read()
    context.emit({"event": "After noise"})
    return {"stdin": stdin}


def answer(context: TaskContext) -> dict[str, Any]:
    """Answers each message until one says so."""
    context.emit({"event": "Listening"})
    while not context.stop_requested():
        for message in context.messages():
            context.emit({"event": "Heard", **message})
            if message.get("last"):
                return {}
        time.sleep(0.005)
    return {}


def sentence(context: TaskContext) -> None:
    raise DataError("The image is upside down: turn it.")


def defect(context: TaskContext) -> None:
    raise TypeError("two\nlines")


def exits(context: TaskContext) -> None:
    sys.exit(3)


def unsendable(context: TaskContext) -> dict[str, Any]:
    return {"object": object()}


def no_memory(context: TaskContext) -> None:
    raise MemoryError


def die(context: TaskContext) -> None:
    os.kill(os.getpid(), context.params.get("signal", signal.SIGKILL))
    time.sleep(60)


def where(context: TaskContext) -> dict[str, Any]:
    import tifffile

    return {
        "numpy": np.__file__,
        "tifffile": tifffile.__file__,
        "threads": os.environ["OMP_NUM_THREADS"],
        "pid": os.getpid(),
    }


def _private(context: TaskContext) -> None: ...


def train(context: TaskContext) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(60)


def scribble(context: TaskContext) -> None:
    context.inputs["image"][...] = 0  # type: ignore[index]


def read_in_threads(context: TaskContext) -> dict[str, Any]:
    """Rows of an image whose every row holds its number, read by many threads."""
    from concurrent.futures import ThreadPoolExecutor

    image = context.inputs["image"]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda i: image[i], range(len(image))))
    return {"wrong": [i for i, row in enumerate(rows) if not (row == i).all()]}
