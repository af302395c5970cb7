"""The viewer's handle on the engine process. No torch and no Qt here.

Everything is called on one thread, the GUI's, and nothing blocks it. Threads of this
package only put what they hear on a queue, which :meth:`Engine.poll` empties.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from napari_unet.engine.arrays import Cancelled, JobArrays, copy_limit
from napari_unet.engine.job import Job, JobState, OnEvent
from napari_unet.engine.process import EngineProcess, describe_exit
from napari_unet.engine.protocol import Message, encode_message, summary
from napari_unet.engine.shared import temporary_folder
from napari_unet.errors import EngineError, UserError

logger = logging.getLogger(__name__)

EngineState = Literal["stopped", "starting", "ready", "crashed"]

COPY_AT_ONCE_BYTES = 16 << 20
"""Jobs that share more than this many bytes copy on a thread of their own."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_BUTTONS = {
    "train": "press Train",
    "live": "press Train",
    "predict": "press Predict",
    "evaluate": "press Evaluate",
}


_KEEPING = frozenset({"live"})
"""Tasks that keep what they did when the viewer ends."""


class _Belongings:
    """What must be gone when an engine is, even if nobody closed it."""

    def __init__(self) -> None:
        self.process: EngineProcess | None = None
        self.folder = temporary_folder()
        self.arrays: weakref.WeakSet[JobArrays] = weakref.WeakSet()
        self.keeping: set[int] = set()
        """Numbers of the jobs that have something to keep."""
        self._pid = os.getpid()

    def clear(self) -> None:
        if os.getpid() != self._pid:  # we are a fork of the viewer that exits
            return
        process, self.process = self.process, None
        if process is not None:
            if self.keeping:
                process.leave()
            else:
                process.kill()
            process.wait()
        self.keeping.clear()
        for arrays in list(self.arrays):
            arrays.free()
        shutil.rmtree(self.folder, ignore_errors=True)


class Engine:
    """Starts, uses and ends the process in which networks train and predict.

    Parameters
    ----------
    threads : int, optional
        Threads for computing. Default: one fewer than the machine has cores.
    tasks_module : str
        Name or file of the module whose functions are the tasks.
    copy_limit : int, optional
        Arrays of more bytes stay with the viewer and are read region by region.
        Default: a quarter of the free memory.
    heartbeat_seconds : float
        After a stop request, how long the process may be silent before it is killed.
    log_folder : Path, optional
        Where log files go.
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        tasks_module: str = "napari_unet.engine.tasks",
        copy_limit: int | None = None,
        heartbeat_seconds: float = 30.0,
        log_folder: Path | None = None,
    ) -> None:
        self.device: str | None = None
        """The device in words, once the engine is ready."""
        self.log_path: Path | None = None
        """Log file of the newest process."""
        self._state: EngineState = "stopped"
        self._threads = threads or default_threads()
        self._tasks_module = tasks_module
        self._copy_limit = copy_limit
        self._heartbeat_seconds = heartbeat_seconds
        self._log_folder = log_folder
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._happened: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._own = _Belongings()
        # Also called when the interpreter exits.
        self._finalizer = weakref.finalize(self, self._own.clear)

    @property
    def state(self) -> EngineState:
        return self._state

    @property
    def pid(self) -> int | None:
        """Number of the process, while there is one."""
        return self._own.process.pid if self._own.process else None

    def start(self) -> None:
        """Start the process if there is none; returns at once and never raises.

        The process loads torch in the background, so that the first task is quick. If
        it cannot be started, the state is ``crashed`` and the next job says why.
        """
        try:
            self._living_process()
        except EngineError:
            logger.warning("The engine could not be started", exc_info=True)

    def _living_process(self) -> EngineProcess:
        process = self._own.process
        if process is not None and process.alive:
            return process
        happened, engine = self._happened, weakref.ref(self)

        def on_message(process: EngineProcess, message: Message) -> None:
            happened.put(partial(_deliver, engine, "_on_message", process, message))

        def on_end(process: EngineProcess, code: int) -> None:
            happened.put(partial(_deliver, engine, "_on_end", process, code))

        hello = {
            "type": "hello",
            "threads": self._threads,
            "tasks_module": self._tasks_module,
            "folder": str(self._own.folder),
        }
        self._own.process, self._state, self.device = None, "crashed", None
        process = EngineProcess(
            hello,
            threads=self._threads,
            log_folder=self._log_folder,
            on_message=on_message,
            on_end=on_end,
        )
        self._own.process, self._state = process, "starting"
        self.log_path = process.log_path
        return process

    def submit(
        self,
        task: str,
        params: Mapping[str, Any],
        *,
        inputs: Mapping[str, Any] = _NOTHING,
        outputs: Mapping[str, tuple[tuple[int, ...], str]] = _NOTHING,
        on_event: OnEvent,
    ) -> Job:
        """Run a task; starts the process when needed. Returns at once.

        What goes wrong is told by a ``StateChanged`` event, never raised here.

        Parameters
        ----------
        task : str
            Name of a function of the tasks module.
        params : mapping
            Plain values for the task.
        inputs : mapping of str to array-like
            Anything with shape, dtype and ``[]``: NumPy, dask, zarr, memory maps.
        outputs : mapping of str to (shape, dtype)
            Arrays to make, into which the task writes.
        on_event : callable
            Gets every event of the job as a dictionary, from within :meth:`poll`.
        """
        name = params.get("name", "")
        arrays = JobArrays(
            inputs,
            outputs,
            folder=self._own.folder,
            limit=copy_limit() if self._copy_limit is None else self._copy_limit,
            image_name=name if isinstance(name, str) else "",
        )
        self._own.arrays.add(arrays)
        job = Job(next(self._numbers), task, arrays, on_event, self._stop_now)
        self._jobs[job.id] = job
        self.start()
        if arrays.bytes_to_make() <= COPY_AT_ONCE_BYTES:
            line = self._share(job, params)
            if line is not None:
                self._send(job, line)
            return job

        def share() -> None:
            line = self._share(job, params)
            if line is not None:
                self._happened.put(partial(self._send, job, line))

        threading.Thread(target=share, name="unet-copy", daemon=True).start()
        return job

    def poll(self) -> None:
        """Deliver everything that happened since the last call; call it often.

        An exception of an `on_event` is raised after the rest was delivered.
        """
        self._watch()
        errors: list[Exception] = []
        for _ in range(self._happened.qsize()):
            try:
                step = self._happened.get_nowait()
            except queue.Empty:  # a callback polled, too
                break
            try:
                step()
            except Exception as error:  # noqa: BLE001 (raised below)
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup("several listeners failed", errors)

    def close(self) -> None:
        """End the process and free all memory; no more events are delivered."""
        self._own.clear()
        for job in self._jobs.values():
            job.state = "stopped"
        self._jobs.clear()
        self._state, self.device = "stopped", None
        while not self._happened.empty():
            self._happened.get_nowait()

    def _share(self, job: Job, params: Mapping[str, Any]) -> bytes | None:
        """Copy the arrays of a job; the message that runs it, if all went well.

        Called on any thread, so that what went wrong goes on the queue.
        """
        message = {"type": "run", "job": job.id, "task": job.task}
        try:
            shared = job.arrays.share(lambda: job.stop_time is not None)
            return encode_message({**message, "params": dict(params), **shared})
        except Cancelled:
            self._end_later(job, "stopped")
        except UserError as error:
            self._end_later(job, "failed", error=str(error))
        except Exception as error:
            logger.exception("The arrays of %s could not be shared", job.task)
            sentence = (
                f"Something went wrong on the way to the engine ({summary(error)}): "
                "please report it."
            )
            self._end_later(job, "failed", error=sentence)
        return None

    def _send(self, job: Job, line: bytes) -> None:
        if job.ended:
            job.arrays.free()
        elif job.stop_time is not None:
            self._end_later(job, "stopped")
        else:
            try:
                process = self._living_process()
            except EngineError as error:
                self._end_later(job, "failed", error=str(error))
                return
            process.server.add(job.id, job.arrays)
            process.send_line(line)
            job.sent(process)
            if job.task in _KEEPING:
                self._own.keeping.add(job.id)

    def _end_later(self, job: Job, state: JobState, **extra: Any) -> None:
        self._happened.put(partial(self._end, job, state, **extra))

    def _end(self, job: Job, state: JobState, **extra: Any) -> None:
        self._jobs.pop(job.id, None)
        self._own.keeping.discard(job.id)
        job.end(state, **extra)

    def _stop_now(self, job: Job) -> None:
        if job.process is None:
            self._end_later(job, "stopped")
        else:
            job.process.kill()

    def _watch(self) -> None:
        process = self._own.process
        if process is None or process.ending:
            return
        for job in self._jobs.values():
            if job.stop_time is None or job.process is not process:
                continue
            silent_since = max(job.stop_time, process.last_heartbeat)
            if time.monotonic() - silent_since > self._heartbeat_seconds:
                process.kill()
                return

    def _on_message(self, process: EngineProcess, message: Message) -> None:
        kind = message["type"]
        if kind == "ready":
            if process is self._own.process:
                self._state, self.device = "ready", message["device"]
            return
        job = self._jobs.get(message["job"])
        if job is None or job.process is not process:
            return
        if kind == "running":
            job.change("running")
        elif kind == "event":
            job.on_event(message["event"])
        elif kind == "stopping":
            job.on_event({"event": "Stopping"})
        elif kind == "done":
            extra = {"stopped": True} if message["stopped"] else {}
            self._end(job, "done", result=message["result"], **extra)
        elif kind == "stopped":
            self._end(job, "stopped")
        elif kind == "failed":
            sentence = message.get("error") or self._defect(message["defect"])
            self._end(job, "failed", error=sentence)

    def _defect(self, what: str) -> str:
        where = f"; the details are in {self.log_path}" if self.log_path else ""
        return f"Something went wrong inside the engine ({what}){where}."

    def _on_end(self, process: EngineProcess, code: int) -> None:
        if process is self._own.process:
            self._own.process = None
            self._state = "stopped" if process.ending else "crashed"
            self.device = None
        for job in list(self._jobs.values()):
            if job.process is not process:
                continue
            if process.ending:
                self._end(job, "stopped")
            else:
                self._end(job, "crashed", error=self._crash(process, job, code))

    def _crash(self, process: EngineProcess, job: Job, code: int) -> str:
        if not process.answered:
            where = f" What it said is in {self.log_path}." if self.log_path else ""
            return (
                f"The engine process could not start ({describe_exit(code)}): run "
                f"`napari-unet doctor` in a terminal to see why.{where}"
            )
        action = _BUTTONS.get(job.task, "try again")
        again = f"{action} to start again" if action != "try again" else action
        return (
            f"The engine process ended unexpectedly ({describe_exit(code)}); your "
            f"layers are untouched: {again}."
        )


def default_threads() -> int:
    """One fewer than the cores that this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, cores - 1)


def _deliver(engine: weakref.ref[Engine], method: str, *arguments: Any) -> None:
    target = engine()
    if target is not None:
        getattr(target, method)(*arguments)
