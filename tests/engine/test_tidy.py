"""Nothing of a task stays in the engine."""

from __future__ import annotations

import psutil
import pytest
import torch

from napari_unet.engine.tidy import tidy
from napari_unet.models.exports import MapsNetwork, torchscript
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network

TRACES = 6
MOST_MB = 40
"""Six traces of this network keep about a hundred without tidying."""


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_traced_networks_are_forgotten() -> None:
    widths = [16, 32, 64, 128]
    arguments = {
        "n_in": 1,
        "n_out": 2,
        "channels": widths,
        "strides": [[2, 2]] * (len(widths) - 1),
        "kernels": [[3, 3]] * len(widths),
        "convolutions": [2] * len(widths),
        "stem": [1, 1],
    }
    network = build_network(NetworkInfo(name="unet", arguments=arguments))
    maps, image = MapsNetwork(network, "objects").eval(), torch.rand(1, 1, 64, 64)
    process = psutil.Process()
    for number in range(TRACES + 1):
        torchscript(maps, image)
        tidy()
        if number == 0:
            before = process.memory_info().rss
    assert (process.memory_info().rss - before) / 1e6 < MOST_MB
