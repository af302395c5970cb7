"""What is settled before a prediction begins: does the model fit, and on which grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.data.checks import model_problem
from napari_unet.data.masks import mask_of
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.device import device_for, pick_precision
from napari_unet.errors import ConfigError, DataError
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.catalogue import operations_of
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.resampling import Resampling, relative_size
from napari_unet.segmentation.settings import DecoderInfo, ObjectSettings

OTHER_PIXELS = 1.5
"""Pixels that differ by more than this factor in size are worth a word."""
DISAGREEMENT = "disagreement of views"
"""Name of the map that several views give."""


@dataclass(frozen=True)
class Options:
    """How an image is segmented; see :func:`napari_unet.workflows.predict`."""

    views: bool = False
    resample: bool = False
    device: DeviceName = "auto"
    precision: PrecisionName = "auto"
    objects: ObjectSettings = field(default_factory=ObjectSettings)


@dataclass(frozen=True)
class Prepared:
    """A model and an image that fit."""

    model: Model
    info: ModelInfo
    """Of the model; sizes of objects are in voxels of the image."""
    image: ImageSource
    """The image on its own grid, which is that of the result."""
    source: ImageSource
    """The image as the network sees it."""
    resampling: Resampling | None
    """From one to the other, where they differ."""
    predictor: Predictor
    advice: str | None
    """What to tell the user."""
    mask: ImageSource | None = None
    """Where it is 0, nothing is found."""


def prepare(
    model: Model,
    image: ImageSource,
    options: Options,
    mask: ImageSource | ArrayLike | None = None,
) -> Prepared:
    """Settle how a model is run on an image.

    Raises
    ------
    DataError
        If the model cannot be run on the image, the size of pixels is not known that
        it should be resampled to, or the mask is of another size.
    ConfigError
        If the settings of objects do not fit.
    """
    check_fit(model, image)
    resampling = Resampling.between(model.info, image) if options.resample else None
    operations = operations_of(model.info.network.name)
    device, note = device_for(options.device, image.ndim, operations)
    size = None if options.resample else pixel_size_advice(model.info, image)
    return Prepared(
        model,
        _tuned(_on_grid(model.info, resampling), image, options.objects),
        image,
        image if resampling is None else resampling.source(image),
        resampling,
        Predictor(
            model.network,
            model.info.task,
            device,
            pick_precision(device, options.precision),
            views=options.views,
            temperature=model.info.calibration.temperature,
        ),
        " ".join(filter(None, (note, size))) or None,
        None if mask is None else mask_of(mask, image),
    )


def _tuned(info: ModelInfo, image: ImageSource, objects: ObjectSettings) -> ModelInfo:
    """A model whose objects are cut as somebody wishes."""
    if objects == ObjectSettings():
        return info
    if info.task != "objects":
        raise ConfigError(
            "Settings of objects need a model that tells objects apart: leave them "
            "out, or choose another model."
        )
    decoder = objects.applied(
        info.decoder or DecoderInfo(), image.voxel_size, image.unit
    )
    return info.model_copy(update={"decoder": decoder})


def _on_grid(info: ModelInfo, resampling: Resampling | None) -> ModelInfo:
    """A model that counts the voxels of objects in the image's grid."""
    if resampling is None or info.decoder is None:
        return info
    smaller = math.prod(resampling.factors)
    sizes: dict[str, int] = {"min_size": round(info.decoder.min_size / smaller)}
    if info.decoder.max_size is not None:
        sizes["max_size"] = max(1, round(info.decoder.max_size / smaller))
    decoder = info.decoder.model_copy(update=sizes)
    return info.model_copy(update={"decoder": decoder})


def map_names(info: ModelInfo, options: Options) -> list[str]:
    """Names of the maps of a prediction."""
    return [*info.maps, *([DISAGREEMENT] if options.views else [])]


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
    ratios = relative_size(info, source)
    if ratios is None or np.abs(np.log(ratios)).max() <= np.log(OTHER_PIXELS):
        return None
    ours = " × ".join(f"{s:.3g}" for s in source.voxel_size)
    theirs = " × ".join(f"{s:.3g}" for s in info.voxel_size)
    return (
        f"Pixels of {source.name!r} are {ours} {source.unit}, the model was trained on "
        f"{theirs} {info.unit}: objects look {1 / ratios[-1]:.2g} times as large to "
        "it. If the result is poor, switch on resampling to the model's pixel size "
        "(--resample)."
    )
