"""What a project says about itself, and which projects are kept."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from napari_unet.data.classes import make_classes
from napari_unet.errors import DataError
from napari_unet.live.project_info import (
    INFO_NAME,
    KEPT_PROJECTS,
    OPEN_NAME,
    AnnotationInfo,
    LayerInfo,
    ProjectInfo,
    free_folder,
    is_open,
    is_open_elsewhere,
    list_projects,
    load_pixels,
    mark_closed,
    mark_open,
    read_info,
    remove_old,
    save_pixels,
    write_info,
)


def info(**changes: Any) -> ProjectInfo:
    values: dict[str, Any] = {
        "name": "cells",
        "date": "2026-01-02T03:04:05+01:00",
        "task": "classes",
        "config": {"weight_decay": 0.5},
        "classes": make_classes([3, 2], 1),
        "model_name": "cells classes",
        "axes": "YX",
        "ndim": 2,
        "shape": (8, 9),
        "images": [LayerInfo(name="cells", shape=(8, 9), dtype="|u1", path="/a/b.tif")],
        "annotation": AnnotationInfo(
            name="strokes", names={2: "wall"}, colors={2: "#102030"}
        ),
    }
    return ProjectInfo(**{**values, **changes})


def project(parent: Path, name: str, time: float) -> Path:
    folder = parent / name
    write_info(folder, info(name=name))
    os.utime(folder / INFO_NAME, (time, time))
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_info(tmp_path, info())
    assert read_info(tmp_path) == info()
    assert [c.value for c in read_info(tmp_path).classes or ()] == [1, 3, 2]
    assert [f.name for f in tmp_path.iterdir()] == [INFO_NAME]


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{}", '{"format_version": 1}', "\udcff", "[" * 100_000]
)
def test_a_damaged_project_is_told_in_a_sentence(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / INFO_NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match="cannot be read: it is damaged"):
        read_info(tmp_path)


def test_a_newer_project_asks_for_an_update(tmp_path: Path) -> None:
    plain = {**json.loads(info().model_dump_json()), "format_version": 99}
    (tmp_path / INFO_NAME).write_text(json.dumps(plain))
    with pytest.raises(DataError, match="newer version: update"):
        read_info(tmp_path)


def test_pixels_come_back(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.int16).reshape(3, 4) / 2
    save_pixels(tmp_path / "image0.npy", pixels)
    np.testing.assert_array_equal(load_pixels(tmp_path / "image0.npy"), pixels)


def test_damaged_pixels_are_told(tmp_path: Path) -> None:
    (tmp_path / "image0.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(DataError, match="copy of the image"):
        load_pixels(tmp_path / "image0.npy")


def test_the_newest_projects_and_open_ones_are_kept(tmp_path: Path) -> None:
    count = KEPT_PROJECTS + 3
    folders = [project(tmp_path, f"p{i}", 1000.0 + i) for i in range(count)]
    (tmp_path / "no project").mkdir()
    mark_open(folders[0])
    remove_old(tmp_path, keep=[folders[1]])
    left = [*folders[-KEPT_PROJECTS:][::-1], folders[1], folders[0]]
    # Marking one as open is no new save of it.
    assert list_projects(tmp_path) == left
    assert (tmp_path / "no project").exists()
    assert list_projects(tmp_path / "missing") == []


def test_a_project_is_open_while_its_process_lives(tmp_path: Path) -> None:
    assert not is_open(tmp_path)
    mark_open(tmp_path)
    assert is_open(tmp_path)
    assert not is_open_elsewhere(tmp_path)
    mark_closed(tmp_path)
    mark_closed(tmp_path)
    assert not is_open(tmp_path)
    # Another process got the number of one that is gone.
    said = {"pid": os.getppid(), "created": 1.0}
    (tmp_path / OPEN_NAME).write_text(json.dumps(said))
    assert not is_open_elsewhere(tmp_path)
    said["created"] = psutil.Process(os.getppid()).create_time()
    (tmp_path / OPEN_NAME).write_text(json.dumps(said))
    assert is_open_elsewhere(tmp_path)


def test_names_of_projects_are_files_everywhere(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5)
    first = free_folder(tmp_path, "a/b: c?", now)
    assert first == tmp_path / "a_b_ c_ 2026-01-02 03.04.05"
    first.mkdir()
    assert free_folder(tmp_path, "a/b: c?", now).name.endswith("(2)")
    assert free_folder(tmp_path, "...", now).name.startswith("project ")
