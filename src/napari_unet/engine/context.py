"""What a task sees of the viewer that asked for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from napari_unet.data.source import ArrayLike


class TaskStopped(Exception):
    """Raised by a task that was asked to stop and has no result to give."""


class TaskContext:
    """Handed to every task function of the tasks module.

    Parameters
    ----------
    params : dict
        Plain values, as they were given to ``Engine.submit``.
    inputs : dict of str to array-like
        Arrays in native byte order: NumPy arrays, arrays on disk, or arrays that the
        viewer reads for us region by region.
    outputs : dict of str to ndarray
        Shared with the viewer, which sees every write.
    emit : callable
        Sends a dictionary of plain values to the viewer, from any thread.
    """

    def __init__(
        self,
        params: dict[str, Any],
        inputs: dict[str, ArrayLike],
        outputs: dict[str, NDArray[Any]],
        emit: Callable[[dict[str, Any]], None],
        stop: threading.Event | None = None,
    ) -> None:
        self.params = params
        self.inputs = inputs
        self.outputs = outputs
        self.emit = emit
        self.on_exit: Callable[[], None] | None = None
        """For tasks that have something to lose when the viewer is gone: called then,
        on another thread, and must be quick. The task is stopped as if the user had
        pressed Stop, and has some seconds to end."""
        self._stop = stop or threading.Event()
        self._messages: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def stop_requested(self) -> bool:
        """Whether the user pressed Stop: end soon, keep what is worth keeping."""
        return self._stop.is_set()

    def wait_for_stop(self, seconds: float) -> bool:
        """Sleep, but wake at once when the user presses Stop."""
        return self._stop.wait(seconds)

    def messages(self) -> list[dict[str, Any]]:
        """What the viewer sent to this task since the last call, oldest first."""
        with self._lock:
            messages, self._messages = self._messages, []
        return messages

    def deliver(self, message: dict[str, Any]) -> None:
        """Put a message where :meth:`messages` finds it; called by the worker."""
        with self._lock:
            self._messages.append(message)
