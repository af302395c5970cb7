"""Segment an image of any size into a store, from which a run can go on."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.normalization import IntensityRange, measure_range
from napari_unet.data.source import ArrayLike, Box, ImageSource
from napari_unet.errors import DataError
from napari_unet.image_io.label_store import (
    LabelStore,
    create_label_store,
    open_label_store,
    remove_label_store,
    store_note,
)
from napari_unet.image_io.labels_group import ImageGroup, image_group
from napari_unet.models.model import Model
from napari_unet.prediction.blocks import BlockGrid
from napari_unet.segmentation.settings import ObjectSettings, as_settings
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.training.events import Notice
from napari_unet.workflows import grids
from napari_unet.workflows.blocks import BlockJob, TileDone, make_blocks, stitch_blocks
from napari_unet.workflows.preparation import Options, Prepared, map_names, prepare
from napari_unet.workflows.store_sink import StoreSink, parts_folder

MASK_COMPARED = 1024
"""Edge in voxels of the part of a mask that is compared before a run goes on."""


@dataclass(frozen=True, slots=True)
class StoreReady:
    """A store can be looked at while it is written."""

    path: str
    """Of the result."""
    shown: str
    """Where labels appear first: objects of single blocks, until they are stitched."""


@dataclass(frozen=True)
class StoredPrediction:
    """What a model says about an image, in a store."""

    path: Path
    complete: bool
    """False if it was stopped: going on later does what is missing."""
    objects: int | None = None
    """Largest number of objects in a sample; None for classes."""
    maps: Path | None = None
    """Where the network's maps are, if they were wanted."""


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


def predict_to_store(
    model: Model,
    source: ImageSource,
    path: str | Path,
    *,
    maps: str | Path | None = None,
    image: str | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    views: bool = False,
    resample: bool = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    objects: ObjectSettings | Mapping[str, Any] | None = None,
    mask: ImageSource | ArrayLike | None = None,
    stop: Stop = never,
) -> Generator[StoreReady | TileDone | Notice, None, StoredPrediction]:
    """Segment an image of any size into an OME-Zarr, in bounded memory.

    What an earlier run of the same model on the same image left there is kept, and only
    missing blocks are made.

    Parameters
    ----------
    model, source
    path, maps, image, zarr_format
        As in :class:`Layout`.
    overwrite : bool
        Begin anew where another result lies.
    views, resample, device, precision, objects, mask, stop
        As in :func:`predict`.

    Raises
    ------
    DataError
        If the image does not fit the model, something else lies at `path`, or the disk
        refuses.
    """
    layout = Layout(
        Path(path), None if maps is None else Path(maps), image, zarr_format
    )
    options = Options(views, resample, device, precision, as_settings(objects))
    prepared = prepare(model, source, options, mask)
    plan = plan_store(prepared, layout, options, overwrite=overwrite)
    done = finished_store(plan)
    if done is not None:
        return done
    job = store_job(plan, prepared)
    if prepared.advice:
        yield Notice(prepared.advice)
    shown = parts_folder(plan.path) / "labels" if job.stitches else plan.path
    yield StoreReady(str(plan.path), str(shown))
    try:
        yield from make_blocks(job, stop=stop)
        count = stitch_blocks(job, stop) if job.stitches else None
    except Stopped:
        return StoredPrediction(plan.path, complete=False, maps=layout.maps)
    return finish_store(plan, job, count)


def plan_store(
    prepared: Prepared, layout: Layout, options: Options, *, overwrite: bool
) -> StorePlan:
    """Make the stores, or take up what an earlier run left.

    Raises
    ------
    DataError
        As in :func:`predict_to_store`.
    """
    made_from = _fingerprint(prepared.model, prepared.image, options, prepared.mask)
    places = [layout.path] + ([layout.maps] if layout.maps else [])
    ours = [_take_up(place, made_from, overwrite=overwrite) for place in places]
    note = next((n for n in ours if n is not None), None)
    if note is None:
        note = _new_note(prepared, made_from)
    for place, found in zip(places, ours, strict=True):
        if found is None:
            is_maps = place == layout.maps
            _create(
                prepared, layout, options, {**note, "complete": False}, maps=is_maps
            )
    plan = StorePlan(
        layout,
        options,
        tuple(note["block"]),
        tuple(note["margin"]),
        tuple(note["low"]),
        tuple(note["high"]),
        prepared.model.info.normalization.clip,
    )
    if prepared.model.info.task == "objects" and finished_store(plan) is None:
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


def _new_note(prepared: Prepared, made_from: str) -> dict[str, Any]:
    info, source = prepared.model.info, prepared.source
    intensity = measure_range(source, info.normalization)
    objects = info.task == "objects"
    return {
        "complete": False,
        "made_from": made_from,
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


def _fingerprint(
    model: Model, source: ImageSource, options: Options, mask: ImageSource | None
) -> str:
    """What has to be the same for a run to go on where another one ended."""
    digest = hashlib.sha256()
    digest.update(model.info.model_dump_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    shapes = [tuple(int(n) for n in a.shape) for a in source.arrays]
    how = (options.views, options.resample and source.voxel_size, source.unit)
    digest.update(repr((shapes, source.axes, source.ndim, how)).encode())
    digest.update(options.objects.model_dump_json(exclude_none=True).encode())
    # Images of one name and shape are told apart by some of their pixels.
    digest.update(_some_pixels(source, 64))
    if mask is not None:
        digest.update(_some_pixels(mask, MASK_COMPARED))
    return digest.hexdigest()


def _some_pixels(source: ImageSource, edge: int) -> bytes:
    """Those in the middle of three of the samples."""
    middle: Box = tuple(
        (max(0, n // 2 - edge // 2), min(n, n // 2 + edge // 2))
        for n in source.spatial_shape
    )
    chosen = sorted({0, source.n_samples // 2, source.n_samples - 1})
    return b"".join(
        np.ascontiguousarray(source.read(sample, middle)).tobytes() for sample in chosen
    )


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
    made_from = _fingerprint(model, source, options, mask)
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


def store_job(plan: StorePlan, prepared: Prepared) -> BlockJob:
    """What makes the blocks of a store that :func:`plan_store` made."""
    image, info = prepared.image, prepared.info
    box: Box = tuple((0, n) for n in image.spatial_shape)
    store = open_label_store(plan.path, image.spatial)
    maps = plan.layout.maps
    parts = None
    if info.task == "objects":
        parts = open_label_store(parts_folder(plan.path) / "labels", image.spatial)
    return BlockJob(
        info,
        prepared.predictor,
        prepared.source,
        plan.intensity,
        BlockGrid(range(image.n_samples), box, plan.block, plan.margin),
        StoreSink(
            store,
            image.sample_shape,
            parts,
            None if maps is None else open_label_store(maps, image.spatial),
        ),
        keep_maps=maps is not None,
        resampling=prepared.resampling,
        mask=prepared.mask,
    )


def finished_store(plan: StorePlan) -> StoredPrediction | None:
    """The result, if there is nothing left to do."""
    note = store_note(plan.path) or {}
    maps = plan.layout.maps
    if not note.get("complete"):
        return None
    if maps is not None and not (store_note(maps) or {}).get("complete"):
        return None
    return StoredPrediction(plan.path, True, note.get("objects"), maps)


def finish_store(
    plan: StorePlan, job: BlockJob, objects: int | None
) -> StoredPrediction:
    """Say that a store is complete."""
    if isinstance(job.sink, StoreSink):
        job.sink.finish(**({} if objects is None else {"objects": objects}))
    return StoredPrediction(plan.path, True, objects, plan.layout.maps)
