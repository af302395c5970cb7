"""Patch, batch and network of a live run."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import torch

from napari_unet.config import TrainingConfig
from napari_unet.data.source import ImageSource
from napari_unet.data.split import Part
from napari_unet.live.strokes import StrokeBook
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.registry import build_network
from napari_unet.training.plan import TrainingPlan, make_plan

PATCH = {("cpu", 2): 128, ("cpu", 3): 32, ("gpu", 2): 128, ("gpu", 3): 64}
"""Edge of a patch in voxels. Many steps on little beat few steps on much at first."""
BATCH = {("cpu", 2): 4, ("cpu", 3): 2, ("gpu", 2): 16, ("gpu", 3): 4}
BASE_CHANNELS = {("cpu", 2): 16, ("cpu", 3): 8, ("gpu", 2): 32, ("gpu", 3): 16}
MEMBERS, HIDDEN = 8, 32
"""Of the pixel classifier."""


def live_plan(
    source: ImageSource,
    book: StrokeBook,
    config: TrainingConfig,
    device: torch.device,
) -> TrainingPlan:
    """Choose what `config` leaves open, for learning live.

    Raises
    ------
    ConfigError
        If a wish does not fit the image.
    """
    kind = ("cpu" if device.type == "cpu" else "gpu", source.ndim)
    wishes: dict[str, Any] = {
        # What a live run averages with its classifier is always a U-Net.
        "network": "unet",
        "patch_size": config.patch_size or _patch(source, PATCH[kind]),
        "batch_size": config.batch_size or BATCH[kind],
        "base_channels": config.base_channels or BASE_CHANNELS[kind],
    }
    whole = tuple((0, n) for n in source.spatial_shape)
    n_outputs = 2 if config.task == "objects" else len(book.classes)
    plan = make_plan(
        config.model_copy(update=wishes),
        [Part(book.annotation, 0, whole)],
        n_outputs,
        device,
    )
    unet = dict(plan.network.arguments)
    n_in, n_out = unet.pop("n_in"), unet.pop("n_out")
    arguments = {
        "n_in": n_in,
        "n_out": n_out,
        "objects": config.task == "objects",
        "spacing": [v / min(plan.voxel_size) for v in plan.voxel_size],
        "members": MEMBERS,
        "hidden": HIDDEN,
        "unet": unet,
    }
    network = NetworkInfo(name="pixel_unet", arguments=arguments)
    divisor = cast("PixelUNet", build_network(network)).divisor
    patch = tuple(
        math.ceil(p / d) * d for p, d in zip(plan.patch_size, divisor, strict=True)
    )
    return replace(plan, network=network, patch_size=patch)


def _patch(source: ImageSource, edge: int) -> tuple[int, ...]:
    """A patch of about equal physical edges, no larger than the image needs."""
    finest = min(source.voxel_size)
    return tuple(
        max(4, min(round(edge * finest / v), n))
        for v, n in zip(source.voxel_size, source.spatial_shape, strict=True)
    )
