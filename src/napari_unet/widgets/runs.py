"""Runs: what a widget knows about a task that the engine carries out. No Qt here.

A run listens to the engine's messages, keeps what a view has to show, and tells the
view through signals. It holds no layer: layers may be deleted while it goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from psygnal import Signal

from napari_unet.errors import UserError

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine
    from napari_unet.engine.job import Job

RunState = Literal[
    "idle", "running", "stopping", "done", "stopped", "failed", "crashed"
]
ENDED: tuple[RunState, ...] = ("done", "stopped", "failed", "crashed")


class EngineRun:
    """One task in the engine at a time, as a view shows it."""

    changed = Signal()
    """Something to show has changed."""
    ended = Signal()
    """The task is over; :attr:`state` says how."""

    task: ClassVar[str]

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._job: Job | None = None
        self.state: RunState = "idle"
        self.message = ""
        """One sentence about where the run stands or how it ended."""
        self.progress: float | None = None
        """Share of the work done, 0 to 1; ``None`` while unknown."""
        self.notices: list[str] = []

    @property
    def active(self) -> bool:
        """Whether the engine is still at it."""
        return self.state in ("running", "stopping")

    def _submit(
        self,
        params: Mapping[str, Any],
        inputs: Mapping[str, Any],
        outputs: Mapping[str, tuple[tuple[int, ...], str]],
    ) -> None:
        """Send the task off; an error that the user can mend ends the run at once."""
        if self.active:
            raise RuntimeError("a run was started while it was still active")
        self.notices = []
        self.progress = None
        self._job = None
        self.state = "running"
        self.message = "Starting…"
        self.changed.emit()
        try:
            self._job = self._engine.submit(
                self.task,
                params,
                inputs=inputs,
                outputs=outputs,
                on_event=self._on_event,
            )
        except UserError as error:
            self._end("failed", str(error))

    def stop(self) -> None:
        """Ask the task to end; a second call ends the engine process."""
        if self._job is None or not self.active:
            return
        self.state = "stopping"
        self.message = "Stopping after the current step…"
        self.changed.emit()
        self._job.stop()

    def _on_event(self, event: dict[str, Any]) -> None:
        if not self.active:
            return  # a late message of a task that was killed
        kind = event.get("event")
        if kind == "StateChanged":
            self._on_state(event)
        elif kind == "Notice":
            self._notice(str(event["text"]))
        elif kind != "Stopping":
            self._on_task_event(event)
        self.changed.emit()

    def _on_state(self, event: dict[str, Any]) -> None:
        state = event["state"]
        if state == "done":
            message = self._on_done(
                event.get("result") or {}, stopped=bool(event.get("stopped"))
            )
            self._end("stopped" if event.get("stopped") else "done", message)
        elif state == "stopped":
            self._end("stopped", self._on_lost("Stopped."))
        elif state in ("failed", "crashed"):
            sentence = event.get("error") or "The engine ended without saying why."
            self._end(state, self._on_lost(str(sentence)))

    def _end(self, state: RunState, message: str) -> None:
        self.state = state
        self.message = message
        if state == "done":
            self.progress = 1.0
        job, self._job = self._job, None
        if job is not None:
            job.release()
        self.changed.emit()
        self.ended.emit()

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def _on_lost(self, sentence: str) -> str:
        """Save what can be saved of a task without a result; return a sentence."""
        return sentence

    def _on_task_event(self, event: dict[str, Any]) -> None:
        """Take in what the task tells while it runs."""
        raise NotImplementedError

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        """Take the result, while the job's outputs are there; return a sentence."""
        raise NotImplementedError


def copied(array: Any) -> Any:
    """The array as it is now, so that painting on does not change it under way."""
    return array.copy() if isinstance(array, np.ndarray) else array


def in_words(seconds: float) -> str:
    """A length of time as people say it: "about 3 minutes"."""
    if not np.isfinite(seconds) or seconds < 0:
        return "an unknown time"
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"about {round(seconds / 10) * 10} seconds"
    minutes = round(seconds / 60)
    if minutes < 60:
        return "about a minute" if minutes <= 1 else f"about {minutes} minutes"
    hours, rest = divmod(round(seconds / 300) * 5, 60)
    text = "about an hour" if hours == 1 else f"about {hours} hours"
    return f"{text} and {rest} minutes" if rest else text
