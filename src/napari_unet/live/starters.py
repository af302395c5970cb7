"""The starter model that ships with the package, and when it is of use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from napari_unet.models.library import BUILT_IN
from napari_unet.models.model import Model
from napari_unet.training.transfer import Transfer, transfer_model

if TYPE_CHECKING:
    from napari_unet.live.learner import LiveLearner

STARTER = BUILT_IN / "Fluorescent nuclei.unet.zip"
"""For one channel in 2D, task ``objects``; written by scripts/train_starter.py."""
LEAST_SHARE = 0.9
"""Layers that have to be taken for the starter to know anything."""

FITS = 0.85
"""Share of the strokes that a starter has to get right before it learnt any of them for
its answer to count."""
MAX_TILES = 4
"""Places with strokes at which that is looked at."""
STARTER_STEPS = 200
"""How many steps of learning a starter that fits is worth."""


def load_starter() -> Model | None:
    """The starter; ``None`` if it is missing."""
    return Model.load(STARTER) if STARTER.is_file() else None


def try_starter(learner: LiveLearner) -> bool:
    """Begin with the starter, if the network can; whether it does."""
    start = load_starter() if learner.source.ndim == 2 else None
    if start is None:
        return False
    found = _fitted(learner, start)
    if found.share < LEAST_SHARE:
        return False
    own = learner.network.state_dict()
    head = {k: v.clone() for k, v in own.items() if k.startswith("unet.head.")}
    learner.adopt(found.weights, STARTER_STEPS)
    if _right(learner) < FITS:
        # What it has learnt to see is of use in other images, too; its answer is not.
        learner.adopt(head, STARTER_STEPS)
    return True


def _fitted(learner: LiveLearner, start: Model) -> Transfer:
    names = [c.name for c in learner.book.classes]
    found = transfer_model(
        learner.network, start, learner.task, names, learner.source.n_channels
    )
    if learner.task == "classes" and learner.book.n_outputs == 2:
        # The logit of the foreground, shared between the two classes: whatever they
        # are called, their difference says what the starter says.
        state = start.network.state_dict()
        for kind, axis in (("weight", 1), ("bias", 0)):
            name = f"unet.head.{kind}"
            half = state[name].select(axis, 0) / 2
            found.weights[name] = torch.stack([-half, half], axis)
    return found


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
