"""Segment an image of any size into a store, from which a run can go on."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.source import ArrayLike, Box, ImageSource
from napari_unet.image_io.label_store import open_label_store, store_note
from napari_unet.models.model import Model
from napari_unet.prediction.blocks import BlockGrid
from napari_unet.segmentation.settings import ObjectSettings, as_settings
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.training.events import Notice
from napari_unet.workflows.block_job import BlockJob
from napari_unet.workflows.blocks import TileDone, make_blocks
from napari_unet.workflows.known_maps import StoredMaps
from napari_unet.workflows.preparation import Options, Prepared, prepare
from napari_unet.workflows.stitching import stitch_blocks
from napari_unet.workflows.store_plan import (
    Layout,
    StorePlan,
    maps_complete,
    plan_store,
    result_complete,
)
from napari_unet.workflows.store_sink import StoreSink, parts_folder


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


def store_job(plan: StorePlan, prepared: Prepared) -> BlockJob:
    """What makes the blocks of a store that :func:`plan_store` made."""
    image, info = prepared.image, prepared.info
    box: Box = tuple((0, n) for n in image.spatial_shape)
    store = open_label_store(plan.path, image.spatial)
    maps = parts = known = None
    if plan.layout.maps is not None:
        maps = open_label_store(plan.layout.maps, image.spatial)
        # Objects are cut anew from maps of the same model, however they were cut then.
        if info.task == "objects" and maps_complete(plan.layout):
            known = StoredMaps(maps, image.sample_shape)
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
            maps,
        ),
        keep_maps=maps is not None and known is None,
        resampling=prepared.resampling,
        mask=prepared.mask,
        known=known,
    )


def finished_store(plan: StorePlan) -> StoredPrediction | None:
    """The result, if there is nothing left to do."""
    if not result_complete(plan.layout):
        return None
    note = store_note(plan.path) or {}
    return StoredPrediction(plan.path, True, note.get("objects"), plan.layout.maps)


def finish_store(
    plan: StorePlan, job: BlockJob, objects: int | None
) -> StoredPrediction:
    """Say that a store is complete."""
    if isinstance(job.sink, StoreSink):
        job.sink.finish(**({} if objects is None else {"objects": objects}))
    return StoredPrediction(plan.path, True, objects, plan.layout.maps)
