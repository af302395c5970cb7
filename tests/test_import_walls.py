"""The walls between the rooms: who may import whom."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import napari_unet

PACKAGE = Path(napari_unet.__file__).parent
VIEWER_SIDE = {"napari", "qtpy", "magicgui", "superqt", "PyQt5", "PyQt6", "PySide6"}
# Modules that run in the viewer's process, where torch must never be loaded.
WITHOUT_TORCH = [
    "napari_unet",
    "napari_unet.config",
    "napari_unet.cli",
    "napari_unet.cli",
    "napari_unet.data.annotation",
    "napari_unet.data.checks",
    "napari_unet.data.checks",
    "napari_unet.data.classes",
    "napari_unet.data.source",
    "napari_unet.evaluation.report",
    "napari_unet.image_io",
    "napari_unet.metrics",
    "napari_unet.doctor",
    "napari_unet.engine.client",
    "napari_unet.live.annotation_store",
    "napari_unet.live.messages",
    "napari_unet.measure",
    "napari_unet.live.project_info",
    "napari_unet.models.info",
    "napari_unet.models.library",
    "napari_unet.models.model_file",
    "napari_unet.networks.catalogue",
    "napari_unet.networks.design",
    "napari_unet.sample_data",
    "napari_unet.segmentation.superpixels",
    "napari_unet.tracking",
    "napari_unet.training.events",
]


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `code`."""
    report = "import json, sys; print(json.dumps([m for m in sys.modules]))"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return {name.partition(".")[0] for name in json.loads(run.stdout)}


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every import in a file, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def core_files() -> list[Path]:
    files = PACKAGE.rglob("*.py")
    return sorted(f for f in files if "widgets" not in f.relative_to(PACKAGE).parts)


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = loaded_after("import napari_unet; napari_unet.__version__")
    assert not loaded & {"torch", "numpy", "scipy", "skimage", *VIEWER_SIDE}


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_viewer_side_modules_do_not_load_torch(module: str) -> None:
    loaded = loaded_after(f"import {module}")
    assert not loaded & {"torch", *VIEWER_SIDE}


@pytest.mark.parametrize(
    "path", core_files(), ids=lambda p: p.relative_to(PACKAGE).as_posix()
)
def test_core_imports_no_viewer_and_no_widgets(path: Path) -> None:
    strangers = [
        f"line {line}: {name}"
        for line, name in imports_of(path)
        if name.partition(".")[0] in VIEWER_SIDE
        or name.startswith("napari_unet.widgets")
    ]
    # The command line sits beside the widgets and may open the demo.
    if path == PACKAGE / "demo.py" or "cli" in path.relative_to(PACKAGE).as_posix():
        strangers = [s for s in strangers if "napari_unet.widgets" not in s]
    assert not strangers


def test_modules_import_each_other_by_full_name() -> None:
    relative = [
        f"{path.name}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not relative
