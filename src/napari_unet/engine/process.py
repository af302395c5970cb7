"""One engine process as the viewer sees it: pipes, threads and its end."""

from __future__ import annotations

import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from napari_unet.engine.arrays import ArrayServer
from napari_unet.engine.logs import open_log
from napari_unet.engine.protocol import (
    Message,
    MessageWriter,
    decode_message,
    encode_message,
    read_lines,
)
from napari_unet.errors import EngineError

logger = logging.getLogger(__name__)

_END_SECONDS = 2.0
_KEEP_SECONDS = 5.0
_NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows only


class EngineProcess:
    """Starts an engine process and speaks with it, without ever blocking the caller.

    Parameters
    ----------
    hello : dict
        First message to the process: its settings.
    threads : int
        Threads that numerical libraries may use in it.
    log_folder : Path, optional
        Where its log file goes.
    on_message : callable
        Called with the process and each message that is not answered here; on a thread
        of this object, so it should only put the message on a queue.
    on_end : callable
        Called once, on a thread, with the process and its exit code, after the last
        message.

    Raises
    ------
    EngineError
        If the process cannot be started.
    """

    def __init__(
        self,
        hello: Message,
        *,
        threads: int,
        log_folder: Path | None,
        on_message: Callable[[EngineProcess, Message], None],
        on_end: Callable[[EngineProcess, int], None],
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ending = False
        """Whether its end was wanted."""
        self.answered = False
        """Whether it ever said anything."""
        self.last_heartbeat = time.monotonic()
        """When it last said anything, by the monotonic clock, in seconds."""
        self.server = ArrayServer(self.send)
        self._ended = threading.Event()
        log, self.log_path = open_log(log_folder)
        try:
            self._popen = _start(threads, subprocess.DEVNULL if log is None else log)
        except OSError as error:
            raise EngineError(
                f"The engine process could not be started ({error.strerror or error}): "
                "restart napari, and check that its Python still exists."
            ) from error
        finally:
            if log is not None:
                log.close()
        self.send(hello)
        self._reader = self._thread(self._read)
        self._thread(self._write)
        self._thread(self._wait)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs and is meant to go on."""
        return not self.ending and not self._ended.is_set()

    def send(self, message: Message) -> None:
        """Queue a message; it is lost if the process has ended.

        Raises
        ------
        TypeError
            If the message holds what cannot be sent.
        """
        self.send_line(encode_message(message))

    def send_line(self, line: bytes) -> None:
        """Queue a message that is encoded already."""
        self._outbox.put(line)

    def kill(self) -> None:
        """End the process now, whatever it does."""
        self.ending = True
        self._popen.kill()

    def leave(self) -> None:
        """Tell the process that nobody listens, and let it keep its work; then kill."""
        self.ending = True
        self._outbox.put(None)
        if not self._ended.wait(_KEEP_SECONDS):
            self.kill()

    def wait(self) -> None:
        """Wait for the end of a killed process, a little while at most."""
        self._ended.wait(_END_SECONDS)

    def _thread(self, target: Callable[[], None]) -> threading.Thread:
        # Daemons, so that the viewer can exit whatever they wait for.
        name = f"unet-engine-{target.__name__.strip('_')}"
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        return thread

    def _read(self) -> None:
        pipe = self._popen.stdout
        if pipe is None:
            raise RuntimeError("the engine process has no output pipe")
        with pipe:
            for line in read_lines(pipe.fileno()):
                try:
                    message = decode_message(line)
                except ValueError:
                    # Something printed before the process had moved its output.
                    if line.strip():
                        logger.warning("The engine process printed %r", line[:200])
                    continue
                self.answered = True
                self.last_heartbeat = time.monotonic()
                if message["type"] == "read":
                    self.server.request(message)
                elif message["type"] != "heartbeat":
                    self._on_message(self, message)

    def _write(self) -> None:
        pipe = self._popen.stdin
        if pipe is None:
            raise RuntimeError("the engine process has no input pipe")
        with pipe:
            writer = MessageWriter(pipe.fileno())
            while (line := self._outbox.get()) is not None:
                try:
                    writer.write_bytes(line)
                except OSError:
                    return  # the process has ended, which `_wait` reports

    def _wait(self) -> None:
        code = self._popen.wait()
        self._ended.set()
        self.server.close()
        self._outbox.put(None)
        # Its last messages first. A grandchild may hold the pipe open, hence the limit.
        self._reader.join(_END_SECONDS)
        self._on_end(self, code)


def describe_exit(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    if sys.platform != "win32" and code == -signal.SIGKILL:
        return "killed by signal 9, often because memory ran out"
    return f"killed by signal {-code}"


def _start(threads: int, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
    if not sys.executable:
        raise FileNotFoundError("this Python does not know its own program")
    environment = dict(os.environ)
    for name in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM"):
        environment[f"{name}_NUM_THREADS"] = str(threads)
    # Tasks run in threads: only in a common arena large blocks are used again, see
    # prediction/allocator.py.
    environment.setdefault("MALLOC_ARENA_MAX", "1")
    environment["PYTHONUNBUFFERED"] = "1"
    environment["PYTHONIOENCODING"] = "utf-8:backslashreplace"
    return subprocess.Popen(
        # -P: never import what happens to lie in the working directory.
        [sys.executable, "-P", "-m", "napari_unet.engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        bufsize=0,
        env=environment,
        creationflags=_NO_WINDOW,
    )
