"""Segment an image with a model, into memory."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.normalization import measure_range
from napari_unet.data.source import ArrayLike, Box, ImageSource
from napari_unet.models.model import Model
from napari_unet.segmentation.settings import ObjectSettings, as_settings
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.training.events import Notice
from napari_unet.workflows.block_job import BlockJob
from napari_unet.workflows.blocks import TileDone, make_blocks
from napari_unet.workflows.grids import grid_in_memory
from napari_unet.workflows.known_maps import MapMemory
from napari_unet.workflows.outputs import Outputs
from napari_unet.workflows.preparation import Options, map_names, prepare
from napari_unet.workflows.stitching import stitch_blocks


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
    probabilities_out: NDArray[Any] | None = None,
    views: bool = False,
    resample: bool = False,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    objects: ObjectSettings | Mapping[str, Any] | None = None,
    mask: ImageSource | ArrayLike | None = None,
    memory: MapMemory | None = None,
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
    probabilities_out : ndarray of float16 or float32, optional
        Where they are written: `labels_out`'s shape after a first axis of maps.
    views : bool
        Average over flips and quarter turns: eight times the work. Where they disagree
        is one more map.
    resample : bool
        Show the image to the network at the pixel size that the model knows, and bring
        its maps back to the image's grid.
    objects : ObjectSettings or mapping, optional
        What to change of how the model tells objects apart, such as
        ``{"min_size": "20 um2", "fill_holes": True}``.
    mask : array or ImageSource, optional
        Where it is 0, nothing is found: labels are 0 and values NaN. Of the axes of the
        labels, or (Z) Y X for all samples alike.
    memory : MapMemory, optional
        Keeps the maps of objects: as long as only `objects` or `mask` change, they are
        cut anew without the network.
    stop : callable
        Asked before every layer of the network and while objects are cut from its
        maps; when it returns True the prediction ends and keeps what is there.

    Raises
    ------
    DataError
        If the image does not fit the model, the size of its pixels is not known and
        they should be resampled, or the mask is of another size.
    ConfigError
        If the settings of objects do not fit.
    """
    wishes = as_settings(objects)
    options = Options(views, resample, device, precision, wishes)
    prepared = prepare(model, source, options, mask)
    if prepared.advice:
        yield Notice(prepared.advice)
    names = map_names(model.info, options)
    wanted = probabilities or probabilities_out is not None
    values = model.info.task == "regression"
    outputs = Outputs(
        source,
        samples,
        region,
        len(names) if wanted else 0,
        labels_out,
        probabilities_out,
        np.float32 if values else np.int32,
    )
    if values:
        outputs.labels.fill(np.nan)  # what a stopped run leaves out is no value
    grid = grid_in_memory(prepared, outputs.samples, outputs.box)
    whole = samples is None and region is None
    known = memory.about(model, source, options, grid) if memory and whole else None
    job = BlockJob(
        prepared.info,
        prepared.predictor,
        prepared.source,
        measure_range(prepared.source, model.info.normalization),
        grid,
        outputs,
        keep_maps=wanted,
        resampling=prepared.resampling,
        mask=prepared.mask,
        known=known,
        maps_dtype=np.float16 if outputs.maps is None else outputs.maps.dtype,
    )
    complete = True
    try:
        yield from make_blocks(job, stop=stop)
    except Stopped:
        complete = False
    if job.stitches:
        stitch_blocks(job)
    return Prediction(outputs.labels, outputs.maps, outputs.axes, complete, names)
