"""Late fusion: what a missing channel does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import napari_unet
from napari_unet.models.model import Model
from napari_unet.networks.fusion_unet import FusionUNet

SIZE = 64


def network(n_in: int = 3, **changes: Any) -> FusionUNet:
    arguments: dict[str, Any] = {
        "channels": [4, 8],
        "strides": [(2, 2)],
        "kernels": [(3, 3)] * 2,
        "convolutions": [1, 1],
        "stem": (1, 1),
    }
    return FusionUNet(n_in, 2, **{**arguments, **changes})


def test_channels_are_left_out_while_it_learns_but_never_all():
    kept = network(missing=0.7)._kept(torch.ones(2000, 3, 8, 8))[:, :, 0, 0]
    assert kept.sum(1).min() == 1
    assert 0.3 < float(kept.mean()) < 0.6
    assert bool((kept.mean(0) - kept.mean()).abs().max() < 0.05)


def test_nothing_is_left_out_when_it_predicts():
    fused = network(missing=0.9).eval()
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(fused(image), fused(image))


def test_each_encoder_sees_one_channel():
    fused = network().eval()
    image = torch.rand(1, 3, 16, 16)
    before = fused(image)
    with torch.no_grad():
        for parameter in fused.others[1].parameters():
            parameter.zero_()
        # Of the third channel nothing is left.
        first = fused(image)
        image[:, 2] = 0
        assert torch.equal(first, fused(image))
    assert not torch.equal(first, before)


def picture(seed: int) -> tuple[Any, Any]:
    """Discs that both channels show, each with noise of its own; their truth."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE]
    truth = np.zeros((SIZE, SIZE), np.int32)
    for cy, cx in rng.integers(8, SIZE - 8, (6, 2)):
        truth[(y - cy) ** 2 + (x - cx) ** 2 < 40] = 1
    pixels = rng.normal(0, 0.25, (2, SIZE, SIZE)) + truth
    return pixels.astype(np.float32), truth


def dice_without_the_second(model: Model) -> float:
    found = []
    for seed in range(100, 104):
        pixels, truth = picture(seed)
        pixels[1] = 0
        labels = napari_unet.predict(model, pixels, axes="CYX") > 0
        found.append(2 * (labels & (truth > 0)).sum() / (labels.sum() + truth.sum()))
    return float(np.mean(found))


@pytest.mark.slow
def test_a_missing_channel_is_tolerated():
    images, truths = zip(*[picture(seed) for seed in range(6)], strict=True)
    model = napari_unet.train(
        list(images),
        list(truths),
        axes="CYX",
        annotation="complete",
        network="fusion_unet",
        base_channels=8,
        levels=3,
        max_steps=120,
        patch_size=(48, 48),
        batch_size=8,
        device="cpu",
    )
    assert dice_without_the_second(model) > 0.85
