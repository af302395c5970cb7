"""Images of a folder, and the labels that belong to them by name."""

from __future__ import annotations

import re
from pathlib import Path

from napari_unet.errors import DataError
from napari_unet.image_io.raw import display_name
from napari_unet.image_io.store import is_zarr

ENDINGS = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".npy")
"""Endings of files that :func:`find_images` takes for images."""

SHOWN = 3
"""How many names a message lists."""


def find_images(folder: str | Path) -> list[Path]:
    """Images of a folder in natural order (``cell2`` before ``cell10``).

    Hidden files and sub-folders are left out; zarr folders count as images.

    Raises
    ------
    DataError
        If there is no such folder or no image in it.
    """
    folder = Path(folder)
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError as error:
        raise DataError(f"There is no folder {folder}: check the path.") from error
    except NotADirectoryError as error:
        raise DataError(f"{folder} is a file: choose the folder it is in.") from error
    except OSError as error:
        raise DataError(
            f"The folder {folder} could not be opened: {error.strerror or error}."
        ) from error
    found = [p for p in entries if not p.name.startswith(".") and _is_image(p)]
    if not found:
        raise DataError(
            f"The folder {folder} holds no images: choose one with files that end in "
            f"{', '.join(ENDINGS)} or .zarr."
        )
    return sorted(found, key=natural_key)


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in ENDINGS:
        return path.is_file()
    return is_zarr(path)


def natural_key(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key by which numbers in names are compared as numbers."""
    parts = re.split(r"(\d+)", display_name(path).lower())
    # Text and numbers alternate, so that like is compared with like.
    key = [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]
    return key, path.name


def pair_folders(
    images: str | Path, labels: str | Path, *, noun: str = "image"
) -> list[tuple[Path, Path]]:
    """Images and labels of equal names, whatever their endings.

    Parameters
    ----------
    images, labels : path
    noun : str
        What to call the files in `images` in messages.

    Raises
    ------
    DataError
        If an image or a labels file has no partner, or two have one name.
    """
    image_files = _by_name(Path(images))
    label_files = _by_name(Path(labels))
    alone = [n for n in image_files if n not in label_files]
    if len(alone) == len(image_files):
        raise DataError(
            f"No file in {labels} is named like one of the {noun}s in {images} "
            f"({_listed(alone)}): give labels the names of their {noun}s."
        )
    if alone:
        raise DataError(
            f"{_there_are(alone, noun)} in {images} without labels of the same name in "
            f"{labels} ({_listed(alone)}): add the labels or move the {noun}s away."
        )
    spare = [n for n in label_files if n not in image_files]
    if spare:
        raise DataError(
            f"{_there_are(spare, 'labels file')} in {labels} without {noun}s of the "
            f"same name in {images} ({_listed(spare)}): add the {noun}s or move the "
            "labels away."
        )
    return [(path, label_files[name]) for name, path in image_files.items()]


def _by_name(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in find_images(folder):
        name = display_name(path)
        if name in files:
            raise DataError(
                f"The folder {folder} holds both {files[name].name} and {path.name}: "
                "give each image a name of its own."
            )
        files[name] = path
    return files


def _there_are(names: list[str], noun: str) -> str:
    count = len(names)
    return f"There is 1 {noun}" if count == 1 else f"There are {count} {noun}s"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return f"{shown}, …" if len(names) > SHOWN else shown
