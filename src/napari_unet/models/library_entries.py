"""What is in the model folder, as tables show it; needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from napari_unet.errors import ModelFileError
from napari_unet.files import atomic_file
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import (
    check_own,
    list_models,
    model_folder,
    model_name,
)
from napari_unet.models.model_file import read_info

NOTE_SUFFIX = ".note.txt"
MAX_NOTE_BYTES = 2**20

SortKey = Literal["date", "name", "score", "size", "task"]
SORT_KEYS: tuple[SortKey, ...] = get_args(SortKey)


@dataclass(frozen=True)
class LibraryEntry:
    """A model file of the library, readable or not.

    Parameters
    ----------
    path : Path
    size : int
        In bytes.
    modified : float
        Seconds since 1970.
    info : ModelInfo, optional
        What it says about itself; ``None`` where that cannot be read.
    problem : str
        Why not, in a sentence.
    note : str
        What the user wrote about it.
    """

    path: Path
    size: int
    modified: float
    info: ModelInfo | None = None
    problem: str = ""
    note: str = ""

    @property
    def name(self) -> str:
        """Name of the model, by its file."""
        return model_name(self.path)

    @property
    def created(self) -> datetime:
        """When it was trained, in local time."""
        if self.info is not None and self.info.created:
            try:
                return datetime.fromisoformat(self.info.created).astimezone()
            except ValueError:
                pass  # by hand: then the file's own date is the best there is
        return datetime.fromtimestamp(self.modified, UTC).astimezone()

    @property
    def score(self) -> float | None:
        """Score on the held-out part."""
        return None if self.info is None else self.info.training.score

    @property
    def words(self) -> str:
        """All that a search looks at."""
        parts = [self.name, self.note]
        if self.info is not None:
            info = self.info
            parts += [info.task, f"{info.ndim}D", *(c.name for c in info.classes)]
            parts += info.training.images
            parts += [info.card.description, *info.card.tags]
        return "\n".join(parts).lower()


def read_entry(path: Path) -> LibraryEntry | None:
    """A model file as an entry; ``None`` if it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return None
    info, problem = None, ""
    try:
        info = read_info(path)
    except ModelFileError as error:
        problem = str(error)
    note = read_note(path) or (info.card.note if info is not None else "")
    return LibraryEntry(path, stat.st_size, stat.st_mtime, info, problem, note)


def entries(
    folder: Path | None = None, known: Iterable[LibraryEntry] = ()
) -> list[LibraryEntry]:
    """Every model of the library, newest first.

    Entries of `known` whose files are as they were are not read again.
    """
    before = {(e.path, e.size, e.modified): e for e in known}
    found = []
    for path in list_models(folder or model_folder()):
        try:
            stat = path.stat()
        except OSError:
            continue  # deleted a moment ago
        entry = before.get((path, stat.st_size, stat.st_mtime))
        if entry is None or read_note(path) != entry.note:
            entry = read_entry(path)
        if entry is not None:
            found.append(entry)
    return sort_entries(found, "date")


def find(some: Iterable[LibraryEntry], text: str) -> list[LibraryEntry]:
    """Entries in which every word of `text` occurs."""
    words = text.lower().split()
    return [e for e in some if all(w in e.words for w in words)]


def sort_entries(some: Sequence[LibraryEntry], by: SortKey) -> list[LibraryEntry]:
    """Entries in order: names from A, dates, scores and sizes from the largest."""
    if by == "name":
        return sorted(some, key=lambda e: e.name.lower())
    if by == "task":
        return sorted(some, key=lambda e: (e.info.task if e.info else "~", e.name))
    if by == "score":
        return sorted(some, key=lambda e: (e.score is None, -(e.score or 0.0)))
    if by == "size":
        return sorted(some, key=lambda e: -e.size)
    return sorted(some, key=lambda e: e.created, reverse=True)


# Notes -------------------------------------------------------------------------------


def note_path(path: Path) -> Path:
    """Where the note about a model lies: a text file beside it."""
    return path.with_name(f"{model_name(path)}{NOTE_SUFFIX}")


def read_note(path: Path) -> str:
    """The note about a model; empty without."""
    try:
        with note_path(path).open("rb") as file:
            return file.read(MAX_NOTE_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def write_note(path: Path, text: str) -> None:
    """Keep a note about a model; an empty one is removed.

    Raises
    ------
    ModelFileError
        If the model came with the program, or the disk refuses.
    """
    check_own(path)
    text = text.strip()
    try:
        if not text:
            note_path(path).unlink(missing_ok=True)
            return
        with atomic_file(note_path(path)) as file:
            file.write(f"{text}\n".encode())
    except OSError as error:
        raise ModelFileError(
            f"The note could not be kept ({error.strerror or error}): make room in "
            f"{path.parent}."
        ) from error


def size_text(size: int) -> str:
    """A number of bytes as people read it."""
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit in ("bytes", "kB") else f"{value:.1f} {unit}"
