"""A real engine process with fake tasks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from napari_unet.engine import shared
from napari_unet.engine.client import Engine, Job

TASKS = Path(__file__).with_name("fake_tasks.py")


class Bench:
    """What tests do with engines. The timeout is against hangs: nothing is timed."""

    tasks = str(TASKS)
    timeout = 60.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: dict[int, list[dict[str, Any]]] = {}
        self._engines: list[Engine] = []
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = self.make()
        return self._engine

    def make(self, **options: Any) -> Engine:
        options = {"tasks_module": self.tasks, "log_folder": self.folder} | options
        self._engine = Engine(**options)
        self._engines.append(self._engine)
        return self._engine

    def submit(self, task: str, params: Any = None, **options: Any) -> Job:
        events: list[dict[str, Any]] = []
        job = self.engine.submit(task, params or {}, on_event=events.append, **options)
        self.events[job.id] = events
        return job

    def run(self, task: str, params: Any = None, **options: Any) -> Job:
        job = self.submit(task, params, **options)
        self.until(lambda: job.ended)
        return job

    def busy(self, task: str, **options: Any) -> Job:
        """A job that has begun and does not end by itself."""
        job = self.submit(task, **options)
        self.until(lambda: bool(self.named(job, "Busy")))
        return job

    def until(self, condition: Callable[[], bool]) -> None:
        """Poll until something happens."""
        end = time.monotonic() + self.timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("what the test waits for did not happen")
            self.engine.poll()
            time.sleep(0.002)

    def named(self, job: Job, event: str) -> list[dict[str, Any]]:
        return [e for e in self.events[job.id] if e["event"] == event]

    def states(self, job: Job) -> list[str]:
        return [e["state"] for e in self.named(job, "StateChanged")]

    def log(self) -> str:
        assert self.engine.log_path is not None
        return self.engine.log_path.read_text("utf-8")

    @staticmethod
    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + Bench.timeout
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("what the test waits for did not happen")
            time.sleep(0.02)

    @staticmethod
    def alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    @staticmethod
    def segments(pid: int | None = None) -> list[str]:
        """Names of the shared-memory segments of a process, where they are files."""
        beginning = f"{shared.PREFIX}{pid or os.getpid()}_"
        return [p.name for p in Path("/dev/shm").glob(f"{beginning}*")]

    def close(self) -> None:
        for engine in self._engines:
            engine.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "logs")
    yield bench
    bench.close()
