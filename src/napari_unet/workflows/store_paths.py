"""Where results of an image go: a place of their own, or one to go on with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_unet.data.source import ImageSource
from napari_unet.image_io.label_store import store_note
from napari_unet.image_io.labels_group import ImageGroup
from napari_unet.models.model import Model
from napari_unet.segmentation.settings import ObjectSettings, as_settings
from napari_unet.workflows.fingerprints import fingerprint, maps_fingerprint
from napari_unet.workflows.preparation import Options
from napari_unet.workflows.store_plan import Layout


def resumable_path(
    folder: Path,
    name: str,
    model: Model,
    source: ImageSource,
    *,
    views: bool = False,
    resample: bool = False,
    objects: ObjectSettings | Mapping[str, Any] | None = None,
    mask: ImageSource | None = None,
    ending: str = ".ome.zarr",
) -> Path:
    """A store for `name` in a folder: one to go on with, or a place for a new one."""
    options = Options(views, resample, objects=as_settings(objects))
    return _free_path(folder, name, fingerprint(model, source, options, mask), ending)


def maps_path(
    folder: Path,
    name: str,
    model: Model,
    source: ImageSource,
    *,
    views: bool = False,
    resample: bool = False,
) -> Path:
    """The same for maps, which settings of objects and masks do not change."""
    options = Options(views, resample)
    return _free_path(
        folder, name, maps_fingerprint(model, source, options), ".ome.zarr"
    )


def _free_path(folder: Path, name: str, made_from: str, ending: str) -> Path:
    path, number = folder / f"{name}{ending}", 2
    while path.exists():
        note = store_note(path)
        if note is not None and note.get("made_from") == made_from:
            break
        counted = f"{name} ({number})" if ending else f"{name}-{number}"
        path, number = folder / f"{counted}{ending}", number + 1
    return path


def layout_in_group(
    group: ImageGroup,
    name: str,
    model: Model,
    source: ImageSource,
    *,
    maps: Path | None = None,
    **same: Any,
) -> Layout:
    """Labels in the group of their image, where nothing that is there is replaced.

    Parameters
    ----------
    group : ImageGroup
    name : str
        Of the labels; a number follows where another result has this name.
    model, source
    maps : Path, optional
        As in :class:`Layout`.
    **same
        ``views``, ``resample``, ``objects`` and ``mask``, as in
        :func:`resumable_path`.
    """
    plain = re.sub(r"[^\w\-.]+", "_", name)  # what every program reads
    path = resumable_path(group.labels, plain, model, source, ending="", **same)
    return Layout(path, maps, "../../", group.zarr_format)
