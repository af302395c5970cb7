"""What several commands share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TypeVar

from napari_unet.errors import DataError, UserError

T = TypeVar("T")


class UsageError(UserError):
    """Options that are missing or contradict each other."""

    exit_code = 2


def say(line: str = "") -> None:
    """A line of results, on stdout."""
    sys.stdout.write(f"{line}\n")


def note(line: str) -> None:
    """A line about what is going on, on stderr."""
    sys.stderr.write(f"{line}\n")


def given(**options: T | None) -> dict[str, T]:
    """The options that were given; the others keep their defaults."""
    return {name: value for name, value in options.items() if value is not None}


def check_free(option: str, path: Path, options: argparse.Namespace) -> None:
    """Refuse to replace what is at `path` without leave.

    Raises
    ------
    DataError
        If something is there, and ``--overwrite`` was not given.
    """
    if path.exists() and not options.overwrite:
        raise DataError(
            f"{path} is already there: choose another {option}, or add --overwrite."
        )


def find_model(text: str) -> Path:
    """A model file by its path, or by its name in the library.

    What is not found is returned as a path, for the reader to complain about.
    """
    from napari_unet.models.library import BUILT_IN, model_folder
    from napari_unet.models.model_file import OLD_SUFFIX, SUFFIX

    path = Path(text).expanduser()
    endings = ("", SUFFIX, OLD_SUFFIX)
    candidates = [path.with_name(path.name + e) for e in endings]
    if path.name == text:
        folders = (model_folder(), BUILT_IN)
        candidates += [f / f"{text}{e}" for f in folders for e in endings]
    return next((c for c in candidates if c.is_file()), path)


def listed(names: list[str], most: int = 3) -> str:
    """A few names for a message."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def count(number: int, noun: str) -> str:
    """Such as "1 step" or "1,200 steps"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def table(rows: list[list[str]]) -> str:
    """Text columns: the first to the left, numbers to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
