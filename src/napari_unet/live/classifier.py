"""Fitting the pixel classifier: the first answer, in well under a second."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.live.features import FeatureTiles
from napari_unet.live.strokes import StrokeBook
from napari_unet.networks.pixel_unet import PixelUNet

STEPS = 200
RATE = 1e-2
WEIGHT_DECAY = 1e-2
NOISE = 0.3
"""Standard deviation of the noise on standardised features."""
DROPOUT = 0.5
"""Share of the features that a member does not see in a step. Without noise and
dropout, perceptrons know few strokes by heart; both were chosen on three data sets."""
MEMORY_WEIGHT = 3.0
"""Of what was held true before, against the strokes."""
DRAWN = 128
"""Pixels that each member sees in a step."""
MAX_PIXELS = 40_000
"""Annotated pixels that are fitted to, at most."""


Memory = tuple[Tensor, Tensor]
"""Features ``P F`` of pixels that nobody annotated, and what was held true of them,
probabilities ``P K``."""


def fit_classifier(
    network: PixelUNet,
    book: StrokeBook,
    features: FeatureTiles,
    seed: int,
    memory: Memory | None = None,
) -> float:
    """Fit the classifier of `network` to the strokes that teach.

    Parameters
    ----------
    network, book, features, seed
    memory : Memory, optional
        What the last answer was elsewhere. People paint on what is wrong: strokes show
        the exceptions more and more, and what was left alone is the rule.

    Returns
    -------
    float
        Share of the annotated pixels that it gets right: below about 0.9 the strokes
        contradict each other.
    """
    values, target = _annotated(book, features, seed)
    classifier = network.pixels
    if not network.standardised:
        # Once: the U-Net sees features on this scale, too.
        network.standardise(*features.spread())
    values = classifier.standardise(values)
    if memory is not None:
        remembered = classifier.standardise(memory[0])
    generator = torch.Generator().manual_seed(seed)
    for weight in classifier.weights:
        scale = (2 / weight.shape[1]) ** 0.5
        weight.data = torch.randn(weight.shape, generator=generator) * scale
    for bias in classifier.biases:
        bias.data.zero_()
    optimizer = torch.optim.AdamW(
        classifier.parameters(), lr=RATE, weight_decay=WEIGHT_DECAY, fused=True
    )
    members = classifier.members
    # Every class as often as any other: how much of each was painted says nothing
    # about how much of it there is.
    chance = 1 / torch.bincount(target)[target]
    shape = (members, DRAWN)
    draws = torch.multinomial(
        chance, STEPS * members * DRAWN, replacement=True, generator=generator
    ).view(STEPS, *shape)
    for step, drawn in enumerate(draws):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        x = values[drawn]
        x = x + NOISE * torch.randn(x.shape, generator=generator)
        kept = torch.rand((members, 1, x.shape[2]), generator=generator) >= DROPOUT
        x = x * kept / (1 - DROPOUT)
        if memory is not None:
            known = torch.randint(len(remembered), shape, generator=generator)
            x = torch.cat([x, remembered[known]], dim=1)
        logits = classifier.members_logits(x)
        strokes = logits[:, :DRAWN].flatten(0, 1)
        loss = F.cross_entropy(strokes, target[drawn].flatten())
        if memory is not None:
            log = logits[:, DRAWN:].log_softmax(-1)
            loss = loss - MEMORY_WEIGHT * (memory[1][known] * log).sum(-1).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    features.forget_beliefs()
    with torch.inference_mode():
        found = classifier.members_logits(values).softmax(-1).mean(0).argmax(-1)
    return float((found == target).float().mean())


def _annotated(
    book: StrokeBook, features: FeatureTiles, seed: int
) -> tuple[Tensor, Tensor]:
    """Features ``P F`` and classes ``P`` of the annotated pixels, or a draw of them."""
    total = int(book.counts().sum())
    share = min(1.0, MAX_PIXELS / max(1, total))
    chooser = np.random.default_rng(seed)
    parts, targets = [], []
    for number, sample in book.samples.items():
        for value, points in enumerate(sample.points):
            wanted = int(np.ceil(share * len(points)))
            if not wanted:
                continue
            if wanted < len(points):
                points = points[chooser.choice(len(points), wanted, replace=False)]
            parts.append(features.of(number, points))
            targets.append(torch.full((len(points),), value))
    return torch.cat(parts), torch.cat(targets)
