"""Rename, duplicate, delete, import and export models; nothing is ever overwritten."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_unet.errors import ModelFileError
from napari_unet.files import atomic_file
from napari_unet.models.library import (
    SUFFIX,
    free_path,
    list_models,
    model_folder,
    model_name,
)
from napari_unet.models.library_entries import note_path, read_note, write_note
from napari_unet.models.model_file import OLD_SUFFIX, read_info

ENDINGS = (SUFFIX, OLD_SUFFIX)
LONGEST_NAME = 120
REFUSED = '<>:"/\\|?*'
"""What some file system does not allow in a name."""


def rename_model(path: Path, name: str) -> Path:
    """Give a model of the library another name; its note goes along.

    Raises
    ------
    ModelFileError
        If the name is taken or cannot be one, or the disk refuses.
    """
    target = path.with_name(f"{checked_name(name)}{_ending(path)}")
    if target == path:
        return path
    _check_free(target, path)
    with _told(path, "renamed"):
        note = note_path(path)
        path.rename(target)
        if note.exists():
            note.rename(note_path(target))
    return target


def duplicate_model(path: Path, name: str | None = None) -> Path:
    """Copy a model beside itself, under a name that is free; returns the copy.

    Raises
    ------
    ModelFileError
        If the name is taken or cannot be one, or the disk refuses.
    """
    if name is None:
        target = free_path(f"{model_name(path)} copy", path.parent)
    else:
        target = path.with_name(f"{checked_name(name)}{SUFFIX}")
        _check_free(target)
    target = target.with_name(f"{model_name(target)}{_ending(path)}")
    with _told(path, "copied"):
        _copy(path, target)
    write_note(target, read_note(path))
    return target


def delete_model(path: Path) -> None:
    """Move a model and its note to the system's trash.

    Raises
    ------
    ModelFileError
        If it is gone, or there is no trash that takes it; nothing is deleted then.
    """
    from send2trash import TrashPermissionError, send2trash

    if not path.exists():
        raise ModelFileError(f"The model {model_name(path)!r} is gone already.")
    try:
        send2trash(str(path))
        note = note_path(path)
        if note.exists():
            send2trash(str(note))
    except (OSError, TrashPermissionError) as error:
        raise ModelFileError(
            f"{path.name} could not be moved to the trash ({error}): delete the file "
            f"{path} yourself if you are sure."
        ) from error


def import_model(source: Path, folder: Path | None = None) -> tuple[Path, bool]:
    """Copy a model file into the library; returns its place there and if it is new.

    A model that is there already, byte for byte, is not copied again.

    Raises
    ------
    ModelFileError
        If it is no model that can be used here, or the disk refuses.
    """
    read_info(source)
    folder = folder or model_folder()
    if source.resolve().parent == folder.resolve():
        return source, False
    twin = _same_model(source, folder)
    if twin is not None:
        return twin, False
    target = free_path(_plain_name(source), folder)
    target = target.with_name(f"{model_name(target)}{_ending(source)}")
    if target.exists():
        target = free_path(f"{model_name(target)} imported", folder)
    with _told(source, "copied"):
        _copy(source, target)
    return target, True


def export_model(path: Path, target: Path, *, overwrite: bool = False) -> Path:
    """Copy a model out of the library; `target` is a file, or a folder for it.

    Raises
    ------
    ModelFileError
        If there is a file of that name and it is not to be replaced, or the disk
        refuses.
    """
    if target.is_dir():
        target = target / path.name
    elif not target.name.endswith(".zip"):
        target = target.with_name(f"{target.name}{_ending(path)}")
    if target.exists() and target.samefile(path):
        raise ModelFileError(f"{target} is the model itself: choose another place.")
    if not overwrite:
        _check_free(target)
    with _told(path, "copied"):
        _copy(path, target)
    return target


def checked_name(name: str) -> str:
    """`name` as the name of a model.

    Raises
    ------
    ModelFileError
        If a file cannot have it.
    """
    clean = name.strip()
    for ending in ENDINGS:
        clean = clean.removesuffix(ending)
    if not clean or clean.startswith(".") or clean.endswith((".", " ")):
        raise ModelFileError(
            f"A model cannot be called {name!r}: begin and end with a letter or number."
        )
    wrong = next((c for c in clean if c in REFUSED or ord(c) < 32), None)
    if wrong is not None:
        raise ModelFileError(
            f"A model cannot be called {name!r}: leave {wrong!r} out of the name."
        )
    if len(clean) > LONGEST_NAME:
        raise ModelFileError(
            f"The name is {len(clean)} characters long: use {LONGEST_NAME} at most."
        )
    return clean


def _ending(path: Path) -> str:
    return next((e for e in ENDINGS if path.name.endswith(e)), SUFFIX)


def _plain_name(path: Path) -> str:
    """Name of a model that lies anywhere, whatever its ending."""
    name = model_name(path)
    return name.removesuffix(".zip") if name == path.name else name


def _check_free(target: Path, path: Path | None = None) -> None:
    """No file may be there; another ending of the same name is the same name."""
    name = model_name(target)
    for ending in ENDINGS:
        other = target.with_name(f"{name}{ending}")
        # Where case does not count, "Cells" is the file "cells" itself.
        if other.exists() and not (path is not None and other.samefile(path)):
            raise ModelFileError(
                f"There is already a model {name!r} in {target.parent}: choose "
                "another name."
            )


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, atomic_file(target) as file:
        shutil.copyfileobj(original, file, 2**20)
    stat = source.stat()
    os.utime(target, (stat.st_atime, stat.st_mtime))


def _same_model(source: Path, folder: Path) -> Path | None:
    size = source.stat().st_size
    alike = [p for p in list_models(folder) if p.stat().st_size == size]
    if not alike:
        return None
    ours = _digest(source)
    return next((p for p in alike if _digest(p) == ours), None)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _told(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ModelFileError(f"The model file {path} is gone.") from error
    except OSError as error:
        raise ModelFileError(
            f"{path.name} could not be {done}: {error.strerror or error}. "
            "Choose another place or free some disk space."
        ) from error
