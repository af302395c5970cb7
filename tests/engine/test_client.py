"""Jobs and events, with a real engine process."""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.engine.client import Engine


def test_starts_and_becomes_ready(bench: Any) -> None:
    engine: Engine = bench.engine
    assert engine.state == "stopped"
    engine.start()
    pid = engine.pid
    assert engine.state == "starting"
    engine.start()
    assert engine.pid == pid
    bench.until(lambda: engine.state == "ready")
    assert engine.device == "a fake device"
    engine.close()
    engine.close()
    assert engine.state == "stopped"
    assert not bench.alive(pid)


def test_result_and_states(bench: Any) -> None:
    params = {"list": [1, 2.5, None], "text": "µ — 'quotes'\n", "nested": {"a": True}}
    job = bench.run("echo", params)
    assert job.result == {"params": params}
    assert bench.states(job) == ["running", "done"]
    last = bench.events[job.id][-1]
    assert last["result"] == job.result
    assert "stopped" not in last


def test_nothing_is_delivered_outside_poll(bench: Any) -> None:
    bench.run("echo")  # so that the process is there
    job = bench.submit("echo")
    inbox = bench.engine._happened
    bench.wait(lambda: inbox.qsize() >= 2)
    assert job.state == "waiting"
    assert bench.events[job.id] == []
    bench.engine.poll()
    assert job.state == "done"


def test_a_failing_listener_does_not_lose_the_other_events(bench: Any) -> None:
    seen: list[str] = []

    def listener(event: dict[str, Any]) -> None:
        seen.append(event["event"])
        if event["event"] == "Count" and event["i"] == 1:
            raise ValueError("from the listener")

    job = bench.engine.submit("many", {"n": 3, "who": 0}, on_event=listener)
    with pytest.raises(ValueError, match="from the listener"):
        bench.until(lambda: job.ended)
    bench.until(lambda: job.ended)
    assert seen == ["StateChanged", "Count", "Count", "Count", "StateChanged"]


def test_10_000_events_of_two_tasks_none_lost(bench: Any) -> None:
    jobs = [bench.submit("many", {"n": 5000, "who": who}) for who in (1, 2)]
    bench.until(lambda: all(job.ended for job in jobs))
    for who, job in enumerate(jobs, start=1):
        counts = [(e["i"], e["who"]) for e in bench.named(job, "Count")]
        assert counts == [(i, who) for i in range(5000)]


def test_numpy_numbers_become_plain(bench: Any) -> None:
    job = bench.run("numbers")
    (event,) = bench.named(job, "Numbers")
    assert (event["f"], event["i"], event["b"]) == (0.5, 7, True)
    assert type(event["f"]) is float
    assert type(event["i"]) is int
    assert type(event["b"]) is bool
    assert math.isnan(event["nan"])
    assert event["inf"] == math.inf
    np.testing.assert_array_equal(event["array"], [[0, 1, 2], [3, 4, 5]])
    assert event["array"].dtype == np.dtype("=u2")
    assert job.result == {"f": 1.5}


def test_prints_c_writes_and_bytes_that_are_not_utf8_do_no_harm(bench: Any) -> None:
    job = bench.run("noisy")
    assert job.state == "done"
    assert job.result == {"stdin": ""}
    assert bench.named(job, "After noise")
    assert bench.run("echo").state == "done"
    assert bench.engine.log_path is not None
    log = bench.engine.log_path.read_bytes()
    for text in (b"no newline", b"\xff\xfe", b"from C, \xe9", b"from a grandchild"):
        assert text in log


def test_a_short_task_runs_beside_a_long_one(bench: Any) -> None:
    long = bench.busy("sleep")
    assert bench.run("echo").state == "done"
    assert long.state == "running"
    long.stop()
    bench.until(lambda: long.ended)
    assert long.state == "done"


def test_messages_reach_a_running_task_in_order(bench: Any) -> None:
    job = bench.submit("answer")
    for i in range(5):  # before the process is even there
        job.send({"i": i, "at": np.float32(i) / 2})
    bench.until(lambda: len(bench.named(job, "Heard")) == 5)
    job.send({"i": 5, "stroke": np.ones((2, 2), bool), "last": True})
    bench.until(lambda: job.ended)
    heard = bench.named(job, "Heard")
    assert [e["i"] for e in heard] == list(range(6))
    assert heard[3]["at"] == 1.5
    assert heard[5]["stroke"].dtype == bool
    job.send({"i": 6})  # nobody is there any more: no harm


def test_a_user_error_arrives_as_its_sentence(bench: Any) -> None:
    job = bench.run("sentence")
    assert job.state == "failed"
    assert job.error == "The image is upside down: turn it."
    assert bench.events[job.id][-1]["error"] == job.error


@pytest.mark.parametrize(
    ("task", "what"),
    [
        ("defect", "TypeError: two"),
        ("exits", "SystemExit: 3"),
        ("unsendable", "TypeError: a object cannot be sent"),
    ],
)
def test_a_defect_arrives_as_a_sentence_with_the_log(
    bench: Any, task: str, what: str
) -> None:
    job = bench.run(task)
    assert job.state == "failed"
    assert job.error == (
        f"Something went wrong inside the engine ({what}); the details are in "
        f"{bench.engine.log_path}."
    )
    assert "Traceback" in bench.log()
    assert bench.run("echo").state == "done"


def test_out_of_memory_is_said_in_words(bench: Any) -> None:
    assert "not enough memory" in bench.run("no_memory").error


@pytest.mark.parametrize("task", ["nothing_of_this_name", "_private"])
def test_unknown_tasks_are_refused(bench: Any, task: str) -> None:
    job = bench.run(task)
    assert job.state == "failed"
    assert task in job.error


def test_params_that_cannot_be_sent_fail_the_job(bench: Any) -> None:
    job = bench.run("echo", {"object": object()})
    assert job.state == "failed"
    assert "TypeError" in job.error


def test_tasks_that_cannot_be_imported_fail_with_a_sentence(
    bench: Any, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import a_package_that_is_not_there\n")
    bench.make(tasks_module=str(broken))
    job = bench.run("echo")
    assert job.state == "failed"
    assert "ModuleNotFoundError" in job.error


def test_torch_that_cannot_be_loaded_says_how_to_repair_it(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for DLL trouble: the import of torch raises OSError.
    (tmp_path / "torch.py").write_text("raise OSError('a library is missing')\n")
    (tmp_path / "tasks.py").write_text("def echo(context): return {}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    bench.make(tasks_module=str(tmp_path / "tasks.py"))
    job = bench.run("echo")
    assert job.error.startswith("PyTorch could not be loaded (a library is missing)")
    assert "doctor" in job.error


def test_modules_in_the_working_directory_are_not_imported(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("numpy", "tifffile", "napari_unet", "json"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    job = bench.run("where")
    assert job.state == "done"
    assert str(tmp_path) not in job.result["numpy"]
    assert str(tmp_path) not in job.result["tifffile"]


def test_threads_reach_the_process(bench: Any) -> None:
    bench.make(threads=3)
    assert bench.run("where").result["threads"] == "3"


def test_stop_of_a_busy_task_keeps_its_result(bench: Any) -> None:
    job = bench.busy("sleep")
    job.stop()
    bench.until(lambda: job.ended)
    assert bench.named(job, "Stopping")
    assert job.state == "done"
    assert job.result == {"kept": True}
    assert bench.events[job.id][-1]["stopped"] is True
    job.stop()  # no harm
    assert bench.engine.state == "ready"


def test_a_stopped_task_without_a_result(bench: Any) -> None:
    job = bench.busy("obedient")
    job.stop()
    bench.until(lambda: job.ended)
    assert bench.states(job) == ["running", "stopped"]
    assert job.error is None


def test_stop_while_the_process_still_imports(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_IMPORT_SECONDS", "600")
    job = bench.submit("echo")
    job.stop()
    bench.until(lambda: job.ended)
    assert bench.named(job, "Stopping")
    assert job.state == "stopped"
    assert bench.engine.state == "starting"


def test_second_stop_kills_the_process_and_all_its_jobs(bench: Any) -> None:
    deaf, other = bench.busy("deaf"), bench.busy("obedient")
    pid = bench.engine.pid
    deaf.stop()
    bench.until(lambda: bool(bench.named(deaf, "Stopping")))
    assert deaf.state == "running"
    deaf.stop()
    bench.until(lambda: deaf.ended)
    assert (deaf.state, other.state) == ("stopped", "stopped")
    assert bench.engine.state == "stopped"
    bench.wait(lambda: not bench.alive(pid))
    assert bench.run("echo").state == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="sleeps in the C library")
def test_a_frozen_process_is_killed_only_after_a_stop(bench: Any) -> None:
    engine = bench.make(heartbeat_seconds=1.5)
    job = bench.busy("frozen")
    process = engine._own.process
    heard = process.last_heartbeat
    bench.wait(lambda: bench.engine.poll() or _silent(process, 3))
    assert job.state == "running"
    assert process.last_heartbeat - heard < 2
    job.stop()
    bench.until(lambda: job.ended)
    assert job.state == "stopped"
    assert not bench.named(job, "Stopping")
    assert engine.state == "stopped"


def _silent(process: Any, seconds: float) -> bool:
    return time.monotonic() - process.last_heartbeat > seconds


def test_a_slow_task_that_beats_is_not_killed(bench: Any) -> None:
    engine = bench.make(heartbeat_seconds=2.5)
    job = bench.busy("deaf")
    job.stop()
    stopped, process = job.stop_time, engine._own.process
    bench.until(lambda: process.last_heartbeat - stopped > 4)
    assert job.state == "running"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_killed_engine_is_one_sentence_and_the_next_job_works(bench: Any) -> None:
    image = np.arange(12.0).reshape(3, 4)
    jobs = [bench.busy("deaf", inputs={"image": image}), bench.busy("obedient")]
    os.kill(bench.engine.pid, signal.SIGKILL)
    bench.until(lambda: all(job.ended for job in jobs))
    assert [job.state for job in jobs] == ["crashed", "crashed"]
    assert bench.engine.state == "crashed"
    assert bench.engine.device is None
    assert jobs[0].error.startswith(
        "The engine process ended unexpectedly (killed by signal 9"
    )
    assert "your layers are untouched" in jobs[0].error
    assert bench.segments() == []
    job = bench.run("total", inputs={"image": image})
    assert job.result["image"]["sum"] == 66
    assert bench.engine.state == "ready"


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_the_sentence_after_a_crash_names_the_button(bench: Any) -> None:
    job = bench.run("train")
    assert job.error.endswith("press Train to start again.")
    assert "signal 11" in job.error


def test_a_process_that_cannot_start(
    bench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Python's own start-up fails: nothing of ours ever runs.
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    job = bench.run("echo")
    assert job.state == "crashed"
    assert "could not start" in job.error
    assert "doctor" in job.error


def test_a_missing_python(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nothing/python")
    job = bench.run("echo")
    assert job.state == "failed"
    assert "could not be started" in job.error
    monkeypatch.undo()
    assert bench.run("echo").state == "done"


def test_a_log_that_cannot_be_written_does_not_matter(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(blocked))
    bench.make(log_folder=blocked)
    assert bench.run("noisy").state == "done"
    job = bench.run("defect")
    assert bench.engine.log_path is None
    assert job.error == "Something went wrong inside the engine (TypeError: two)."


def test_few_logs_are_kept(bench: Any) -> None:
    bench.folder.mkdir()
    for i in range(30):
        (bench.folder / f"engine-20200101-{i:06d}-0-1.log").write_text("old")
    bench.run("echo")
    left = sorted(bench.folder.iterdir())
    assert len(left) == 10
    assert bench.engine.log_path in left


def test_release_of_a_running_job_stops_it(bench: Any) -> None:
    job = bench.busy("obedient", outputs={"out": ((5,), "uint8")})
    job.release()
    bench.until(lambda: job.ended)
    assert job.state == "stopped"
    assert job.outputs == {}


def test_an_engine_that_is_forgotten_takes_its_process_along(bench: Any) -> None:
    engine = Engine(tasks_module=bench.tasks, log_folder=bench.folder)
    engine.start()
    pid = engine.pid
    del engine
    gc.collect()
    bench.wait(lambda: not bench.alive(pid))


def test_close_with_a_busy_job(bench: Any) -> None:
    job = bench.busy("deaf", outputs={"out": ((5,), "uint8")})
    out = job.outputs["out"]
    pid = bench.engine.pid
    bench.engine.close()
    assert not bench.alive(pid)
    assert job.state == "stopped"
    assert out.sum() == 0  # still mapped for whoever holds it
    job.stop()
    job.release()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_a_job_submitted_before_the_crash_is_noticed_runs(bench: Any) -> None:
    old = bench.busy("deaf")
    process = bench.engine._own.process
    os.kill(process.pid, signal.SIGKILL)
    bench.wait(lambda: not process.alive)
    new = bench.run("echo")  # nobody polled in between
    assert new.state == "done"
    assert old.state == "crashed"
    assert bench.engine.state == "ready"


def test_a_job_submitted_right_after_the_second_stop_runs(bench: Any) -> None:
    old = bench.busy("deaf")
    old.stop()
    old.stop()
    assert bench.run("echo").state == "done"
    assert old.state == "stopped"
