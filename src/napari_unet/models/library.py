"""The folder where a user's models live, and names that never clash."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

from napari_unet.errors import ModelFileError
from napari_unet.models.library_settings import chosen_folder
from napari_unet.models.model_file import OLD_SUFFIX, SUFFIX

__all__ = [
    "BUILT_IN",
    "SUFFIX",
    "check_own",
    "free_path",
    "is_built_in",
    "list_models",
    "model_folder",
    "model_name",
    "project_folder",
    "short",
    "usual_model_folder",
]

FOLDER_VARIABLE = "NAPARI_UNET_MODELS"
"""Environment variable that moves the model folder."""

BUILT_IN = Path(__file__).with_name("starters")
"""Models that come with the program."""

MOST_BYTES = 120
"""Of a name: file systems take 255 with all that is added, Windows 260 of a path."""

PROJECTS_VARIABLE = "NAPARI_UNET_PROJECTS"
"""Environment variable that moves the folder of projects."""


def model_folder() -> Path:
    """The folder of the user's models; it may not exist yet."""
    moved = os.environ.get(FOLDER_VARIABLE)
    if moved:
        return Path(moved).expanduser()
    return chosen_folder() or usual_model_folder()


def usual_model_folder() -> Path:
    """Where models are kept if nobody chooses."""
    return user_data_path("napari-unet-live", appauthor=False) / "models"


def project_folder() -> Path:
    """The folder where runs that learn from strokes are kept; it may not exist yet."""
    moved = os.environ.get(PROJECTS_VARIABLE)
    if moved:
        return Path(moved).expanduser()
    if os.environ.get(FOLDER_VARIABLE):
        return model_folder() / "projects"
    return usual_model_folder().with_name("projects")


def list_models(folder: Path | None = None) -> list[Path]:
    """Model files of the library, newest first; those of the program come last."""
    found = _model_files(folder or model_folder())
    return found if folder else found + _model_files(BUILT_IN)


def _model_files(folder: Path) -> list[Path]:
    found = [
        p
        for suffix in (SUFFIX, OLD_SUFFIX)
        for p in folder.glob(f"*{suffix}")
        if not p.name.startswith(".")
    ]
    return sorted(found, key=lambda p: (-p.stat().st_mtime, p.name))


def is_built_in(path: Path) -> bool:
    """Whether a model came with the program: it can be used, and never changed."""
    return path.parent == BUILT_IN


def check_own(path: Path) -> None:
    """Refuse to change a model that came with the program.

    Raises
    ------
    ModelFileError
        With what to do instead.
    """
    if is_built_in(path):
        raise ModelFileError(
            f"The model {model_name(path)!r} comes with the program and stays as it "
            "is: duplicate it, and change the copy."
        )


def model_name(path: Path) -> str:
    """Name of a model by its file."""
    return path.name.removesuffix(SUFFIX).removesuffix(OLD_SUFFIX)


def short(name: str) -> str:
    """The beginning of a name that every file system takes, with what is added to it.

    Images that were made from images that were made from images have long names.
    """
    return name.encode()[:MOST_BYTES].decode(errors="ignore").strip(" .")


def free_path(name: str, folder: Path | None = None) -> Path:
    """A path in the library for `name` that no file has yet.

    Characters that some file system refuses are replaced, names that it would refuse
    for their length are cut, and a number is added where the name is taken.
    """
    folder = folder or model_folder()
    clean = short(re.sub(r"[^\w\-. ()]+", "_", name).strip(" .")) or "model"
    path, number = folder / f"{clean}{SUFFIX}", 2
    while path.exists():
        path, number = folder / f"{clean} ({number}){SUFFIX}", number + 1
    return path
