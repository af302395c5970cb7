"""Many images, one after the other; what went wrong with one stops no other."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.batch_plan import (
    BatchItem,
    find_inputs,
    finished,
    model_fingerprint,
    plan_batch,
    refuse_to_replace,
    what_matters,
)
from napari_unet.batch_report import REPORT, BatchRow, read_report, write_report
from napari_unet.data.checks import model_problem
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError, UserError
from napari_unet.image_io import (
    display_name,
    find_images,
    is_zarr,
    read_image,
    read_labels,
    write_labels,
    write_probabilities,
    write_values,
)
from napari_unet.image_io.labels_group import image_group
from napari_unet.image_io.store import PixelSize
from napari_unet.prediction.allocator import large_blocks_kept
from napari_unet.prediction.nearest import NearestArray
from napari_unet.stopping import Stop, never
from napari_unet.training.events import Notice

if TYPE_CHECKING:
    from napari_unet.models.model import Model
    from napari_unet.workflows import StoreReady, TileDone
    from napari_unet.workflows.store_plan import Layout

__all__ = [
    "REPORT",
    "BatchItem",
    "BatchOptions",
    "BatchRow",
    "ImageBegun",
    "find_inputs",
    "finished",
    "model_fingerprint",
    "plan_batch",
    "read_report",
    "refuse_to_replace",
    "run_batch",
    "what_matters",
    "write_report",
]

PROBABILITIES = "probabilities"
"""Folder of the maps inside the folder of the results."""
SAME_RUN = ("views", "resample", "objects", "mask")
"""Settings that make another result."""
IN_MEMORY_VOXELS = 2**26
"""Labels of more voxels go into a store, block by block."""


@dataclass(frozen=True, slots=True)
class ImageBegun:
    """The next image is looked at."""

    number: int
    total: int
    name: str


@dataclass(frozen=True)
class BatchOptions:
    """How a batch is done.

    Parameters
    ----------
    axes : str, optional
        Of the images, if the files tell them wrong.
    probabilities : bool
        Write the network's maps, too.
    store : bool
        Write every result as OME-Zarr.
    separate : bool
        Write labels of OME-Zarr images like those of others, too, instead of into the
        images' own groups ``labels``.
    name : str
        Of labels in such a group.
    how : dict
        ``device``, ``precision``, ``views``, ``resample``, ``objects`` of
        :func:`napari_unet.workflows.predict`.
    masks : Path, optional
        A file, or a folder of files named like the images: nothing is found where they
        are 0.
    overwrite : bool
        Replace stores that another model has left.
    stored : callable, optional
        Takes the place of :func:`napari_unet.workflows.predict_to_store`.
    """

    axes: str | None = None
    probabilities: bool = False
    store: bool = False
    separate: bool = False
    name: str = "labels"
    how: dict[str, Any] | None = None
    masks: Path | None = None
    overwrite: bool = False
    stored: Callable[..., Generator[Any, None, Any]] | None = None


def run_batch(
    model: Model,
    fingerprint: str,
    items: Sequence[BatchItem],
    output: Path,
    options: BatchOptions,
    *,
    done: Sequence[BatchRow] = (),
    stop: Stop = never,
) -> Generator[ImageBegun | StoreReady | TileDone | Notice, None, list[BatchRow]]:
    """Segment images; one that cannot be segmented is reported, and the others go on.

    Parameters
    ----------
    model : Model
    fingerprint : str
        Of the model file.
    items : sequence of BatchItem
    output : Path
        Where the report goes.
    done : sequence of BatchRow
        What :func:`finished` found; these images are left alone.

    Returns
    -------
    list of BatchRow
        One for each image that was looked at.
    """
    # Around all of them: an image of a single tile alone would gain nothing.
    with large_blocks_kept():
        return (
            yield from _each(model, fingerprint, items, output, options, done, stop)
        )


def _each(
    model: Model,
    fingerprint: str,
    items: Sequence[BatchItem],
    output: Path,
    options: BatchOptions,
    done: Sequence[BatchRow],
    stop: Stop,
) -> Generator[ImageBegun | StoreReady | TileDone | Notice, None, list[BatchRow]]:
    rows = {row.image: row for row in done}
    for number, item in enumerate(items, start=1):
        key = str(item.image.resolve())
        if key in rows:
            continue
        if stop():
            break
        yield ImageBegun(number, len(items), item.image.name)
        begun = time.monotonic()
        row = BatchRow(key, str(item.target.resolve()), "done", model=fingerprint)
        try:
            found = yield from _segment(model, item, output, options, stop)
            row = replace(row, **found)
        except UserError as error:
            row = replace(row, status="skipped", reason=str(error))
            named = str(error).startswith(item.image.name)
            yield Notice(str(error) if named else f"{item.image.name}: {error}")
        rows[key] = replace(row, seconds=round(time.monotonic() - begun, 2))
        write_report(output / REPORT, list(rows.values()))
    return list(rows.values())


def _segment(
    model: Model, item: BatchItem, output: Path, options: BatchOptions, stop: Stop
) -> Generator[StoreReady | TileDone | Notice, None, dict[str, Any]]:
    """Segment one image; fields of its row."""
    from napari_unet.workflows import predict

    # Of several resolutions, the one that looks most like what the model knows.
    near = PixelSize.known(model.info.voxel_size, model.info.unit)
    notes: list[str] = []
    whole = read_image(item.image, options.axes, near=near, on_note=notes.append)
    for text in notes:
        yield Notice(text)
    # A 2D model reads volumes plane by plane.
    source = replace(whole, ndim=2) if model.info.ndim == 2 else whole
    problem = model_problem(model.info, source)
    if problem:
        raise DataError(problem)
    if options.masks is not None:
        full = replace(read_image(item.image, options.axes), ndim=source.ndim)
        mask = find_mask(options.masks, item.image, source, full)
        options = replace(options, how={**(options.how or {}), "mask": mask})
    layout = _layout(model, source, item, output, options)
    if layout is not None:
        return (yield from _segment_to_store(model, source, layout, options, stop))
    how = options.how or {}
    result = yield from predict(
        model, source, probabilities=options.probabilities, **how, stop=stop
    )
    if not result.complete:
        return {"status": "stopped", "reason": "The run was ended."}
    size, unit = whole.voxel_size, whole.unit
    if result.probabilities is not None:
        write_probabilities(
            output / PROBABILITIES / item.target.name,
            result.probabilities,
            f"C{result.axes}",
            size,
            unit,
            result.maps,
        )
    write = write_values if model.info.task == "regression" else write_labels
    write(item.target, result.labels, result.axes, size, unit)
    is_objects = model.info.task == "objects"
    return {"objects": int(result.labels.max(initial=0)) if is_objects else None}


def find_mask(
    masks: Path, image: Path, source: ImageSource, full: ImageSource
) -> ImageSource:
    """The mask of an image: a file, or the one of the image's name in a folder.

    It may be as large as `source` or as the image in `full` resolution.

    Raises
    ------
    DataError
        If there is none, or it does not fit.
    """
    path = masks
    if masks.is_dir() and not is_zarr(masks):
        name = display_name(image)
        named = [p for p in find_images(masks) if display_name(p) == name]
        if not named:
            raise DataError(f"There is no mask for {image.name} in {masks}.")
        path = named[0]
    try:
        array = read_labels(path, source)
    except DataError:
        if full.labels_shape == source.labels_shape:
            raise
        array = NearestArray(read_labels(path, full), source.labels_shape)
    return ImageSource((array,), source.labels_axes, name=path.name, ndim=source.ndim)


def _layout(
    model: Model,
    source: ImageSource,
    item: BatchItem,
    output: Path,
    options: BatchOptions,
) -> Layout | None:
    """The store of a result; None for a file."""
    from napari_unet.workflows.store_paths import layout_in_group
    from napari_unet.workflows.store_plan import Layout

    name = display_name(item.image)
    maps = output / PROBABILITIES / f"{name}.ome.zarr"
    wanted = maps if options.probabilities else None
    group = image_group(item.image)
    if group is not None and item.target == group.labels:
        how = {k: v for k, v in (options.how or {}).items() if k in SAME_RUN}
        return layout_in_group(group, options.name, model, source, maps=wanted, **how)
    voxels = math.prod(source.labels_shape)
    if options.store or voxels > IN_MEMORY_VOXELS:
        return Layout(output / f"{name}.ome.zarr", wanted)
    return None


def _segment_to_store(
    model: Model,
    source: ImageSource,
    layout: Layout,
    options: BatchOptions,
    stop: Stop,
) -> Generator[StoreReady | TileDone | Notice, None, dict[str, Any]]:
    from napari_unet.workflows import predict_to_store

    make = options.stored or predict_to_store
    kept = yield from make(
        model,
        source,
        layout.path,
        maps=layout.maps,
        image=layout.image,
        zarr_format=layout.zarr_format,
        **(options.how or {}),
        overwrite=options.overwrite,
        stop=stop,
    )
    if not kept.complete:
        return {"status": "stopped", "reason": "The run was ended."}
    return {"result": str(layout.path.resolve()), "objects": kept.objects}
