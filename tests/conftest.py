"""Fixtures for every test: nothing of the machine's owner is read or changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_unet.engine import logs
from napari_unet.models import library, library_settings


def _has_display() -> bool:
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _has_accelerator() -> bool:
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    viewer = [item for item in items if item.get_closest_marker("viewer")]
    if viewer and not _has_display():
        if os.environ.get("CI"):
            raise pytest.UsageError(
                "The tests of the viewer need a display: run them under xvfb-run."
            )
        for item in viewer:
            item.add_marker(pytest.mark.skip(reason="no display"))
    gpu = [item for item in items if item.get_closest_marker("gpu")]
    if gpu and not _has_accelerator():
        for item in gpu:
            item.add_marker(pytest.mark.skip(reason="no accelerator"))


@pytest.fixture(autouse=True)
def model_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty model folder; engine processes inherit it."""
    folder = tmp_path / "models"
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(folder))
    # What comes with the program would stand in every list.
    monkeypatch.setattr(library, "BUILT_IN", tmp_path / "built_in")
    settings = tmp_path / "settings.json"
    monkeypatch.setenv(library_settings.SETTINGS_VARIABLE, str(settings))
    return folder


@pytest.fixture(autouse=True, scope="session")
def log_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where engine processes write; some of them serve many tests."""
    folder = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(logs.FOLDER_VARIABLE, str(folder))
        yield folder
