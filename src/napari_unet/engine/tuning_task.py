"""The engine's task of cutting objects anew while somebody moves the settings."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from napari_unet.data.source import Box, ImageSource
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.engine.inputs import context_box, context_image, context_mask
from napari_unet.errors import UserError
from napari_unet.generators import exhaust
from napari_unet.models.model import Model
from napari_unet.prediction.blocks import inside
from napari_unet.segmentation.settings import DecoderInfo, object_settings
from napari_unet.segmentation.tuning import Redecoder
from napari_unet.training.events import as_message
from napari_unet.workflows import predict
from napari_unet.workflows.preparation import Options, prepare

MARGIN = {2: 96, 3: 16}
"""Voxels, along the finest axis, that are looked at around the view: objects that its
edge cuts are told apart, and have their size."""
ASK_S = 0.01
"""How long new settings wait at most until they are read."""


def tune(context: TaskContext) -> dict[str, Any]:
    """Keep the maps of a view, and cut objects from them as often as settings come.

    Parameters of the task: as for ``predict``, with one sample and a ``region``.
    Inputs: ``image0``, … and, where given, ``mask``. Output: ``labels`` (Z) Y X of the
    region. Messages in: ``serial`` and ``settings`` (fields of `ObjectSettings`). For
    each, or for the last of several, a ``Decoded`` event says that the labels are
    written, and a ``Refused`` one what is wrong with the settings.
    """
    params = context.params
    image = context_image(context)
    model = Model.load(params["model_path"])
    region = context_box(context)
    if region is None:
        raise ValueError("a view was expected")
    outer = grown(region, image)
    views, resample = bool(params.get("views")), bool(params.get("resample"))
    maps = np.zeros((2 + views, 1, *(b - a for a, b in outer)), np.float32)
    events = predict(
        model,
        image,
        samples=params["samples"],
        region=outer,
        probabilities_out=maps,
        views=views,
        resample=resample,
        stop=context.stop_requested,
    )
    result = exhaust(events, lambda event: context.emit(as_message(event)))
    if not result.complete:
        raise TaskStopped
    (sample,) = params["samples"]
    mask = context_mask(context, image)
    within = None if mask is None else mask.read(sample, outer)[0] != 0
    redecoder = Redecoder(
        maps[0, 0],
        maps[1, 0],
        crop=inside(region, outer),
        border=tuple(
            (a == 0, b == n)
            for (a, b), n in zip(outer, image.spatial_shape, strict=True)
        ),
        inside=within,
    )
    info = prepare(model, image, Options(resample=resample)).info
    context.emit({"event": "MapsReady"})
    while not context.stop_requested():
        messages = context.messages()
        if messages:
            _decode(context, redecoder, messages[-1], info.decoder, image)
        else:
            context.wait_for_stop(ASK_S)
    return {}


def grown(region: Box, image: ImageSource) -> Box:
    """A box with what is looked at around it, inside the image."""
    finest = min(image.voxel_size)
    margin = [max(2, round(MARGIN[image.ndim] * finest / s)) for s in image.voxel_size]
    return tuple(
        (max(0, a - m), min(n, b + m))
        for (a, b), m, n in zip(region, margin, image.spatial_shape, strict=True)
    )


def _decode(
    context: TaskContext,
    redecoder: Redecoder,
    message: dict[str, Any],
    decoder: DecoderInfo | None,
    image: ImageSource,
) -> None:
    begun = time.monotonic()
    serial = message["serial"]
    try:
        settings = object_settings(message["settings"]).applied(
            decoder or DecoderInfo(), image.voxel_size, image.unit
        )
    except UserError as error:
        context.emit({"event": "Refused", "serial": serial, "text": str(error)})
        return
    labels = redecoder.decode(settings)
    context.outputs["labels"][...] = labels
    seen = np.bincount(labels.ravel()) > 0
    context.emit(
        {
            "event": "Decoded",
            "serial": serial,
            "objects": int(seen[1:].sum()),
            "seconds": round(time.monotonic() - begun, 3),
        }
    )


def keep_settings(context: TaskContext) -> dict[str, Any]:
    """Make settings of objects those of a model file.

    Parameters of the task: ``model_path``, ``settings`` (fields of `ObjectSettings`),
    ``voxel_size`` and ``unit`` of the image that they were chosen for.
    """
    params = context.params
    model = Model.load(params["model_path"])
    decoder = object_settings(params["settings"]).applied(
        model.info.decoder or DecoderInfo(), params["voxel_size"], params["unit"]
    )
    model.info = model.info.model_copy(update={"decoder": decoder})
    model.save(params["model_path"])
    return {"model_path": params["model_path"]}
