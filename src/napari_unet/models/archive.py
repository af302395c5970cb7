"""Reading zip archives from strangers: limits, and no entry that could do harm.

Entries are read into memory, never unpacked to disk. Still, names that point elsewhere,
links and entries that swell are refused at once: no tool that writes models makes them.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import IO

from napari_unet.errors import ModelFileError

MAX_ENTRIES = 1000
MAX_TOTAL_BYTES = 16 * 2**30
"""All entries together, unpacked."""
MAX_RATIO = 200
"""Unpacked over packed size of an entry above `SMALL_BYTES`: weights hardly shrink."""
SMALL_BYTES = 16 * 2**20
LONGEST_NAME = 255

UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    # An entry that claims to be encrypted.
    RuntimeError,
)
"""What :mod:`zipfile` raises for entries that are damaged."""


def damaged(path: Path, why: str) -> ModelFileError:
    """The error for a file that was a model before something happened to it."""
    return ModelFileError(
        f"The model file {path.name} is damaged ({why}): copy or download it again."
    )


def unsafe(path: Path, why: str) -> ModelFileError:
    """The error for a file that nobody makes by accident."""
    return ModelFileError(
        f"The model file {path.name} was not opened, because it may be made to do "
        f"harm ({why}): ask whoever gave it to you for another one."
    )


def not_a_model(path: Path) -> ModelFileError:
    """The error for a file of another kind."""
    return ModelFileError(
        f"{path.name} is not a model of U-Net Live: choose a file that was saved "
        "by Train U-Net or `napari-unet train`."
    )


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a model file for reading, all its entries checked.

    Raises
    ------
    ModelFileError
        If the file is missing, no zip archive, or made to do harm.
    """
    if path.is_dir():
        raise ModelFileError(f"{path} is a folder: choose a model file inside it.")
    if not path.exists():
        raise ModelFileError(f"There is no model file {path}: check the path.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        with path.open("rb") as file:
            zip_like = file.read(2) == b"PK"
        if zip_like:
            raise damaged(path, "it ends too early") from error
        raise not_a_model(path) from error
    except OSError as error:
        raise ModelFileError(
            f"The model file {path} could not be opened: {error.strerror or error}."
        ) from error
    with archive:
        _check_entries(archive, path)
        yield archive


def _check_entries(archive: zipfile.ZipFile, path: Path) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise unsafe(path, f"it has {len(entries):,} entries")
    if sum(e.file_size for e in entries) > MAX_TOTAL_BYTES:
        raise unsafe(path, "it claims to unpack to a huge size")
    names = [e.filename for e in entries]
    if len(set(names)) < len(names):
        raise unsafe(path, "it has two entries of one name")
    for entry in entries:
        if not is_inside(entry.filename):
            raise unsafe(path, "an entry points to a place outside of the file")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise unsafe(path, "an entry is a link")
        _check_ratio(entry, path)


def _check_ratio(entry: zipfile.ZipInfo, path: Path) -> None:
    packed = max(1, entry.compress_size)
    if entry.file_size > SMALL_BYTES and entry.file_size / packed > MAX_RATIO:
        raise unsafe(path, "an entry swells when it is unpacked")


def is_inside(name: str) -> bool:
    """Whether an entry's name stays inside the folder it is unpacked to."""
    parts = PurePosixPath(name).parts
    return (
        0 < len(name) <= LONGEST_NAME
        and not name.startswith("/")
        and ".." not in parts
        and not set(name) & set('\\:\0\n\r<>|"?*')
    )


def is_plain(name: object) -> bool:
    """Whether a file that a description names lies beside it in the archive."""
    return (
        isinstance(name, str) and is_inside(name) and PurePosixPath(name).name == name
    )


def read_entry(
    archive: zipfile.ZipFile,
    path: Path,
    name: str,
    max_bytes: int,
    checksum: object = None,
) -> bytes:
    """An entry whole.

    Parameters
    ----------
    max_bytes : int
        More is refused before it is read.
    checksum : str, optional
        SHA-256 that the entry has to have, in hexadecimal.

    Raises
    ------
    ModelFileError
        If it is missing, too large or damaged.
    """
    try:
        entry = archive.getinfo(name)
    except KeyError as error:
        raise damaged(path, f"{name} is missing") from error
    if entry.file_size > max_bytes:
        raise damaged(path, f"{name} claims {entry.file_size:,} bytes")
    try:
        with archive.open(entry) as file:
            # One byte more than allowed: a header that lies about the size is caught.
            data = file.read(max_bytes + 1)
    except UNREADABLE as error:
        raise damaged(path, f"{name} cannot be read") from error
    if len(data) != entry.file_size:
        raise damaged(path, f"{name} has the wrong size")
    if checksum is not None and sha256(data).hexdigest() != checksum:
        raise damaged(path, f"{name} is not what was saved")
    return data


def check_inner_archive(file: IO[bytes], path: Path, max_bytes: int) -> None:
    """Weights are archives, too: check what they unpack to before torch reads them.

    Raises
    ------
    ModelFileError
        If it is none, or swells.
    """
    try:
        with zipfile.ZipFile(file) as inner:
            entries = inner.infolist()
    except (*UNREADABLE, ValueError) as error:
        raise damaged(path, "its weights cannot be read") from error
    # A network of many layers has many entries, all of them small.
    if sum(e.file_size for e in entries) > max_bytes:
        raise unsafe(path, "its weights claim to unpack to a huge size")
    for entry in entries:
        _check_ratio(entry, path)
