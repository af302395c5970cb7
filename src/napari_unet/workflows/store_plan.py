"""How the store of a result is made, or taken up where an earlier run ended."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.data.normalization import IntensityRange, measure_range
from napari_unet.errors import DataError
from napari_unet.image_io.label_store import (
    LabelStore,
    create_label_store,
    remove_label_store,
    store_note,
)
from napari_unet.image_io.labels_group import image_group
from napari_unet.workflows import grids
from napari_unet.workflows.fingerprints import fingerprint, maps_fingerprint
from napari_unet.workflows.preparation import Options, Prepared, map_names
from napari_unet.workflows.store_sink import parts_folder


@dataclass(frozen=True)
class Layout:
    """Where and how a store is written.

    Parameters
    ----------
    path : Path
        Folder of the result, such as ``labels.ome.zarr``.
    maps : Path, optional
        Folder for the network's maps, which are written, too.
    image : str, optional
        Path of the image seen from the result, where that lies in the image's group
        ``labels``.
    zarr_format : {2, 3}
        2 writes OME-Zarr 0.4, 3 writes 0.5.
    """

    path: Path
    maps: Path | None = None
    image: str | None = None
    zarr_format: int = 3


@dataclass(frozen=True)
class StorePlan:
    """How a store is made: plain values, the same in every process that works on it."""

    layout: Layout
    options: Options
    block: tuple[int, ...]
    margin: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    clip: bool = True

    @property
    def path(self) -> Path:
        return self.layout.path

    @property
    def intensity(self) -> IntensityRange:
        return IntensityRange(
            np.array(self.low, np.float32), np.array(self.high, np.float32), self.clip
        )


def plan_store(
    prepared: Prepared, layout: Layout, options: Options, *, overwrite: bool
) -> StorePlan:
    """Make the stores, or take up what an earlier run left.

    Raises
    ------
    DataError
        As in :func:`predict_to_store`.
    """
    made_from = fingerprint(prepared.model, prepared.image, options, prepared.mask)
    places = {layout.path: made_from}
    if layout.maps is not None:
        places[layout.maps] = maps_fingerprint(prepared.model, prepared.image, options)
    ours = {
        place: _take_up(place, known, overwrite=overwrite)
        for place, known in places.items()
    }
    note = next((n for n in ours.values() if n is not None), None)
    if note is None:
        note = _new_note(prepared)
    for place, found in ours.items():
        if found is None:
            fresh = {**note, "complete": False, "made_from": places[place]}
            _create(prepared, layout, options, fresh, maps=place == layout.maps)
    plan = StorePlan(
        layout,
        options,
        tuple(note["block"]),
        tuple(note["margin"]),
        tuple(note["low"]),
        tuple(note["high"]),
        prepared.model.info.normalization.clip,
    )
    if prepared.model.info.task == "objects" and not result_complete(layout):
        parts = parts_folder(layout.path) / "labels"
        if store_note(parts) != {"made_from": made_from}:
            shutil.rmtree(parts_folder(layout.path), ignore_errors=True)
            _create_at(prepared, parts, "int32", {"made_from": made_from})
    return plan


def _take_up(path: Path, made_from: str, *, overwrite: bool) -> dict[str, Any] | None:
    """What an earlier run left; None where a store has to be made."""
    if not path.exists():
        return None
    note = store_note(path)
    if note is not None and note.get("made_from") == made_from:
        return note
    if note is None or not overwrite:
        raise DataError(
            f"{path} holds something else: choose another place"
            + ("." if note is None else ", or allow it to be replaced.")
        )
    remove_label_store(path)
    shutil.rmtree(parts_folder(path), ignore_errors=True)
    return None


def result_complete(layout: Layout) -> bool:
    """Whether there is nothing left to do."""
    done = bool((store_note(layout.path) or {}).get("complete"))
    return done and (layout.maps is None or maps_complete(layout))


def maps_complete(layout: Layout) -> bool:
    """Whether an earlier run has written all maps."""
    return layout.maps is not None and bool(
        (store_note(layout.maps) or {}).get("complete")
    )


def _new_note(prepared: Prepared) -> dict[str, Any]:
    info, source = prepared.model.info, prepared.source
    intensity = measure_range(source, info.normalization)
    objects = info.task == "objects"
    return {
        "block": grids.store_block(prepared),
        "margin": grids.object_margin(prepared) if objects else [0] * source.ndim,
        "low": intensity.low.tolist(),
        "high": intensity.high.tolist(),
    }


def _create(
    prepared: Prepared,
    layout: Layout,
    options: Options,
    note: dict[str, Any],
    *,
    maps: bool,
) -> None:
    """Make the store of the result, or that of the maps."""
    info = prepared.model.info
    if maps and layout.maps is not None:
        names = map_names(info, options)
        _create_at(prepared, layout.maps, "float16", note, channel_names=names)
        return
    group = (
        image_group((layout.path / layout.image).resolve()) if layout.image else None
    )
    values = [c.result_value for c in info.classes]
    if info.task == "regression":
        dtype = "float32"
    elif info.task == "classes" and max(values) < 256 and min(values) >= 0:
        dtype = "uint8"
    else:
        dtype = "int32"
    _create_at(
        prepared,
        layout.path,
        dtype,
        note,
        classes=info.classes if info.task == "classes" else (),
        image=layout.image,
        zarr_format=layout.zarr_format,
        levels=None if group is None else group.levels,
    )


def _create_at(
    prepared: Prepared, path: Path, dtype: str, note: dict[str, Any], **more: Any
) -> LabelStore:
    image = prepared.image
    axes, shape = image.labels_axes, image.labels_shape
    if names := more.get("channel_names"):
        # OME-Zarr wants time first, then channels.
        at = 1 if axes.startswith("T") else 0
        axes = f"{axes[:at]}C{axes[at:]}"
        shape = (*shape[:at], len(names), *shape[at:])
    return create_label_store(
        path,
        axes,
        shape,
        image.spatial,
        dtype,
        voxel_size=image.voxel_size,
        unit=image.unit,
        note=note,
        **more,
    )
