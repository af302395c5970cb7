"""One task on its way through the engine, as the viewer sees it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from numpy.typing import NDArray

from napari_unet.engine.arrays import JobArrays
from napari_unet.engine.process import EngineProcess
from napari_unet.engine.protocol import Message

JobState = Literal["waiting", "running", "done", "failed", "stopped", "crashed"]
OnEvent = Callable[[dict[str, Any]], None]


class Job:
    """Made by :meth:`.Engine.submit`; what follows :meth:`release` is the engine's.

    ``waiting`` (its arrays are copied, torch is loaded) → ``running`` → ``done``,
    ``failed``, ``stopped`` or ``crashed``. The state changes within ``Engine.poll``.
    """

    def __init__(
        self,
        number: int,
        task: str,
        arrays: JobArrays,
        on_event: OnEvent,
        stop_now: Callable[[Job], None],
    ) -> None:
        self.id = number
        self.task = task
        self.state: JobState = "waiting"
        self.result: dict[str, Any] | None = None
        self.error: str | None = None
        """One sentence, once the state is ``failed`` or ``crashed``."""
        self.arrays = arrays
        self.on_event = on_event
        self.process: EngineProcess | None = None
        self.stop_time: float | None = None
        self._stop_now = stop_now
        self._unsent: list[Message] = []
        self._release_at_end = False

    @property
    def ended(self) -> bool:
        return self.state not in ("waiting", "running")

    @property
    def outputs(self) -> dict[str, NDArray[Any]]:
        """Arrays that the task writes into; complete from ``running`` on.

        They are empty after :meth:`release`; arrays taken before stay valid.
        """
        return self.arrays.outputs

    def stop(self) -> None:
        """Ask the task to end; called again, end the engine process at once."""
        if self.ended:
            return
        if self.stop_time is not None:
            self._stop_now(self)
            return
        self.stop_time = time.monotonic()
        if self.process is not None:
            self.process.send({"type": "stop", "job": self.id})

    def send(self, message: Mapping[str, Any]) -> None:
        """Hand a message to the task, which finds it in ``context.messages()``."""
        if self.ended:
            return
        envelope = {"type": "message", "job": self.id, "message": dict(message)}
        if self.process is not None:
            self.process.send(envelope)
        else:
            self._unsent.append(envelope)

    def release(self) -> None:
        """Free the shared memory; a job that has not ended is stopped first."""
        if self.ended:
            self.arrays.free()
        else:
            self._release_at_end = True
            if self.stop_time is None:
                self.stop()

    def sent(self, process: EngineProcess) -> None:
        """Note that the engine has the job now, and pass on what had to wait."""
        self.process = process
        for envelope in self._unsent:
            process.send(envelope)
        self._unsent = []

    def change(self, state: JobState, **extra: Any) -> None:
        """Enter a state and tell the listener."""
        self.state = state
        self.on_event({"event": "StateChanged", "state": state, **extra})

    def end(self, state: JobState, **extra: Any) -> None:
        """Enter the last state, and free what nobody needs any more."""
        if self.ended:
            return
        if self.process is not None:
            self.process.server.discard(self.id)
        self.error = extra.get("error")
        self.result = extra.get("result")
        if self._release_at_end:
            self.arrays.free()
        else:
            self.arrays.free_inputs()
        self.change(state, **extra)
