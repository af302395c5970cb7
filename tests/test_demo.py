"""Where the demo runs, and what it says where it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from napari_unet import cli, demo


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "has_display", lambda: False)


def test_without_napari_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(demo.DemoError, match=r"napari-unet-live\[all\]"):
        demo.run(tmp_path)


@pytest.mark.parametrize(
    ("show", "sentence"), [(True, "leave out --show"), (None, "apt-get install xvfb")]
)
@pytest.mark.usefixtures("no_display")
def test_without_a_display_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    show: bool | None,
    sentence: str,
) -> None:
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    assert cli.main(["demo", *(["--show"] if show else [])]) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert len(told.splitlines()) == 1


@pytest.mark.usefixtures("no_display")
def test_without_a_display_it_runs_in_a_virtual_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ran: list[Any] = []
    code = 0

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        ran.append((command, options))
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(demo.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(demo.subprocess, "run", run)
    demo.run(tmp_path, minutes=2.5)
    (command, options) = ran[0]
    start = command.index(sys.executable)
    assert command[0] == "/bin/xvfb-run"
    assert options["env"]["QT_QPA_PLATFORM"] == "xcb"
    assert command[start + 1 : start + 3] == ["-m", "napari_unet.demo"]

    # What it starts must understand what it is told.
    passed: dict[str, Any] = {}
    monkeypatch.setattr(demo, "run", lambda output, **o: passed.update(o, to=output))
    assert demo.main(command[start + 3 :]) == 0
    assert passed == {"to": tmp_path, "show": False, "minutes": 2.5}


@pytest.mark.usefixtures("no_display")
def test_a_demo_that_fails_in_the_virtual_display_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(
        demo.subprocess, "run", lambda c, **o: subprocess.CompletedProcess(c, 3)
    )
    assert demo.main(["--output", str(tmp_path)]) == 1
    assert "did not come to its end" in capsys.readouterr().err
