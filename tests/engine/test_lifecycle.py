"""How the engine ends with the viewer: small viewers in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

VIEWER = """
import os, sys, time
import numpy as np
from pathlib import Path
from napari_unet.engine import shared
from napari_unet.engine.client import Engine

engine = Engine(tasks_module={tasks!r}, log_folder=Path({logs!r}))

def until(condition):
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        engine.poll()
        time.sleep(0.005)

def busy(task, **options):
    events = []
    job = engine.submit(task, {{}}, on_event=events.append, **options)
    until(lambda: any(e["event"] == "Busy" for e in events))
    return job

engine.start()
until(lambda: engine.state == "ready")
pid = engine.pid
{body}
"""


@pytest.fixture
def viewer(bench: Any) -> Any:
    started: list[subprocess.Popen[str]] = []

    def start(body: str) -> subprocess.Popen[str]:
        script = VIEWER.format(
            tasks=bench.tasks, logs=str(bench.folder), body=textwrap.dedent(body)
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=60)
    assert err == ""
    assert process.returncode == 0
    return out.strip()


def test_exit_with_an_idle_engine(bench: Any, viewer: Any) -> None:
    pid = int(finish(viewer("print(pid)")))
    bench.wait(lambda: not bench.alive(pid))


def test_exit_with_a_busy_engine_and_held_arrays(bench: Any, viewer: Any) -> None:
    process = viewer("""
        job = busy("deaf", inputs={"image": np.ones((9, 9))},
                   outputs={"out": ((9, 9), "f4")})
        out = job.outputs["out"]
        print(pid)
    """)
    pid = int(finish(process))
    bench.wait(lambda: not bench.alive(pid))
    assert bench.segments(process.pid) == []


def test_exit_while_the_engine_starts_and_while_arrays_are_read(
    bench: Any, viewer: Any
) -> None:
    process = viewer("""
        import threading
        class Slow:
            shape, dtype = (4, 4), np.dtype("f4")
            def __getitem__(self, key):
                reading.set()
                time.sleep(600)
        reading = threading.Event()
        engine.submit("total", {}, inputs={"image": Slow()}, on_event=print)
        assert reading.wait(60)
        other = Engine(tasks_module=engine._tasks_module)
        other.start()
        print(pid, other.pid)
    """)
    for pid in map(int, finish(process).split()):
        bench.wait(lambda pid=pid: not bench.alive(pid))


def test_exit_by_an_exception(bench: Any, viewer: Any) -> None:
    process = viewer("busy('deaf'); print(pid, flush=True); raise SystemExit(3)")
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    bench.wait(lambda: not bench.alive(int(out)))


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_fork_of_the_viewer_leaves_the_engine_alone(bench: Any, viewer: Any) -> None:
    process = viewer("""
        import warnings
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks with threads
        job = busy("obedient", outputs={"out": ((9, 9), "f4")})
        (block,) = job.arrays._output_blocks
        child = os.fork()
        if child == 0:
            job.arrays.free()
            sys.exit()
        os.waitpid(child, 0)
        shared.attach(block.spec)
        answers = []
        engine.submit("echo", {}, on_event=answers.append)
        until(lambda: len(answers) == 2)
        print(answers[-1]["state"], engine.pid == pid, job.state)
    """)
    assert finish(process) == "done True running"


@pytest.mark.parametrize("memory", ["segment", "file"])
@pytest.mark.parametrize("task", ["", "deaf"])
def test_viewer_killed(
    bench: Any, viewer: Any, task: str, memory: str, tmp_path: Path
) -> None:
    process = viewer(f"""
        import tempfile
        tempfile.tempdir = {str(tmp_path)!r}
        if {memory!r} == "file":
            shared.free_shared_memory = lambda: 0
        if {task!r}:
            job = busy({task!r}, inputs={{"image": np.ones((9, 9))}},
                       outputs={{"out": ((9, 9), "f4")}})
        print(pid, engine._own.folder, flush=True)
        time.sleep(600)
    """)
    pid, folder = process.stdout.readline().split()
    assert bench.alive(int(pid))
    if task and memory == "file":
        assert len(list(Path(folder).iterdir())) == 2
    process.kill()
    process.wait()
    bench.wait(lambda: not bench.alive(int(pid)))
    assert not Path(folder).exists()
    bench.wait(lambda: bench.segments(process.pid) == [])


@pytest.mark.parametrize("end", ["killed", "terminated", "closed", "exit"])
def test_a_task_keeps_its_work_when_the_viewer_ends(
    bench: Any, viewer: Any, end: str, tmp_path: Path
) -> None:
    process = viewer(f"""
        from napari_unet.engine import client
        client._KEEPING = frozenset({{"keeper"}})
        events = []
        job = engine.submit(
            "keeper", {{"folder": {str(tmp_path)!r}}},
            outputs={{"out": ((9, 9), "f4")}}, on_event=events.append,
        )
        until(lambda: any(e["event"] == "Busy" for e in events))
        job.outputs["out"][...] = 1
        print(pid, flush=True)
        if {end!r} == "closed":
            engine.close()
        if {end!r} in ("killed", "terminated"):
            time.sleep(600)
    """)
    pid = int(process.stdout.readline())
    if end == "killed":
        process.kill()
    elif end == "terminated":
        process.terminate()
    process.wait()
    bench.wait(lambda: not bench.alive(pid))
    assert (tmp_path / "first").read_text() == "81"
    assert (tmp_path / "last").read_text() == "kept"
    bench.wait(lambda: bench.segments(process.pid) == [])


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_viewer_killed_while_a_fork_holds_the_pipes(bench: Any, viewer: Any) -> None:
    process = viewer("""
        child = os.fork()
        if child == 0:
            time.sleep(600)
        print(pid, child, flush=True)
        time.sleep(600)
    """)
    pid, fork = map(int, process.stdout.readline().split())
    process.kill()
    process.wait()
    try:
        bench.wait(lambda: not bench.alive(pid))
    finally:
        os.kill(fork, 9)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups")
def test_ctrl_c_in_the_terminal_does_not_end_the_engine(
    bench: Any, viewer: Any
) -> None:
    process = viewer("""
        import signal
        os.setpgid(0, 0)
        engine.close()
        engine.start()
        until(lambda: engine.state == "ready")
        signal.signal(signal.SIGINT, lambda *_: None)
        os.killpg(0, signal.SIGINT)
        answers = []
        engine.submit("echo", {}, on_event=answers.append)
        until(lambda: len(answers) == 2)
        print(answers[-1]["state"], engine.state)
    """)
    assert finish(process) == "done ready"


def test_nothing_is_left_after_50_runs(bench: Any) -> None:
    image = np.ones((40, 50), np.float32)
    engine = bench.engine
    before = set(psutil.Process().children(recursive=True))
    for i in range(50):
        if i == 25:  # both ways of sharing
            engine.close()
            bench.make()
        job = bench.run(
            "double", inputs={"image": image}, outputs={"out": ((40, 50), "f4")}
        )
        assert job.outputs["out"].sum() == 4000
        job.release()
    assert bench.segments() == []
    engine = bench.engine
    with psutil.Process(engine.pid).oneshot():
        descriptors = _descriptors(engine.pid)
    for _ in range(5):
        bench.run(
            "double", inputs={"image": image}, outputs={"out": ((40, 50), "f4")}
        ).release()
    assert _descriptors(engine.pid) <= descriptors
    folder = engine._own.folder
    engine.close()
    assert not folder.exists()
    left = set(psutil.Process().children(recursive=True)) - before
    # Python's own resource tracker serves the whole process and ends with it.
    names = [" ".join(p.cmdline()) for p in left if bench.alive(p.pid)]
    assert [n for n in names if "resource_tracker" not in n] == []


def _descriptors(pid: int) -> int:
    process = psutil.Process(pid)
    return process.num_handles() if sys.platform == "win32" else process.num_fds()


def test_importing_the_client_loads_neither_torch_nor_qt() -> None:
    code = (
        "import sys, napari_unet.engine.client; "
        "print([m for m in ('torch', 'napari', 'qtpy', 'zarr', 'dask', 'skimage', "
        "'tifffile') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_the_real_engine_with_torch(bench: Any, viewer: Any) -> None:
    process = viewer("""
        real = Engine(log_folder=Path(engine._log_folder))
        real.start()
        events = []
        job = real.submit("train", {}, on_event=events.append)
        job.stop()  # torch is being imported
        engine.close()
        engine = real
        until(lambda: job.ended)
        print(job.state, [e["event"] for e in events])
        until(lambda: real.state == "ready")
        print(real.device)
        job = real.submit("train", {"config": {}}, on_event=events.append)
        until(lambda: job.ended)
        print(job.state)
        print([m for m in ("torch", "napari", "skimage") if m in sys.modules])
    """)
    stopped, device, failed, modules = finish(process).splitlines()
    assert stopped == "stopped ['Stopping', 'StateChanged']"
    assert ", " in device
    assert failed == "failed"
    assert modules == "[]"
