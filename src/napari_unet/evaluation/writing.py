"""Writing tables and pages."""

from __future__ import annotations

from pathlib import Path

from napari_unet.errors import DataError
from napari_unet.files import atomic_file


def write_text(path: Path, text: str) -> None:
    """Write a table or a page; the file appears when it is complete.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    try:
        with atomic_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        raise DataError(
            f"The scores could not be written to {path}: {error.strerror or error}."
        ) from error
