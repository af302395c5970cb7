"""The starter model that ships with the package, and when it is of use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from napari_unet.networks.pixel_unet import PixelUNet

if TYPE_CHECKING:
    from napari_unet.live.learner import LiveLearner

STARTER_FOLDER = Path(__file__).parents[1] / "models" / "starters"
STARTER_NAME = "nuclei_2d.safetensors"
"""U-Net for one channel in 2D with two heads; written by scripts/train_starter.py."""

UNET = {
    "channels": [16, 32, 64, 128],
    "strides": [(2, 2)] * 3,
    "kernels": [(3, 3)] * 4,
    "convolutions": [1, 2, 2, 2],
    "stem": (2, 2),
}
FITS = 0.85
"""Share of the strokes that a starter has to get right before it learnt any of them:
one from another kind of image does harm."""
MAX_TILES = 4
"""Places with strokes at which that is looked at."""
STARTER_STEPS = 200
"""How many steps of learning a starter that fits is worth."""


def starter_network() -> PixelUNet:
    """The network that the starter belongs to; its U-Net has both heads."""
    return PixelUNet(1, 4, False, (1.0, 1.0), 1, 1, UNET)


def load_starter(objects: bool) -> dict[str, Tensor] | None:
    """Weights of the starter's U-Net with one of its heads; ``None`` if it is missing.

    Names are those within a `PixelUNet`.
    """
    from safetensors.torch import load_file

    path = STARTER_FOLDER / STARTER_NAME
    if not path.is_file():
        return None
    weights = load_file(path)
    head = slice(2, 4) if objects else slice(0, 2)
    # The last layer goes back to full resolution: its outputs are the second axis.
    weights["head.weight"] = weights["head.weight"][:, head]
    weights["head.bias"] = weights["head.bias"][head]
    return {
        f"unet.{k}": v.float() if v.is_floating_point() else v
        for k, v in weights.items()
    }


def try_starter(learner: LiveLearner) -> bool:
    """Begin with the starter if it tells the strokes apart; whether it does."""
    if learner.network.n_unet != starter_network().n_unet:
        return False
    weights = load_starter(learner.task == "objects")
    if weights is None:
        return False
    own = learner.network.state_dict()
    if any(
        name not in own or own[name].shape != w.shape for name, w in weights.items()
    ):
        return False
    before = {k: v.clone() for k, v in own.items()}
    learner.adopt(weights, 0)
    if _right(learner) >= FITS:
        learner.adopt(weights, STARTER_STEPS)
        return True
    learner.adopt(before, 0)
    return False


def _right(learner: LiveLearner) -> float:
    """Share of the strokes that the U-Net gets right, each class counted equally.

    A few tiles with strokes tell enough: whoever pressed Train waits for a preview.
    """
    previewer = learner.previewer()
    book = learner.book
    right = torch.zeros(book.n_outputs)
    total = torch.zeros(book.n_outputs)
    for number, box in learner.features.cells()[:MAX_TILES]:
        _, unet = previewer.opinions(learner.patches, number, box)
        sample = book.samples[number]
        teaching = sample.index if sample.teaching is None else sample.teaching
        truth = teaching[tuple(slice(*b) for b in box)]
        found = unet.argmax(axis=0)
        for value in range(book.n_outputs):
            here = truth == value
            right[value] += float((found[here] == value).sum())
            total[value] += float(here.sum())
    seen = total > 0
    return float((right[seen] / total[seen]).mean()) if bool(seen.any()) else 0.0
