"""Work that napari would do at the first stroke, done beside the viewer instead.

A Labels layer with colours of its own needs a dictionary that numba compiles for its
dtype: one to five seconds in which the viewer would stand still when *New* is pressed
for the first time, or when the first classes arrive. Where numba is not installed
napari does without, and so does this.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec

import numpy as np

_begun = threading.Event()


def warm_up() -> None:
    """Begin, once per process, on a thread; returns at once."""
    if _begun.is_set() or find_spec("numba") is None:
        return
    _begun.set()
    # Not a daemon: a thread that is cut off while it compiles can take the
    # interpreter's orderly end with it.
    threading.Thread(target=_compile, name="napari-unet warm-up").start()


def _compile() -> None:
    from numba import typed, types

    table = typed.Dict.empty(key_type=types.int32, value_type=types.uint8)
    table[np.int32(1)] = np.uint8(1)
