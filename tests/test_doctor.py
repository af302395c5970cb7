"""The report must survive whatever is broken, and its advice must fit."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from napari_unet import doctor, nvidia, speed
from napari_unet.doctor import Finding
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.stopping import Stopped

GOOD = {
    "napari-unet-live": "0.1.0",
    "torch": "2.13.0+cpu",
    "numpy": "2.4.6",
    "napari": "0.9.2",
    "PyQt6": "6.11.0",
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What importlib.metadata finds; change it in the test."""
    versions = dict(GOOD)

    def version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(shutil, "which", lambda _command: None)
    return versions


def find(name: str) -> Finding:
    (found,) = [f for f in doctor.report() if f.name == name]
    return found


def test_healthy_machine_has_nothing_bad(installed: dict[str, str]) -> None:
    findings = doctor.report()
    assert not [f for f in findings if f.status == "bad"]
    assert find("Device").value
    text = doctor.format_report(findings)
    assert all(f.name in text and f.value in text for f in findings)


def test_namesake_is_found_and_the_repair_is_in_the_right_order(
    installed: dict[str, str],
) -> None:
    assert "napari-unet" not in [f.name for f in doctor.report()]
    installed["napari-unet"] = "0.0.3"
    finding = find("napari-unet")
    assert finding.status == "bad"
    assert "0.0.3" in finding.value
    remove, restore = finding.advice.split("and then:")
    assert f"{sys.executable} -m pip uninstall napari-unet" in remove
    assert "install --force-reinstall --no-deps napari-unet-live" in restore
    assert "to mend" in doctor.format_report(doctor.report())


@pytest.mark.parametrize("missing", ["torch", "numpy"])
def test_missing_requirement_is_bad(installed: dict[str, str], missing: str) -> None:
    del installed[missing]
    assert find(missing).status == "bad"
    assert f"pip install {missing}" in find(missing).advice


def test_without_napari_the_command_line_still_works(
    installed: dict[str, str],
) -> None:
    del installed["napari"], installed["PyQt6"]
    assert find("napari").status == "warn"
    assert 'install "napari-unet-live[all]"' in find("napari").advice
    assert "Qt" not in [f.name for f in doctor.report()]


@pytest.mark.parametrize(
    ("version", "status"),
    [("0.6.5", "bad"), ("0.6.6", "ok"), ("0.10.0rc1", "ok"), ("1.0", "ok")],
)
def test_age_of_napari(installed: dict[str, str], version: str, status: str) -> None:
    installed["napari"] = version
    assert find("napari").status == status


def test_napari_without_qt_is_bad(installed: dict[str, str]) -> None:
    del installed["PyQt6"]
    assert find("Qt").status == "bad"


def test_broken_torch_becomes_a_finding(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "napari_unet.device", raising=False)
    finding = find("Device")
    assert finding.status == "bad"
    assert "torch does not work" in finding.value


def test_a_check_that_raises_does_not_end_the_report(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def _memory() -> Finding:
        raise RuntimeError("no /proc here")

    monkeypatch.setattr(doctor, "_memory", _memory)
    findings = doctor.report()
    assert find("Memory").status == "warn"
    assert "no /proc here" in find("Memory").value
    assert findings[-1].name == "Install line"


def smi(monkeypatch: pytest.MonkeyPatch, header: str, *, code: int = 0) -> None:
    """Pretend that nvidia-smi is there and prints `header`."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        query = any("--query-gpu" in part for part in command)
        text = "NVIDIA T4, 15360 MiB\n" if query else header
        return subprocess.CompletedProcess(command, code, text, "")

    monkeypatch.setattr(shutil, "which", lambda _command: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize(
    ("header", "index"),
    [
        ("| Driver Version: 550.54   CUDA Version: 12.4 |", "cu126"),
        ("| Driver Version: 580.1    CUDA Version: 13.0 |", "cu130"),
        ("| KMD Version: 600.1   CUDA UMD Version: 13.3 |", "cu130"),
        ("unreadable", "cu130"),
    ],
)
def test_card_that_torch_cannot_use_gets_its_install_line(
    installed: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    header: str,
    index: str,
) -> None:
    smi(monkeypatch, header)
    monkeypatch.setattr(nvidia, "torch_sees_cuda", lambda: False)
    finding = find("NVIDIA card")
    assert finding.status == "warn"
    assert "NVIDIA T4" in finding.value
    assert finding.advice.endswith(
        f"torch --index-url https://download.pytorch.org/whl/{index}"
    )


def test_a_driver_that_is_too_old_for_torch_is_named(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smi(monkeypatch, "| Driver Version: 550.54   CUDA Version: 12.4 |")
    monkeypatch.setattr(nvidia, "torch_sees_cuda", lambda: False)
    monkeypatch.setattr(nvidia, "torch_cuda", lambda: (13, 0))
    finding = find("NVIDIA card")
    assert "can run CUDA 12.4, and this torch needs 13.0" in finding.value
    assert "Update the NVIDIA driver" in finding.advice
    assert finding.advice.endswith("/cu126")
    assert find("Install line").value.endswith("/cu126")


def test_card_in_use_needs_no_advice(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smi(monkeypatch, "CUDA Version: 13.0")
    monkeypatch.setattr(nvidia, "torch_sees_cuda", lambda: True)
    assert find("NVIDIA card") == Finding("NVIDIA card", "NVIDIA T4, 15360 MiB")


def test_driver_that_does_not_answer(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smi(monkeypatch, "", code=9)
    assert "driver" in find("NVIDIA card").advice


def test_model_folder_that_cannot_be_made(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setenv(FOLDER_VARIABLE, str(file / "models"))
    finding = find("Models")
    assert finding.status == "bad"
    assert FOLDER_VARIABLE in finding.advice


def test_looking_for_the_model_folder_does_not_make_it(
    installed: dict[str, str], model_folder: Path
) -> None:
    assert find("Models").status == "ok"
    assert not model_folder.exists()


def test_little_space_is_said(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")(2**26, 0, 2**26)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage)
    assert find("Models").status == "warn"
    if sys.platform == "linux":
        assert "--shm-size" in find("Shared memory").advice


def test_the_speed_is_measured_where_it_is_asked_for(
    installed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(seconds: float, *, stop: Callable[[], bool]) -> speed.Speed:
        if stop():
            raise Stopped
        return speed.Speed(seconds, 2.5)

    monkeypatch.setattr(speed, "measure_speed", measure)
    assert "Speed" not in [f.name for f in doctor.report()]
    found = doctor.report(7)[-1]
    assert found.name == "Speed"
    assert "7 training steps" in found.value
    assert "2.5 megapixels" in found.value
    with pytest.raises(Stopped):
        doctor.report(7, stop=lambda: True)


def test_speed_counts_both_kinds_of_work_and_can_be_stopped() -> None:
    found = speed.measure_speed(0.01, size=32)
    assert found.steps_per_second > 0
    assert found.megapixels_per_second > 0
    with pytest.raises(Stopped):
        speed.measure_speed(60, size=32, stop=lambda: True)
