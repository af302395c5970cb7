"""How long it takes to save and load a model of about 2 million parameters.

    python benchmarks/model_file.py [--onnx]

Prints seconds of one run, the median of five, and the sizes of the files.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from napari_unet.data.classes import make_classes
from napari_unet.models.example import Example
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.blocks import count_parameters
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network


def make_model(ndim: int) -> Model:
    channels = [32, 64, 128, 256] if ndim == 2 else [16, 32, 64, 128, 192]
    levels = len(channels)
    arguments = {
        "n_in": 1,
        "n_out": 3,
        "channels": channels,
        "strides": [[2] * ndim] * (levels - 1),
        "kernels": [[3] * ndim] * levels,
        "convolutions": [2] * levels if ndim == 2 else [1] * levels,
        "stem": [1] * ndim,
    }
    info = NetworkInfo(name="unet", arguments=arguments)
    network = build_network(info).eval()
    pixels = np.random.default_rng(0).integers(
        0, 4000, (1, *(64, 256, 256)[3 - ndim :]) if ndim == 2 else (1, 64, 64, 64)
    )
    return Model(
        network,
        ModelInfo(
            name="benchmark",
            task="classes",
            spatial="ZYX"[3 - ndim :],
            n_channels=1,
            classes=make_classes([1, 2, 3], 1),
            network=info,
        ),
        Example(pixels.astype(np.uint16)),
    )


def seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnx", action="store_true", help="time ONNX, too")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.bioimage.io.zip"
        for ndim in (2, 3):
            model = make_model(ndim)
            print(f"{ndim}D, {count_parameters(model.network) / 1e6:.2f} M parameters")
            quick = seconds(partial(model.save, path, quick=True))
            print(f"  autosave      {quick:6.3f} s  {path.stat().st_size / 1e6:.1f} MB")
            final = seconds(partial(model.save, path))
            print(
                f"  with TorchScript {final:.3f} s  {path.stat().st_size / 1e6:.1f} MB"
            )
            print(f"  load          {seconds(partial(Model.load, path)):6.3f} s")
            if options.onnx:
                begun = time.perf_counter()
                model.save(path, onnx=True)
                print(f"  with ONNX     {time.perf_counter() - begun:6.1f} s")


if __name__ == "__main__":
    main()
