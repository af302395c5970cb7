"""Ctrl-C that ends a long run instead of killing it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from napari_unet.cli.common import note


class SoftStop:
    """The first Ctrl-C (or SIGTERM) asks training to end, the second kills it."""

    def __init__(self) -> None:
        self.code = 0
        """Exit code of the signal that came, 0 before."""
        self._before: dict[signal.Signals, Any] = {}

    def wanted(self) -> bool:
        """Whether training should end after this step."""
        return self.code != 0

    def listen(self) -> None:
        """From now on signals ask, instead of killing."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._asked)

    def _asked(self, number: int, _frame: object) -> None:
        self.code = 128 + number
        self._restore()
        note(
            "\nEnding after this step and saving the best model; "
            "press Ctrl-C again to leave at once."
        )

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    @contextmanager
    def released(self) -> Generator[None]:
        """Give signals back at the end, whatever happens."""
        try:
            yield
        finally:
            self._restore()
