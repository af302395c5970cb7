"""The engine process: reads requests from the viewer and runs tasks in threads.

It ends by itself when the viewer does, at the end of its input pipe. Standard output
belongs to the messages alone: whatever prints goes to the log.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import importlib.util
import inspect
import logging
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NoReturn

from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.engine.protocol import (
    Message,
    MessageWriter,
    decode_message,
    encode_message,
    read_lines,
    summary,
)
from napari_unet.engine.proxies import JobReader, RegionReader, open_input
from napari_unet.engine.shared import attach
from napari_unet.engine.tidy import tidy
from napari_unet.errors import EngineError, UserError

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
LAST_SECONDS = 20.0
"""How long tasks have to keep what they did, once the viewer is gone."""


class RunningTask:
    """What the worker keeps about a task until it ends."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.early: list[Message] = []
        self.context: TaskContext | None = None


class Worker:
    """Runs the functions of a tasks module as the viewer asks for them."""

    def __init__(self, writer: MessageWriter, hello: Message) -> None:
        self._writer = writer
        self._hello = hello
        self._tasks: dict[int, RunningTask] = {}
        self._lock = threading.Lock()
        self._regions = RegionReader(self.send)
        self._prepared = threading.Event()
        self._leaving = False
        self._module: Any = None
        self._trouble: BaseException | None = None

    def send(self, message: Message) -> None:
        """Tell the viewer; this process ends soon if the viewer is gone."""
        self._send_line(encode_message(message))

    def _send_line(self, line: bytes) -> None:
        try:
            self._writer.write_bytes(line)
        except OSError:
            self.leave()

    def leave(self) -> None:
        """Nobody listens any more: end this process, and return at once.

        It ends now, or once tasks that asked for it kept what they did.
        """
        with self._lock:
            if self._leaving:
                return
            self._leaving = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.stop.set()
        keeping = [t for t in tasks if t.context is not None and t.context.on_exit]
        if not keeping:
            self._exit()
        # On a thread: it may be a task that found out, and it has to go on.
        threading.Thread(
            target=self._keep_and_exit, args=(keeping,), name="exit", daemon=True
        ).start()

    def _keep_and_exit(self, tasks: list[RunningTask]) -> NoReturn:
        end = time.monotonic() + LAST_SECONDS
        for task in tasks:
            hook = None if task.context is None else task.context.on_exit
            try:
                if hook is not None:
                    hook()
            except Exception:
                logger.exception("What a task did could not be kept")
        while time.monotonic() < end:
            if not set(tasks) & set(self._tasks.values()):
                break
            time.sleep(0.02)
        self._exit()

    def _exit(self) -> NoReturn:
        """End at once, with all threads, and leave nothing behind."""
        shutil.rmtree(self._hello["folder"], ignore_errors=True)
        os._exit(0)

    def prepare(self) -> None:
        """Import the tasks and torch, so that the first task starts at once."""
        device = None
        try:
            self._module = _load(self._hello["tasks_module"])
            if hasattr(self._module, "describe_device"):
                device = self._module.describe_device()
            else:
                device = _prepare_torch(self._hello["threads"])
        except BaseException as error:
            logger.exception("The engine could not be prepared")
            self._trouble = error
        # What was imported stays: looking through it after every task took 0.1 s.
        gc.collect()
        gc.freeze()
        self._prepared.set()
        self.send({"type": "ready", "device": device})

    def read(self, lines: Iterator[bytes]) -> None:
        """Handle messages until the viewer ends."""
        try:
            for line in lines:
                self._handle(decode_message(line))
        except BaseException:
            logger.exception("The engine cannot go on")
            os._exit(70)
        self.leave()

    def beat(self) -> NoReturn:
        """Say once a second that this process is alive."""
        parent = os.getppid()
        while True:
            self.send({"type": "heartbeat"})
            time.sleep(HEARTBEAT_SECONDS)
            # A fork of the viewer can keep our input open after the viewer's end.
            if sys.platform != "win32" and os.getppid() != parent:
                self.leave()

    def _handle(self, message: Message) -> None:
        kind = message["type"]
        if kind == "region":
            self._regions.deliver(message)
        elif kind == "run":
            task = RunningTask()
            self._tasks[message["job"]] = task
            threading.Thread(
                target=self._run,
                args=(task, message),
                name=f"task-{message['task']}",
                daemon=True,
            ).start()
        elif (task_ := self._tasks.get(message["job"])) is not None:
            if kind == "stop":
                task_.stop.set()
                self.send({"type": "stopping", "job": message["job"]})
            elif kind == "message":
                self._pass_on(task_, message["message"])

    def _pass_on(self, task: RunningTask, message: Message) -> None:
        with self._lock:
            if task.context is None:
                task.early.append(message)
            else:
                task.context.deliver(message)

    def _run(self, task: RunningTask, message: Message) -> None:
        job = message["job"]
        try:
            result = self._call(task, message)
            ending = {"result": result, "stopped": task.stop.is_set()}
            line = encode_message({"type": "done", "job": job, **ending})
        except TaskStopped:
            line = encode_message({"type": "stopped", "job": job})
        except BaseException as error:  # noqa: BLE001 (logged by `_report`)
            line = encode_message({"type": "failed", "job": job, **_report(error)})
        if task.context is not None:
            # The viewer frees its side now: let go of ours first.
            task.context.inputs.clear()
            task.context.outputs.clear()
        del self._tasks[job]
        self._send_line(line)
        if self._tasks:
            gc.collect()
        else:
            tidy()

    def _call(self, task: RunningTask, message: Message) -> Any:
        while not self._prepared.wait(0.02):
            if task.stop.is_set():
                raise TaskStopped
        if self._trouble is not None:
            raise self._trouble
        function = getattr(self._module, message["task"], None)
        if not inspect.isfunction(function) or message["task"].startswith("_"):
            raise EngineError(f"The engine knows no task called {message['task']!r}.")
        context = self._open(task, message)
        with self._lock:
            for early in task.early:
                context.deliver(early)
            task.context = context
        self.send({"type": "running", "job": message["job"]})
        return function(context)

    def _open(self, task: RunningTask, message: Message) -> TaskContext:
        job = message["job"]
        reader = JobReader(self._regions, job)
        inputs = {k: open_input(s, reader) for k, s in message["inputs"].items()}
        outputs = {
            key: attach(spec["block"]).array(spec["shape"], spec["dtype"])
            for key, spec in message["outputs"].items()
        }

        def emit(event: dict[str, Any]) -> None:
            self.send({"type": "event", "job": job, "event": event})

        return TaskContext(message["params"], inputs, outputs, emit, task.stop)


def _report(error: BaseException) -> Message:
    """What the viewer is told about an exception."""
    if isinstance(error, UserError):
        if error.__cause__ is not None:
            logger.warning("A task failed", exc_info=error)
        return {"error": str(error)}
    logger.error("A task failed", exc_info=error)
    if isinstance(error, MemoryError):
        return {
            "error": "There is not enough memory for this: close other programs, or "
            "use a smaller image or patch size."
        }
    return {"defect": summary(error)}


def _load(module: str) -> Any:
    if not module.endswith(".py"):
        return importlib.import_module(module)
    spec = importlib.util.spec_from_file_location("napari_unet_tasks", module)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {module}")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def _prepare_torch(threads: int) -> str:
    try:
        import torch
    except (ImportError, OSError) as error:
        raise EngineError(
            f"PyTorch could not be loaded ({error}): run `napari-unet doctor` in a "
            "terminal to see how to repair it."
        ) from error
    torch.set_num_threads(threads)
    device = importlib.import_module("napari_unet.device")
    sentence: str = device.describe()
    return sentence


def main(incoming: int, outgoing: int) -> NoReturn:
    """Run until the viewer ends; the descriptors are those of the message pipes."""
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    lines = read_lines(incoming)
    hello = next(lines, None)
    if hello is None:
        os._exit(0)
    writer = MessageWriter(outgoing)
    # Whatever was printed before ends here.
    writer.write_bytes(b"\n")
    worker = Worker(writer, decode_message(hello))
    threading.Thread(target=worker.beat, name="heartbeat", daemon=True).start()
    threading.Thread(
        target=worker.read, args=(lines,), name="reader", daemon=True
    ).start()
    worker.prepare()
    while True:
        threading.Event().wait()
