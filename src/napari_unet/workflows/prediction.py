"""Segment an image with a model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.checks import model_problem
from napari_unet.data.normalization import measure_range
from napari_unet.data.source import Box, ImageSource, sample_index
from napari_unet.device import pick_device, pick_precision
from napari_unet.errors import DataError
from napari_unet.models.model import Model
from napari_unet.prediction.predictor import MemoryNote, Predictor
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.training.events import Notice


def never() -> bool:
    """A stop signal that is never given."""
    return False


@dataclass(frozen=True, slots=True)
class TileDone:
    """One more tile of a prediction is written."""

    done: int
    total: int


@dataclass(frozen=True)
class Prediction:
    """What a model says about an image."""

    labels: NDArray[np.int32]
    """Labels along `axes`; background is 0, objects count from 1 in every sample."""
    probabilities: NDArray[np.float16] | None
    """``K`` maps along `axes`, in the order of :attr:`ModelInfo.maps`."""
    axes: str
    """Letters of the labels' axes; "S" stands first where samples were chosen."""
    complete: bool = True
    """False if it was stopped: what is missing is 0."""


def predict(
    model: Model,
    source: ImageSource,
    *,
    samples: Sequence[int] | None = None,
    region: Box | None = None,
    labels_out: NDArray[np.int32] | None = None,
    probabilities: bool = False,
    probabilities_out: NDArray[np.float16] | None = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    stop: Callable[[], bool] = never,
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
    labels_out : ndarray of int32, optional
        Where labels are written: the image's labels shape, or, where `samples` or
        `region` is given, ``S (Z) Y X``.
    probabilities : bool
        Whether the network's maps are wanted, too.
    probabilities_out : ndarray of float16, optional
        Where they are written: `labels_out`'s shape after a first axis of maps.
    stop : callable
        Asked after every tile; when it returns True the prediction ends and keeps what
        is there.

    Raises
    ------
    DataError
        If the image does not fit the model.
    """
    problem = model_problem(model.info, source)
    if problem:
        raise DataError(problem)
    chosen = list(samples) if samples is not None else list(range(source.n_samples))
    partial = samples is not None or region is not None
    box = region or tuple((0, n) for n in source.spatial_shape)
    flat_shape = (len(chosen), *(b - a for a, b in box))
    shape = flat_shape if partial else source.labels_shape
    # Samples come first inside; the image's own order of axes is a view of that.
    order = _sample_first(source) if not partial else None
    labels = np.zeros(shape, np.int32) if labels_out is None else labels_out
    flat_labels = _as_samples(labels, order)
    n_maps = len(model.info.maps)
    maps: NDArray[np.float16] | None = None
    if probabilities or probabilities_out is not None:
        maps = (
            np.zeros((n_maps, *shape), np.float16)
            if probabilities_out is None
            else probabilities_out
        )
    dev = pick_device(device)
    prec = pick_precision(dev, precision)
    predictor = Predictor(model.network, model.info.task, dev, prec)
    intensity = measure_range(source, model.info.normalization)
    total = len(chosen) * len(predictor.tiles(source.spatial_shape, box))
    values = np.array([c.result_value for c in model.info.classes], np.int32)
    # Classes are decided tile by tile; only objects need the maps of a whole sample.
    keeps_maps = model.info.task == "objects" or maps is not None
    held = np.zeros((n_maps, *flat_shape[1:]) if keeps_maps else 0, np.float32)
    done, complete = 0, True
    for position, sample in enumerate(chosen):
        held.fill(0)
        index = position if order is None else sample_index(source.sample_shape, sample)
        out = flat_labels[index]
        for part in predictor.run(source, intensity, sample, box):
            if isinstance(part, MemoryNote):
                yield Notice(part.text)
                continue
            where = part.tile.target
            if model.info.task == "classes":
                out[where] = values[part.maps.argmax(axis=0)]
            if keeps_maps:
                held[(slice(None), *where)] = part.maps
            done += 1
            yield TileDone(min(done, total), total)
            if stop():
                complete = False
                break
        if model.info.task == "objects":
            out[...] = decode_objects(
                held[0], held[1], model.info.decoder or DecoderInfo()
            )
        if maps is not None:
            for k in range(n_maps):
                _as_samples(maps[k], order)[index] = held[k]
        if not complete:
            break
    axes = "S" + source.spatial if partial else source.labels_axes
    return Prediction(labels, maps, axes, complete)


def _sample_first(source: ImageSource) -> list[int]:
    letters = source.sample_axes + source.spatial
    return [source.labels_axes.index(a) for a in letters]


def _as_samples(array: NDArray[Any], order: list[int] | None) -> NDArray[Any]:
    """A view with sample axes first and (Z) Y X last."""
    return array if order is None else array.transpose(order)
