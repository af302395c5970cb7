"""Models with random weights of every network, small enough for a test."""

from __future__ import annotations

import numpy as np
import torch

from napari_unet.data.classes import make_classes, object_classes
from napari_unet.models.example import Example
from napari_unet.models.info import ModelInfo, TrainingSummary
from napari_unet.models.model import Model
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import NETWORKS, build_network, design_network
from napari_unet.segmentation.settings import DecoderInfo


def network_names():
    """Every network of the registry, in 2D and 3D."""
    return [(name, ndim) for name in NETWORKS for ndim in (2, 3)]


def small_unet(ndim, n_in, n_out):
    return {
        "n_in": n_in,
        "n_out": n_out,
        "channels": [4, 8],
        "strides": [[2] * ndim],
        "kernels": [[3] * ndim] * 2,
        "convolutions": [1, 1],
        "stem": [1] * ndim,
    }


def make_model(name="unet", task="classes", ndim=2, n_channels=1, **changes):
    """A model whose random weights do something to every pixel."""
    torch.manual_seed(0)
    n_out = {"classes": 3, "objects": 2, "regression": 1}[task]
    info = small_network(name, task, ndim, n_channels, n_out)
    network = alive(build_network(info))
    classes = {
        "classes": make_classes([1, 2, 5], 1),
        "objects": object_classes(1),
        "regression": [],
    }[task]
    values = {
        "name": "nuclei µ",
        "task": task,
        "spatial": "ZYX"[3 - ndim :],
        "n_channels": n_channels,
        "classes": classes,
        "network": info,
        "decoder": DecoderInfo() if task == "objects" else None,
        "voxel_size": [0.5] * ndim,
        "unit": "micrometer",
        "created": "2026-11-20T10:00:00+00:00",
        "training": TrainingSummary(
            images=["a.tif"],
            n_images=1,
            annotated_voxels={"background": 120, "class 2": 50},
            annotated_objects={"class 2": 7},
            steps=100,
            seconds=12.5,
            score=0.8,
            score_name="mean Dice",
            intervals={"mean Dice": (0.7, 0.9)},
            config={"seed": 4, "learning_rate": 1e-06, "preset": "no"},
            seed=4,
        ),
        **changes,
    }
    return Model(network, ModelInfo(**values), example(n_channels, ndim))


def small_network(name, task, ndim, n_in, n_out):
    arguments = small_unet(ndim, n_in, n_out)
    if name == "pixel_unet":
        sizes = {k: arguments.pop(k) for k in ("n_in", "n_out")}
        arguments = {
            **sizes,
            "objects": task == "objects",
            "spacing": [1.0] * ndim,
            "members": 2,
            "hidden": 4,
            "unet": arguments,
        }
    if name in ("unet", "pixel_unet"):
        return NetworkInfo(name=name, arguments=arguments)
    request = NetworkRequest(
        n_in=n_in,
        n_out=n_out,
        patch=(64, 64) if ndim == 2 else (16, 32, 32),
        spacing=(1.0,) * ndim,
        device="cpu",
        base_channels=4,
        levels=2,
    )
    return design_network(name, request)[0]


def alive(network):
    """Weights and statistics that are not those of the start."""
    torch.manual_seed(1)
    for module in network.modules():
        if hasattr(module, "running_var"):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        if hasattr(network, "trust"):
            network.trust.fill_(0.5)
    return network.eval()


def example(n_channels, ndim):
    shape = (n_channels, *(24, 60, 72)[3 - ndim :])
    pixels = np.random.default_rng(0).integers(0, 4000, shape)
    return Example(pixels.astype(np.uint16))
