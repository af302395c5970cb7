"""Segment an image with a model, into memory or into a store."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.checks import model_problem
from napari_unet.data.normalization import IntensityRange, measure_range
from napari_unet.data.source import Box, ImageSource
from napari_unet.device import pick_device, pick_precision
from napari_unet.errors import DataError
from napari_unet.image_io.label_store import (
    CHUNK,
    LabelStore,
    create_label_store,
    open_label_store,
    remove_label_store,
    store_note,
)
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.prediction.blocks import BlockGrid
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.tiling import round_up
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.training.events import Notice
from napari_unet.workflows.blocks import BlockJob, TileDone, make_blocks, stitch_blocks
from napari_unet.workflows.outputs import Outputs
from napari_unet.workflows.store_sink import StoreSink, parts_folder

WHOLE_VOXELS = 2**25
"""Up to so many voxels, objects of a sample in memory are found all at once."""
BLOCK = {2: (2048, 2048), 3: (128, 256, 256)}
"""Voxels of a block along (Z) Y X: some chunks of a store."""
MARGIN = {2: 96, 3: 32}
"""Voxels, along the finest axis, that blocks look at beyond themselves for objects."""
OTHER_PIXELS = 1.5
"""Pixels that differ by more than this factor in size are worth a word."""
DISAGREEMENT = "disagreement of views"
"""Name of the map that several views give."""


@dataclass(frozen=True)
class Prediction:
    """What a model says about an image."""

    labels: NDArray[Any]
    """Labels along `axes`; background is 0, objects count from 1 in every sample. For
    task ``regression`` the values, in float32."""
    probabilities: NDArray[np.float16] | None
    """``K`` maps along `axes`, in the order of `maps`."""
    axes: str
    """Letters of the labels' axes; "S" stands first where samples were chosen."""
    complete: bool = True
    """False if it was stopped: what is missing is 0, or NaN among values."""
    maps: list[str] = field(default_factory=list)
    """Names of the maps: :attr:`ModelInfo.maps`, and the views' disagreement."""


def predict(
    model: Model,
    source: ImageSource,
    *,
    samples: Sequence[int] | None = None,
    region: Box | None = None,
    labels_out: NDArray[np.int32] | None = None,
    probabilities: bool = False,
    probabilities_out: NDArray[np.float16] | None = None,
    views: bool = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    stop: Stop = never,
) -> Generator[TileDone | Notice, None, Prediction]:
    """Segment an image; a generator of progress whose return value is the result.

    Parameters
    ----------
    model : Model
    source : ImageSource
    samples : sequence of int, optional
        Positions along S; all by default.
    region : Box, optional
        Part of the image, (Z) Y X; the whole of it by default.
    labels_out : ndarray of int32 (of float32 for values), optional
        Where labels are written: the image's labels shape, or, where `samples` or
        `region` is given, ``S (Z) Y X``.
    probabilities : bool
        Whether the network's maps are wanted, too.
    probabilities_out : ndarray of float16, optional
        Where they are written: `labels_out`'s shape after a first axis of maps.
    views : bool
        Average over flips and quarter turns: eight times the work. Where they disagree
        is one more map.
    stop : callable
        Asked before every layer of the network and while objects are cut from its
        maps; when it returns True the prediction ends and keeps what is there.

    Raises
    ------
    DataError
        If the image does not fit the model.
    """
    check_fit(model, source)
    if advice := pixel_size_advice(model.info, source):
        yield Notice(advice)
    names = [*model.info.maps, *([DISAGREEMENT] if views else [])]
    wanted = probabilities or probabilities_out is not None
    n_maps = len(names) if wanted else 0
    values = model.info.task == "regression"
    outputs = Outputs(
        source,
        samples,
        region,
        n_maps,
        labels_out,
        probabilities_out,
        np.float32 if values else np.int32,
    )
    if values:
        outputs.labels.fill(np.nan)  # what a stopped run leaves out is no value
    predictor = make_predictor(model, device, precision, views=views)
    job = BlockJob(
        model.info,
        predictor,
        source,
        measure_range(source, model.info.normalization),
        _grid_in_memory(model, source, predictor, outputs),
        outputs,
        keep_maps=wanted,
    )
    complete = True
    try:
        yield from make_blocks(job, stop=stop)
    except Stopped:
        complete = False
    if job.stitches:
        stitch_blocks(job)
    return Prediction(outputs.labels, outputs.maps, outputs.axes, complete, names)


def check_fit(model: Model, source: ImageSource) -> None:
    """Say why a model cannot be run on an image, if so.

    Raises
    ------
    DataError
        With the reason.
    """
    problem = model_problem(model.info, source)
    if problem:
        raise DataError(problem)


def pixel_size_advice(info: ModelInfo, source: ImageSource) -> str | None:
    """What to know when the pixels are of another size than the model has learnt from.

    Parameters
    ----------
    info : ModelInfo
    source : ImageSource

    Returns
    -------
    str or None
        None where the sizes are about equal, or one of them is not known.
    """
    known = info.unit == source.unit != "pixel"
    if not known or len(info.voxel_size) != len(source.voxel_size):
        return None
    ratios = np.divide(source.voxel_size, info.voxel_size)
    if np.abs(np.log(ratios)).max() <= np.log(OTHER_PIXELS):
        return None
    ours = " × ".join(f"{s:.3g}" for s in source.voxel_size)
    theirs = " × ".join(f"{s:.3g}" for s in info.voxel_size)
    return (
        f"Pixels of {source.name!r} are {ours} {source.unit}, the model was trained on "
        f"{theirs}: objects look {1 / ratios[-1]:.2g} times as large to it. Rescale "
        "the image if the result is poor."
    )


def make_predictor(
    model: Model, device: DeviceName, precision: PrecisionName, *, views: bool
) -> Predictor:
    """The predictor of a model on the device that was chosen."""
    chosen = pick_device(device)
    precise = pick_precision(chosen, precision)
    return Predictor(model.network, model.info.task, chosen, precise, views=views)


def _grid_in_memory(
    model: Model, source: ImageSource, predictor: Predictor, outputs: Outputs
) -> BlockGrid:
    lengths = [b - a for a, b in outputs.box]
    if model.info.task == "objects":
        whole = int(np.prod(lengths)) <= WHOLE_VOXELS
        size: Sequence[int] = lengths if whole else BLOCK[source.ndim]
        return BlockGrid(outputs.samples, outputs.box, size, object_margin(source))
    # A block is a tile: each is seen as soon as it is there.
    size = [
        round_up(-(-n // -(-n // t)), d)
        for n, t, d in zip(lengths, predictor.largest, predictor.divisor, strict=True)
    ]
    return BlockGrid(outputs.samples, outputs.box, size, [0] * source.ndim)


def object_margin(source: ImageSource) -> list[int]:
    """What blocks look at beyond themselves, in voxels along (Z) Y X."""
    finest = min(source.voxel_size)
    return [max(2, round(MARGIN[source.ndim] * finest / s)) for s in source.voxel_size]


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


@dataclass(frozen=True)
class StorePlan:
    """How a store is made: plain values, the same in every process that works on it."""

    path: Path
    block: tuple[int, ...]
    margin: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    views: bool
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"

    @property
    def intensity(self) -> IntensityRange:
        return IntensityRange(
            np.array(self.low, np.float32), np.array(self.high, np.float32)
        )


def predict_to_store(
    model: Model,
    source: ImageSource,
    path: str | Path,
    *,
    image: str | None = None,
    zarr_format: int = 3,
    overwrite: bool = False,
    views: bool = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    stop: Stop = never,
) -> Generator[StoreReady | TileDone | Notice, None, StoredPrediction]:
    """Segment an image of any size into an OME-Zarr, in bounded memory.

    What an earlier run of the same model on the same image left there is kept, and only
    missing blocks are made.

    Parameters
    ----------
    model, source
    path : path
        Folder of the result, such as ``labels.ome.zarr``.
    image : str, optional
        Path of the image seen from the result, where that lies in the image's group
        ``labels``.
    zarr_format : {2, 3}
        2 writes OME-Zarr 0.4, 3 writes 0.5.
    overwrite : bool
        Begin anew where another result lies.
    views, device, precision, stop
        As in :func:`predict`.

    Raises
    ------
    DataError
        If the image does not fit the model, something else lies at `path`, or the disk
        refuses.
    """
    plan = plan_store(
        model,
        source,
        Path(path),
        image=image,
        zarr_format=zarr_format,
        overwrite=overwrite,
        views=views,
        device=device,
        precision=precision,
    )
    done = finished_store(plan)
    if done is not None:
        return done
    job = store_job(plan, model, source)
    if advice := pixel_size_advice(model.info, source):
        yield Notice(advice)
    shown = parts_folder(plan.path) / "labels" if job.stitches else plan.path
    yield StoreReady(str(plan.path), str(shown))
    try:
        yield from make_blocks(job, stop=stop)
        objects = stitch_blocks(job, stop) if job.stitches else None
    except Stopped:
        return StoredPrediction(plan.path, complete=False)
    finish_store(job, objects)
    return StoredPrediction(plan.path, complete=True, objects=objects)


def plan_store(
    model: Model,
    source: ImageSource,
    path: Path,
    *,
    image: str | None,
    zarr_format: int,
    overwrite: bool,
    views: bool,
    device: DeviceName,
    precision: PrecisionName,
) -> StorePlan:
    """Make the store, or take up what an earlier run left.

    Raises
    ------
    DataError
        As in :func:`predict_to_store`.
    """
    check_fit(model, source)
    made_from = _fingerprint(model, source, views)
    note = store_note(path)
    if path.exists() and (note is None or note.get("made_from") != made_from):
        if note is None or not overwrite:
            raise DataError(
                f"{path} holds something else: choose another place"
                + ("." if note is None else ", or allow it to be replaced.")
            )
        remove_label_store(path)
        shutil.rmtree(parts_folder(path), ignore_errors=True)
        note = None
    if note is None or not path.exists():
        intensity = measure_range(source, model.info.normalization)
        margin = [0] * source.ndim
        if model.info.task == "objects":
            margin = object_margin(source)
        note = {
            "complete": False,
            "made_from": made_from,
            "block": list(BLOCK[source.ndim]),
            "margin": margin,
            "low": intensity.low.tolist(),
            "high": intensity.high.tolist(),
        }
        _create(model, source, path, note, image=image, zarr_format=zarr_format)
    return StorePlan(
        path,
        tuple(note["block"]),
        tuple(note["margin"]),
        tuple(note["low"]),
        tuple(note["high"]),
        views,
        device,
        precision,
    )


def _create(
    model: Model,
    source: ImageSource,
    path: Path,
    note: dict[str, Any],
    *,
    image: str | None,
    zarr_format: int,
) -> None:
    values = [c.result_value for c in model.info.classes]
    small = model.info.task == "classes" and max(values) < 256 and min(values) >= 0

    def make(where: Path, dtype: str, listed: str | None) -> LabelStore:
        return create_label_store(
            where,
            source.labels_axes,
            source.labels_shape,
            source.spatial,
            dtype,
            voxel_size=source.voxel_size,
            unit=source.unit,
            classes=model.info.classes if model.info.task == "classes" else (),
            note=note,
            image=listed,
            zarr_format=zarr_format,
            chunk=CHUNK[source.ndim],
        )

    if model.info.task == "objects":
        shutil.rmtree(parts_folder(path), ignore_errors=True)
        make(parts_folder(path) / "labels", "int32", None)
    values_dtype = "float32" if model.info.task == "regression" else "int32"
    make(path, "uint8" if small else values_dtype, image)


def _fingerprint(model: Model, source: ImageSource, views: bool) -> str:
    """What has to be the same for a run to go on where another one ended."""
    digest = hashlib.sha256()
    digest.update(model.info.model_dump_json().encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    shapes = [tuple(int(n) for n in a.shape) for a in source.arrays]
    digest.update(repr((shapes, source.axes, source.ndim, views)).encode())
    # Images of one name and shape are told apart by some of their pixels.
    middle: Box = tuple(
        (max(0, n // 2 - 32), min(n, n // 2 + 32)) for n in source.spatial_shape
    )
    for sample in sorted({0, source.n_samples // 2, source.n_samples - 1}):
        digest.update(np.ascontiguousarray(source.read(sample, middle)).tobytes())
    return digest.hexdigest()


def resumable_path(
    folder: Path, name: str, model: Model, source: ImageSource, *, views: bool = False
) -> Path:
    """A store for `name` in a folder: one to go on with, or a place for a new one."""
    made_from = _fingerprint(model, source, views)
    path, number = folder / f"{name}.ome.zarr", 2
    while path.exists():
        note = store_note(path)
        if note is not None and note.get("made_from") == made_from:
            break
        path, number = folder / f"{name} ({number}).ome.zarr", number + 1
    return path


def store_job(plan: StorePlan, model: Model, source: ImageSource) -> BlockJob:
    """What makes the blocks of a store that :func:`plan_store` made."""
    box: Box = tuple((0, n) for n in source.spatial_shape)
    grid = BlockGrid(range(source.n_samples), box, plan.block, plan.margin)
    store = open_label_store(plan.path, source.spatial)
    parts = None
    if model.info.task == "objects":
        parts = open_label_store(parts_folder(plan.path) / "labels", source.spatial)
    return BlockJob(
        model.info,
        make_predictor(model, plan.device, plan.precision, views=plan.views),
        source,
        plan.intensity,
        grid,
        StoreSink(store, source.sample_shape, parts),
    )


def finished_store(plan: StorePlan) -> StoredPrediction | None:
    """The result, if there is nothing left to do."""
    note = store_note(plan.path) or {}
    if not note.get("complete"):
        return None
    return StoredPrediction(plan.path, complete=True, objects=note.get("objects"))


def finish_store(job: BlockJob, objects: int | None) -> None:
    """Say that a store is complete."""
    if isinstance(job.sink, StoreSink):
        job.sink.finish(**({} if objects is None else {"objects": objects}))
