"""The picture of a U-Net without its skip connections, and the scores of both.

    python scripts/skips_picture.py --data DIR --output docs/images/unet-skips.png

DIR is a folder with ``train`` and ``val``, each with ``images`` and ``labels``, such as
the membranes of the ISBI challenge of 2012. Both networks take as many steps from the
same seed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

CROP = (slice(100, 300), slice(100, 300))
GAP = 6
Labels = NDArray[np.int32]


def main() -> None:
    """Train, score and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    from napari_unet.networks.unet import UNet

    found = [learn(options.data, options.steps)]
    with mock.patch.object(UNet, "skip", without):
        found.append(learn(options.data, options.steps))
    image, truth = (tifffile.imread(p) for p in _files(options.data, "val")[0])
    draw(options.output, image, [truth, *found])


def without(self: torch.nn.Module, number: int, skip: Tensor, coarse: Tensor) -> Tensor:
    """Nothing comes from the way down."""
    return torch.zeros_like(skip)


def learn(data: Path, steps: int) -> Labels:
    """Labels of the first image of ``val``; the scores of all are printed."""
    from napari_unet import evaluate, predict, train

    teach, measure = (
        tuple(zip(*_files(data, part), strict=True)) for part in ("train", "val")
    )
    model = train(
        list(teach[0]),
        list(teach[1]),
        annotation="complete",
        validation=(list(measure[0]), list(measure[1])),
        max_steps=steps,
        seed=0,
    )
    labels = [predict(model, path) for path in measure[0]]
    truths = [tifffile.imread(path).astype(np.int32) for path in measure[1]]
    sys.stdout.write(f"{evaluate(labels, truths, task='classes')}\n")
    return labels[0]


def _files(data: Path, part: str) -> list[tuple[Path, Path]]:
    images = sorted((data / part / "images").glob("*.tif"))
    return [(path, data / part / "labels" / path.name) for path in images]


def draw(path: Path, image: NDArray[np.uint8], labels: list[Labels]) -> None:
    """The image and the labels side by side, twice as large."""
    parts = [image[CROP]]
    parts += [np.where(some[CROP] > 0, 255, 0).astype(np.uint8) for some in labels]
    gap = np.full((parts[0].shape[0], GAP // 2), 128, np.uint8)
    row = np.concatenate([p for part in parts for p in (part, gap)][:-1], axis=1)
    size = (row.shape[1] * 2, row.shape[0] * 2)
    picture = Image.fromarray(row).resize(size, Image.Resampling.NEAREST)
    picture.quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
