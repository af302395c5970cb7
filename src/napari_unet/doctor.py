"""What is installed, what it can do here, and what to do where something is wrong.

Every check stands alone: one that fails becomes a finding, and the others go on. A
broken torch is the very thing that somebody runs this for.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from napari_unet import nvidia
from napari_unet.models.library import (
    FOLDER_VARIABLE,
    PROJECTS_VARIABLE,
    model_folder,
    project_folder,
)
from napari_unet.stopping import Stopped

Status = Literal["ok", "warn", "bad"]

NAME = "napari-unet-live"
NAMESAKE = "napari-unet"
"""Another plugin on the package index; its import package has our name."""

VIEWER = f'install "{NAME}[all]"'

OLDEST_PYTHON = (3, 11)
OLDEST_NAPARI = (0, 6, 6)
QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5", "PySide2")
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the report; `advice` says what to do, and is empty where all is well.

    ``bad`` means that U-Net Live cannot work, ``warn`` that it works less well.
    """

    name: str
    value: str
    status: Status = "ok"
    advice: str = ""


def report(
    benchmark_seconds: float = 0, *, stop: Callable[[], bool] = lambda: False
) -> list[Finding]:
    """Look at everything; takes a few seconds, most of them for loading torch.

    Parameters
    ----------
    benchmark_seconds : float
        How long to measure the speed of training and prediction; not at all with 0.
    stop : callable
        Asked while it measures whether to end.

    Raises
    ------
    Stopped
        If `stop` said so.
    """
    checks: list[Callable[[], Finding | None]] = [
        _program,
        _namesake,
        _python,
        lambda: _required("torch"),
        lambda: _required("numpy"),
        _napari,
        _qt,
        _device,
        _operations,
        _nvidia,
        _card_memory,
        _memory,
        _shared_memory,
        _temporary,
        _models,
        _projects,
        _install_line,
    ]
    if benchmark_seconds > 0:
        checks.append(lambda: _speed(benchmark_seconds, stop))
    return [finding for check in checks if (finding := _attempt(check)) is not None]


def format_report(findings: list[Finding]) -> str:
    """The findings as lines of text for a terminal or a bug report."""
    width = max((len(f.name) for f in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<4}  {finding.name:<{width}}  {finding.value}")
        if finding.advice:
            lines.append(f"{'':<4}  {'':<{width}}  {finding.advice}")
    bad = sum(f.status == "bad" for f in findings)
    warned = sum(f.status == "warn" for f in findings)
    if bad:
        verdict = f"{bad} to mend before U-Net Live can work."
    elif warned:
        verdict = f"U-Net Live works here; {warned} to improve."
    else:
        verdict = "All is well."
    return "\n".join([*lines, "", verdict])


def _attempt(check: Callable[[], Finding | None]) -> Finding | None:
    try:
        return check()
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001 - whatever is broken belongs in the report
        name = getattr(check, "__name__", "").strip("_").replace("_", " ") or "check"
        return Finding(
            name.capitalize(),
            f"could not be looked at ({type(error).__name__}: {error})",
            "warn",
            "Please send this report with a bug report.",
        )


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (0, 9, 2) of ``0.9.2rc1``."""
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+")[0])[:3])


def _pip(arguments: str) -> str:
    """A command that installs into this very environment, whatever is on the path."""
    python = f'"{sys.executable}"' if " " in sys.executable else sys.executable
    return f"{python} -m pip {arguments}"


# -- what is installed ----------------------------------------------------------------


def _program() -> Finding:
    version = _version(NAME)
    if version is None:
        return Finding(
            NAME, "not installed, run from its source", "warn", _pip("install -e .")
        )
    return Finding(NAME, version)


def _namesake() -> Finding | None:
    version = _version(NAMESAKE)
    if version is None:
        return None
    return Finding(
        NAMESAKE,
        f"{version} is installed too, and overwrites files of {NAME}",
        "bad",
        f"Run: {_pip(f'uninstall {NAMESAKE}')}, and then: "
        f"{_pip(f'install --force-reinstall --no-deps {NAME}')}",
    )


def _python() -> Finding:
    value = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", value, "bad", "Use Python 3.11 or newer.")
    return Finding("Python", value)


def _required(distribution: str) -> Finding:
    version = _version(distribution)
    if version is not None and distribution == "torch":
        version += nvidia.torch_build()
    if version is None:
        return Finding(
            distribution,
            "not installed",
            "bad",
            f"Run: {_pip(f'install {distribution}')}",
        )
    return Finding(distribution, version)


def _napari() -> Finding:
    version = _version("napari")
    if version is None:
        return Finding(
            "napari",
            "not installed: the command line and Python work, the viewer does not",
            "warn",
            f"For the viewer, run: {_pip(VIEWER)}",
        )
    if _numbers(version) < OLDEST_NAPARI:
        oldest = ".".join(str(n) for n in OLDEST_NAPARI)
        return Finding(
            "napari",
            f"{version} is older than {oldest}",
            "bad",
            f"Run: {_pip('install --upgrade napari')}",
        )
    return Finding("napari", version)


def _qt() -> Finding | None:
    if _version("napari") is None:
        return None
    found = [f"{b} {v}" for b in QT_BINDINGS if (v := _version(b)) is not None]
    if not found:
        return Finding(
            "Qt",
            "none installed: napari cannot open a window",
            "bad",
            f"Run: {_pip(VIEWER)}",
        )
    return Finding("Qt", ", ".join(found))


# -- what it can do here --------------------------------------------------------------


def _device() -> Finding:
    try:
        from napari_unet.device import describe

        return Finding("Device", describe())
    except Exception as error:  # noqa: BLE001 - torch fails in many ways, all of interest
        return Finding(
            "Device",
            f"torch does not work ({type(error).__name__}: {error})",
            "bad",
            f"Run: {_pip('install --force-reinstall torch')}",
        )


def _operations() -> Finding | None:
    """What the graphics card cannot compute, so that the CPU has to."""
    try:
        from napari_unet.device import OPERATIONS, lacking, pick_device

        device = pick_device()
        missing = {n: lacking(device, n, OPERATIONS) for n in (2, 3)}
    except Exception:  # noqa: BLE001 - told by the finding on the device
        return None
    words = [f"{n}D {' and '.join(what)}" for n, what in missing.items() if what]
    if not words:
        return None
    return Finding(
        "Missing on the card",
        f"{'; '.join(words)}: networks that need them run on the CPU",
        "warn",
        f"Update the system, and run: {_pip('install --upgrade torch')}",
    )


def _nvidia() -> Finding | None:
    """The NVIDIA card, and whether torch can use it."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    run = subprocess.run([command], capture_output=True, text=True, timeout=30)
    query = [command, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    cards = subprocess.run(query, capture_output=True, text=True, timeout=30)
    if run.returncode or cards.returncode:
        return Finding(
            "NVIDIA card",
            "the driver does not answer",
            "warn",
            "Install or update the NVIDIA driver, and restart the computer.",
        )
    value = "; ".join(cards.stdout.split("\n")).strip("; ")
    if nvidia.torch_sees_cuda():
        return Finding("NVIDIA card", value)
    built, driver = nvidia.torch_cuda(), nvidia.driver_cuda(run.stdout)
    if built is not None and driver is not None and built > driver:
        why = (
            "not used, the driver is too old: it can run CUDA "
            f"{nvidia.dotted(driver)}, and this torch needs {nvidia.dotted(built)}"
        )
        before = "Update the NVIDIA driver; or run"
    else:
        why, before = "not used, this torch is made for other devices", "Run"
    torch = (
        f"install --force-reinstall torch --index-url {nvidia.torch_index(run.stdout)}"
    )
    return Finding("NVIDIA card", f"{value}: {why}", "warn", f"{before}: {_pip(torch)}")


def _card_memory() -> Finding | None:
    """Free memory of the device, where it is not that of the computer."""
    try:
        import torch

        from napari_unet.device import free_memory, pick_device

        device = pick_device()
    except Exception:  # noqa: BLE001 - told by the finding on the device
        return None
    if device.type == "cpu":
        return None
    free = free_memory(device)
    value = f"{free / GIB:.1f} GB free"
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        value = f"{free / GIB:.1f} of {total / GIB:.1f} GB free"
    if free < GIB:
        return Finding(
            "Memory of the card",
            value,
            "warn",
            "Close other programs that use the graphics card.",
        )
    return Finding("Memory of the card", value)


def _install_line() -> Finding:
    """The one command that sets up everything on a computer like this."""
    line = _pip(f'install "{NAME}[all]"')
    command = shutil.which("nvidia-smi")
    if command is not None:
        run = subprocess.run([command], capture_output=True, text=True, timeout=30)
        line += f" --extra-index-url {nvidia.torch_index(run.stdout)}"
    elif sys.platform == "linux":  # torch of PyPI brings gigabytes of CUDA
        line += " --extra-index-url https://download.pytorch.org/whl/cpu"
    return Finding("Install line", line)


def _speed(seconds: float, stop: Callable[[], bool]) -> Finding:
    """What training and prediction reach here; torch loads first."""
    from napari_unet.speed import measure_speed

    return Finding("Speed", measure_speed(seconds, stop=stop).text)


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    value = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GB free"
    if memory.available < 2 * GIB:
        return Finding(
            "Memory", value, "warn", "Close other programs before you train."
        )
    return Finding("Memory", value)


def _shared_memory() -> Finding | None:
    """Images reach the engine through it; containers often have 64 MB."""
    folder = Path("/dev/shm")  # noqa: S108 - looked at, nothing is written
    if sys.platform != "linux" or not folder.is_dir():
        return None
    usage = shutil.disk_usage(folder)
    value = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GB free"
    if usage.free < GIB / 2:
        return Finding(
            "Shared memory",
            value,
            "warn",
            "Larger images take the way over the disk; a container gets more "
            "with --shm-size=4g.",
        )
    return Finding("Shared memory", value)


def _models() -> Finding:
    return _folder("Models", model_folder(), FOLDER_VARIABLE)


def _projects() -> Finding:
    return _folder("Projects", project_folder(), PROJECTS_VARIABLE)


def _temporary() -> Finding:
    """Images that are too large for shared memory reach the engine through it."""
    return _folder("Temporary files", Path(tempfile.gettempdir()), "TMPDIR")


def _folder(name: str, folder: Path, variable: str) -> Finding:
    """Whether a folder, which need not be there yet, can be written to."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    try:
        if not os.access(existing, os.W_OK):
            raise PermissionError("not writable")
        # Asking is not enough: full disks and network drives refuse only on writing.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        return Finding(
            name,
            f"{folder} cannot be written ({error.strerror or error})",
            "bad",
            f"Set the environment variable {variable} to another folder.",
        )
    free = shutil.disk_usage(existing).free
    value = f"{folder}, {free / GIB:.0f} GB free"
    if free < GIB:
        return Finding(name, value, "warn", "Free some disk space.")
    return Finding(name, value)
