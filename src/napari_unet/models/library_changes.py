"""Rename, duplicate, delete, import and export models; nothing is ever overwritten."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_unet.errors import ModelFileError
from napari_unet.files import atomic_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import (
    SUFFIX,
    check_own,
    free_path,
    is_built_in,
    list_models,
    model_folder,
    model_name,
)
from napari_unet.models.library_entries import note_path, read_note, write_note
from napari_unet.models.model_file import (
    OLD_SUFFIX,
    ONNX_NAME,
    is_foreign_file,
    read_info,
)

ENDINGS = (SUFFIX, OLD_SUFFIX)
LONGEST_NAME = 120
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{1,60}")
"""What an identifier of a licence looks like."""
REFUSED = '<>:"/\\|?*'
"""What some file system does not allow in a name."""


def rename_model(path: Path, name: str) -> Path:
    """Give a model of the library another name; its note goes along.

    Raises
    ------
    ModelFileError
        If the name is taken or cannot be one, the model came with the program, or the
        disk refuses.
    """
    check_own(path)
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

    One that came with the program is copied into the user's folder.

    Raises
    ------
    ModelFileError
        If the name is taken or cannot be one, or the disk refuses.
    """
    folder = model_folder() if is_built_in(path) else path.parent
    if name is None:
        target = free_path(f"{model_name(path)} copy", folder)
    else:
        target = folder / f"{checked_name(name)}{SUFFIX}"
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
        If it is gone, came with the program, or there is no trash that takes it;
        nothing is deleted then.
    """
    from send2trash import TrashPermissionError, send2trash

    check_own(path)
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
    target = _export_target(path, target, _ending(path), overwrite=overwrite)
    with _told(path, "copied"):
        _copy(path, target)
    return target


def export_anew(
    path: Path,
    target: Path,
    card: Mapping[str, Any],
    *,
    onnx: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write a model anew into another place, saying more than the original does.

    Parameters
    ----------
    path, target, overwrite
        As in :func:`export_model`.
    card : mapping
        Fields of `ModelCard` that the copy has otherwise than the original.
    onnx : bool
        With ONNX, too; a model that has it keeps it.

    Raises
    ------
    UserError
        As in :func:`export_model`; if the model belongs to another program, the
        licence is no SPDX identifier, or ONNX cannot be written.
    """
    from napari_unet.models.model import Model  # needs torch

    if is_foreign_file(path):
        raise ModelFileError(
            f"The model {model_name(path)!r} belongs to another program: it can only "
            "be copied as it is, without --onnx, --license and --author."
        )
    spdx = card.get("license")
    if spdx is not None and not SPDX.fullmatch(spdx):
        raise ModelFileError(
            f"{spdx!r} is no identifier of a licence: use one of "
            "https://spdx.org/licenses, such as CC-BY-4.0 or MIT."
        )
    target = _export_target(path, target, SUFFIX, overwrite=overwrite)
    model = Model.load(path)
    said = {**model.info.card.model_dump(), **card}
    info = {**model.info.model_dump(), "card": said}
    model.info = ModelInfo.model_validate(info)
    with zipfile.ZipFile(path) as archive:
        onnx = onnx or ONNX_NAME in archive.namelist()
    return model.save(target, onnx=onnx)


def _export_target(path: Path, target: Path, ending: str, *, overwrite: bool) -> Path:
    """The file that is written.

    Raises
    ------
    ModelFileError
        If it is the model itself, or there and not to be replaced.
    """
    if target.is_dir():
        target = target / f"{model_name(path)}{ending}"
    elif not target.name.endswith(".zip"):
        target = target.with_name(f"{target.name}{ending}")
    if target.exists() and target.samefile(path):
        raise ModelFileError(f"{target} is the model itself: choose another place.")
    if not overwrite:
        _check_free(target)
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
