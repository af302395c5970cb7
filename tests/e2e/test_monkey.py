"""A monkey plays with the viewer; nothing breaks, is lost, or is left behind.

``NAPARI_UNET_MONKEY_ACTIONS`` and ``NAPARI_UNET_MONKEY_SEED`` make it play longer, or
otherwise; ``python tests/e2e/monkey.py --actions 3000 --seed 5`` does so by hand.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import monkey_pauses
from .monkey_watch import Annotations, Problems, leftovers, shared_memory

pytestmark = pytest.mark.viewer

MONKEY = Path(__file__).with_name("monkey.py")
ACTIONS = os.environ.get("NAPARI_UNET_MONKEY_ACTIONS", "150")
SEED = os.environ.get("NAPARI_UNET_MONKEY_SEED", "0")
HANG_SECONDS = 1800 + 10 * int(ACTIONS)
"""A guard against hangs; a short play needs about a minute."""
END_SECONDS = 60
"""In which whatever was started ends by itself, on a busy machine."""


# Slow: minutes. Defects that are napari's own are in `monkey_watch.NAPARIS_OWN`.
@pytest.mark.slow
def test_random_actions_break_nothing_and_leave_nothing(tmp_path: Path) -> None:
    marker, before = secrets.token_hex(8), shared_memory()
    folder = tmp_path / "temporary"
    folder.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "NAPARI_CONFIG": str(tmp_path / "napari.yaml"),
        "NAPARI_UNET_MONKEY": marker,
    }
    done = subprocess.run(
        [sys.executable, MONKEY, "--actions", ACTIONS, "--seed", SEED],
        capture_output=True,
        text=True,
        env=environment,
        timeout=HANG_SECONDS,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    assert ": 0 problems" in done.stdout
    end = time.monotonic() + END_SECONDS
    while (left := leftovers(marker, folder, before)) and time.monotonic() < end:
        time.sleep(0.5)  # the engine ends a moment after the viewer
    assert left == []


def test_what_is_lost_would_be_seen() -> None:
    class Layer:
        name = "strokes"
        data = np.array([0, 1, 2])

    problems, layer = Problems(), Layer()
    seen = Annotations(problems)
    seen.keep(layer)
    layer.data = np.array([3, 1, 2])  # more is no loss
    seen.check()
    assert problems.found == []
    layer.data = np.array([3, 0, 2])
    seen.check()
    assert "lost 1 painted pixels" in problems.found[0]


def test_what_is_left_behind_would_be_seen(tmp_path: Path) -> None:
    marker = secrets.token_hex(8)
    code = "import sys; print(1, flush=True); sys.stdin.read()"
    left = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "NAPARI_UNET_MONKEY": marker},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    (tmp_path / "napari-unet-1-2").mkdir()
    assert left.stdout is not None
    left.stdout.readline()
    found = leftovers(marker, tmp_path, shared_memory())
    left.communicate()
    assert [text.partition(":")[0] for text in found] == ["file", "process"]


def test_what_the_viewer_computed_in_a_pause_would_be_seen(
    qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monkey_pauses, "STILL_SECONDS", 0.2)
    monkeypatch.setattr(monkey_pauses, "EVERY_SECONDS", 0.01)

    def computes() -> None:
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            pass

    def waits() -> None:
        time.sleep(0.5)

    pauses = monkey_pauses.Pauses(lambda: "a dance")
    for pastime in (computes, waits):
        pauses.turned()
        pastime()
        pauses.turned()
    pauses.end()
    computing, waiting = pauses.long[:2]
    assert "during a dance" in computing
    assert "test_monkey.py" in computing
    assert " computes" in computing
    assert "(starved)" in waiting
    assert pauses.longest > 0.4
    assert 0.4 < pauses.computed
