"""Segment an image with a model."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.checks import model_problem
from napari_unet.data.normalization import measure_range
from napari_unet.data.source import Box, ImageSource
from napari_unet.device import pick_device, pick_precision
from napari_unet.errors import DataError
from napari_unet.models.model import Model
from napari_unet.prediction.predictor import MemoryNote, Predictor
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.training.events import Notice
from napari_unet.workflows.outputs import Outputs


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
    labels_out : ndarray of int32, optional
        Where labels are written: the image's labels shape, or, where `samples` or
        `region` is given, ``S (Z) Y X``.
    probabilities : bool
        Whether the network's maps are wanted, too.
    probabilities_out : ndarray of float16, optional
        Where they are written: `labels_out`'s shape after a first axis of maps.
    stop : callable
        Asked before every layer of the network and while objects are cut from its
        maps; when it returns True the prediction ends and keeps what is there.

    Raises
    ------
    DataError
        If the image does not fit the model.
    """
    problem = model_problem(model.info, source)
    if problem:
        raise DataError(problem)
    n_maps = len(model.info.maps) if probabilities else 0
    outputs = Outputs(source, samples, region, n_maps, labels_out, probabilities_out)
    dev = pick_device(device)
    predictor = Predictor(
        model.network, model.info.task, dev, pick_precision(dev, precision)
    )
    intensity = measure_range(source, model.info.normalization)
    total = len(outputs.samples) * len(
        predictor.tiles(source, outputs.box)
    )
    done, complete = 0, True
    try:
        for position, sample in enumerate(outputs.samples):
            writer = outputs.writer(position, model.info)
            for part in predictor.run(source, intensity, sample, outputs.box, stop):
                if isinstance(part, MemoryNote):
                    yield Notice(part.text)
                    continue
                writer.write(part)
                done += 1
                yield TileDone(min(done, total), total)
            writer.finish(stop)
    except Stopped:
        complete = False
    return Prediction(outputs.labels, outputs.maps, outputs.axes, complete)
