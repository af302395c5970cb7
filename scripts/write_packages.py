"""Save a model of every network, 2D and 3D: write_packages.py FOLDER [NAMES].

What check_bioimageio.sh gives to the official library.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))
from small_models import make_model, network_names

ONNX = ("unet", "pixel_unet")
"""ONNX takes some seconds; these are the networks that are trained by default."""


def main(folder: Path, names: list[str]) -> None:
    torch.set_num_threads(1)
    for name, ndim in network_names():
        if names and name not in names:
            continue
        for task in ("classes", "objects") if name in ONNX else ("classes",):
            begun = time.monotonic()
            model = make_model(name, task, ndim, n_channels=1 + (task == "classes"))
            path = folder / f"{name}_{task}_{ndim}d.bioimage.io.zip"
            model.save(path, onnx=name in ONNX)
            print(f"{path.name}: {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
