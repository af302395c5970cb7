"""What a project of a live run says about itself; readable without torch.

The viewer writes ``project.json`` and copies of images that lie in no file, the engine
writes ``annotation.zarr`` and ``run.checkpoint``. Each file is replaced only once the
new one is complete, so that a project can be read at any moment.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_unet.config import Task
from napari_unet.data.classes import ClassInfo
from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.live.annotation_store import ANNOTATION_NAME

FORMAT_VERSION = 1
INFO_NAME = "project.json"
RUN_NAME = "run.checkpoint"
OPEN_NAME = "open.json"
"""Says which process has the project open."""

KEPT_PROJECTS = 5
MAX_INFO_BYTES = 16 * 2**20


class _Part(BaseModel):
    # Old versions of pydantic keep names that begin with "model_" for themselves.
    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=())


class LayerInfo(_Part):
    """An image layer of the viewer."""

    name: str
    shape: tuple[int, ...]
    """Of the pixels in full resolution, with a last axis for RGB."""
    dtype: str
    path: str | None = None
    """File that the viewer read it from."""
    reader: str | None = None
    """The reader plugin that did."""
    copy_name: str | None = None
    """File of the project that holds its pixels."""
    rgb: bool = False
    placement: dict[str, Any] = {}
    """Scale, translation and so on, as lists."""
    look: dict[str, Any] = {}
    """Colormap, contrast limits and so on."""


class AnnotationInfo(_Part):
    """The annotation layer."""

    name: str
    placement: dict[str, Any] = {}
    names: dict[int, str] = {}
    """Names that were given to values."""
    colors: dict[int, Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]] = {}
    """Colours that were given to values."""
    own_colors: bool = True
    """Whether all other colours are those of an annotation made by the widget."""


Finite = Annotated[float, Field(allow_inf_nan=False)]


class ViewInfo(_Part):
    """What the viewer looked at."""

    point: tuple[Finite, ...]
    """Along every axis, in world coordinates."""
    order: tuple[int, ...]
    ndisplay: Literal[2, 3]
    center: tuple[Finite, Finite, Finite]
    zoom: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    angles: tuple[Finite, Finite, Finite]


class ProjectInfo(_Part):
    """Everything that the viewer has to know to go on with a run."""

    format_version: int = FORMAT_VERSION
    name: str
    """What the project is called: the image, mostly."""
    date: str
    """When the run began, ISO 8601."""
    task: Task
    config: dict[str, Any]
    """Settings that differ from the defaults."""
    classes: list[ClassInfo] | None = None
    model_name: str
    axes: str
    ndim: int
    shape: tuple[int, ...]
    """Of the annotation."""
    images: list[LayerInfo]
    annotation: AnnotationInfo
    limit: tuple[tuple[int, int], ...] | None = None
    """Only what lies in this box of the annotation counts."""
    view: ViewInfo | None = None


def write_info(folder: Path, info: ProjectInfo) -> None:
    """Write what the viewer knows about a run.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    with atomic_file(folder / INFO_NAME) as file:
        file.write(info.model_dump_json(indent=1).encode())


def read_info(folder: Path) -> ProjectInfo:
    """What a project says about itself.

    Raises
    ------
    DataError
        If it is missing, damaged, foreign, or from a newer program.
    """
    plain = _read_plain(folder)
    version = plain.get("format_version")
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise DataError(
            f"The project {folder.name!r} was made by a newer version: update "
            "napari-unet-live to go on with it."
        )
    try:
        return ProjectInfo(**plain)
    except (TypeError, ValidationError) as error:
        raise _unreadable(folder) from error


def _read_plain(folder: Path) -> dict[str, Any]:
    path = folder / INFO_NAME
    try:
        with path.open("rb") as file:
            plain = json.loads(file.read(MAX_INFO_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(folder) from error
    if not isinstance(plain, dict):
        raise _unreadable(folder)
    return plain


def _unreadable(folder: Path) -> DataError:
    return DataError(
        f"The project {folder.name!r} cannot be read: it is damaged or of another "
        "kind. Start a new run with Train."
    )


def save_pixels(path: Path, pixels: NDArray[Any]) -> None:
    """Keep a copy of an image that lies in no file."""
    with atomic_file(path) as file:
        np.save(file, pixels, allow_pickle=False)


def load_pixels(path: Path) -> NDArray[Any]:
    """An image that :func:`save_pixels` kept.

    Raises
    ------
    DataError
        If it is missing or damaged.
    """
    try:
        pixels: NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"The copy of the image in {path.parent} cannot be read: open the image "
            "itself and press Continue where I was again."
        ) from error
    return pixels


# The folder of projects --------------------------------------------------------------


def list_projects(parent: Path) -> list[Path]:
    """Folders of projects, the one that was written to last first."""
    found = []
    for folder in parent.iterdir() if parent.is_dir() else ():
        time = last_saved(folder)
        if time is not None and (folder / INFO_NAME).is_file():
            found.append((time, folder))
    return [folder for _, folder in sorted(found, key=lambda f: (-f[0], f[1].name))]


def last_saved(folder: Path) -> float | None:
    """When something was last kept in a project, in seconds since 1970."""
    times = []
    for name in (INFO_NAME, ANNOTATION_NAME, RUN_NAME):
        try:
            times.append((folder / name).stat().st_mtime)
        except OSError:
            continue  # not written yet
    return max(times, default=None)


def free_folder(parent: Path, name: str, now: datetime) -> Path:
    """A folder for a new project, not made yet."""
    clean = "".join(c if c.isalnum() or c in " -_." else "_" for c in name)[:60]
    stem = f"{clean.strip(' .') or 'project'} {now:%Y-%m-%d %H.%M.%S}"
    folder, number = parent / stem, 2
    while folder.exists():
        folder, number = parent / f"{stem} ({number})", number + 1
    return folder


def mark_open(folder: Path) -> None:
    """Say that this process goes on with the project."""
    process = psutil.Process()
    said = {"pid": process.pid, "created": process.create_time()}
    with atomic_file(folder / OPEN_NAME) as file:
        file.write(json.dumps(said).encode())


def mark_closed(folder: Path) -> None:
    """Say that the run is over."""
    (folder / OPEN_NAME).unlink(missing_ok=True)


def is_open(folder: Path) -> bool:
    """Whether a living process goes on with the project."""
    try:
        said = json.loads((folder / OPEN_NAME).read_bytes())
        created = psutil.Process(int(said["pid"])).create_time()
        return abs(created - float(said["created"])) < 1.0
    except (OSError, ValueError, TypeError, KeyError, psutil.Error):
        return False


def is_open_elsewhere(folder: Path) -> bool:
    """Whether another process than this one goes on with the project."""
    try:
        pid = json.loads((folder / OPEN_NAME).read_bytes())["pid"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return pid != os.getpid() and is_open(folder)


def remove_old(parent: Path, keep: Sequence[Path] = ()) -> None:
    """Remove all projects but the newest ones, those in `keep`, and open ones.

    Raises
    ------
    OSError
        If one cannot be removed.
    """
    for folder in list_projects(parent)[KEPT_PROJECTS:]:
        if folder not in keep and not is_open(folder):
            shutil.rmtree(folder)
