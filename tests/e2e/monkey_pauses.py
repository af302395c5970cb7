"""What the viewer's thread does while its event loop stands still."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from qtpy.QtCore import QTimer

STILL_SECONDS = 1.0
"""A pause is looked into from here on."""
STARVED = 0.5
"""A pause of which less was computed than this part is another program's."""
EVERY_SECONDS = 0.1
TICK_MS = 10
N_STACKS = 3
"""So many places are told of a pause."""
N_FRAMES = 5
"""How much of a stack is told: its innermost frames, and the innermost of ours."""
OURS = "napari_unet"
OTHERS = "site-packages"


class Pauses:
    """The longest stand-stills of the event loop, and what was done in them.

    Parameters
    ----------
    doing : callable
        What the monkey is doing.
    """

    def __init__(self, doing: Callable[[], str]) -> None:
        self._doing = doing
        self.longest = 0.0
        self.computed = 0.0
        """The longest time that a pause was spent computing."""
        self.long: list[str] = []
        self._last, self._computed = time.monotonic(), time.thread_time()
        self._sampler = Sampler(lambda: self._last)
        self._tick = QTimer()
        self._tick.setInterval(TICK_MS)
        self._tick.timeout.connect(self.turned)
        self._tick.start()

    def end(self) -> None:
        """Look no longer."""
        self._tick.stop()
        self._sampler.end()

    def turned(self) -> None:
        now, computed = time.monotonic(), time.thread_time()
        pause, work = now - self._last, computed - self._computed
        self._last, self._computed = now, computed
        self.longest = max(self.longest, pause)
        self.computed = max(self.computed, work)
        stacks = self._sampler.taken() if pause > STILL_SECONDS else []
        if pause > STILL_SECONDS:
            self.long.append(self._told(pause, work, stacks))

    def _told(self, pause: float, work: float, stacks: list[tuple[str, int]]) -> str:
        starved = " (starved)" if work < STARVED * pause else ""
        places = "".join(f"\n    {n} x {stack}" for stack, n in stacks[:N_STACKS])
        return (
            f"{pause:.1f} s, computing for {work:.1f} s of them{starved}, during "
            f"{self._doing()}{places}"
        )


class Sampler:
    """Looks at the stack of the thread that made it, from a thread of its own.

    The stack is read while another thread may run Python at all: whatever computes
    without leaving the interpreter to others is seen at its end.

    Parameters
    ----------
    last_turn : callable
        When the event loop turned last, by ``time.monotonic``.
    """

    def __init__(self, last_turn: Callable[[], float]) -> None:
        self._last_turn = last_turn
        self._thread = threading.get_ident()
        self._stacks: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        watch = threading.Thread(target=self._watch, name="sampler", daemon=True)
        watch.start()

    def taken(self) -> list[tuple[str, int]]:
        """Stacks of the pause that has just ended, the most frequent first."""
        with self._lock:
            found, self._stacks = self._stacks.most_common(), Counter()
        return found

    def end(self) -> None:
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            turn = self._last_turn()
            if time.monotonic() - turn < STILL_SECONDS:
                continue
            # No frame is kept: it would keep what the thread has in its hands, such
            # as a painter that has to end.
            stack = told(sys._current_frames().get(self._thread))
            with self._lock:
                # It may have turned in the meantime, and this is no part of a pause.
                if self._last_turn() == turn:
                    self._stacks[stack] += 1


def told(innermost: FrameType | None) -> str:
    """A stack in one line, from inside to outside."""
    frames = []
    frame = innermost
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    shown = frames[:N_FRAMES]
    ours = next((f for f in frames if OURS in Path(f.f_code.co_filename).parts), None)
    if ours is not None and ours not in shown:
        shown.append(ours)
    return " < ".join(place(f) for f in shown)


def place(frame: FrameType) -> str:
    """File, line and function of a frame."""
    code = frame.f_code
    path = code.co_filename.rpartition(f"{OTHERS}/")[2].rpartition("/src/")[2]
    return f"{path}:{frame.f_lineno} {code.co_name}"
