"""The group ``labels`` inside an OME-Zarr image, which lists what lies in it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet.errors import DataError

FILES = ("zarr.json", ".zattrs")
"""Where the attributes of a group lie, format 3 and format 2."""


@dataclass(frozen=True)
class ImageGroup:
    """An OME-Zarr image on disk."""

    path: Path
    zarr_format: int
    levels: int = 1
    """Resolutions; OME-NGFF wants as many of its labels."""

    @property
    def labels(self) -> Path:
        """Folder of its labels, which need not be there yet."""
        return self.path / "labels"

    @property
    def writable(self) -> bool:
        """Whether labels can be put beside the image."""
        folder = self.labels if self.labels.is_dir() else self.path
        return os.access(folder, os.W_OK)


def image_group(path: Path) -> ImageGroup | None:
    """The OME-Zarr image at `path`; None where there is another thing.

    Of a folder that holds several images, as bioformats2raw writes it, the first.
    """
    for zarr_format, name in zip((3, 2), FILES, strict=True):
        attributes = read_attributes(path / name)
        if "multiscales" in attributes:
            return ImageGroup(path, zarr_format, _count_levels(attributes))
        if "bioformats2raw.layout" in attributes and (path / "0").is_dir():
            return image_group(path / "0")
    return None


def _count_levels(attributes: dict[str, Any]) -> int:
    try:
        return max(1, len(attributes["multiscales"][0]["datasets"]))
    except (KeyError, IndexError, TypeError):
        return 1


def read_attributes(file: Path) -> dict[str, Any]:
    """What a group says in one of `FILES`; nothing where that cannot be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if isinstance(found, dict) and isinstance(found.get("attributes"), dict):
        found = found["attributes"]  # format 3
    if isinstance(found, dict) and isinstance(found.get("ome"), dict):
        found = {**found, **found["ome"]}
    return found if isinstance(found, dict) else {}


def open_group(path: Path, mode: Any = "r") -> Any:
    """A zarr group.

    Raises
    ------
    DataError
        If there is none.
    """
    import zarr

    try:
        return zarr.open_group(str(path), mode=mode)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} cannot be opened: choose another place, or remove it."
        ) from error


def list_labels(path: Path, zarr_format: int) -> None:
    """Put the name of a store into the list of the group that it lies in."""
    import zarr

    found = _listed(path.parent)
    if found is None:
        group = zarr.create_group(str(path.parent), zarr_format=zarr_format)
        found = group, []
    group, names = found
    if path.name not in names:
        _write_list(group, [*names, path.name])


def unlist_labels(path: Path) -> None:
    """Take the name of a store from that list, if it is there."""
    found = _listed(path.parent)
    if found is not None and path.name in found[1]:
        _write_list(found[0], [n for n in found[1] if n != path.name])


def _listed(folder: Path) -> tuple[Any, list[str]] | None:
    """A group ``labels``, and the names in it."""
    if not any((folder / name).is_file() for name in ("zarr.json", ".zgroup")):
        return None
    group = open_group(folder, "r+")
    attributes = dict(group.attrs)
    return group, list(attributes.get("ome", attributes).get("labels", []))


def _write_list(group: Any, names: list[str]) -> None:
    if "ome" in group.attrs or group.metadata.zarr_format == 3:
        ome = {"version": "0.5", **dict(group.attrs.get("ome", {}))}
        group.attrs["ome"] = {**ome, "labels": names}
    else:
        group.attrs["labels"] = names
