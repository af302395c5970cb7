from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch

from napari_unet.data.classes import make_classes, object_classes
from napari_unet.models.example import Example
from napari_unet.models.info import ModelInfo, TrainingSummary
from napari_unet.models.model import Model
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network
from napari_unet.segmentation.settings import DecoderInfo


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
    arguments = small_unet(ndim, n_channels, n_out)
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
    info = NetworkInfo(name=name, arguments=arguments)
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


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def path(tmp_path, model):
    return model.save(tmp_path / "new folder" / "m.bioimage.io.zip", quick=True)


def entries(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path, **changes):
    """The same archive with some entries replaced (``None`` leaves one out).

    Names are written with ``__`` for the dot.
    """
    old = entries(path)
    old.update({k.replace("__", "."): v for k, v in changes.items()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in old.items():
            if data is not None:
                archive.writestr(name, data)
