"""The last layer begins with the frequency of classes, where one fills nearly all.

From logits of zero, such a network first learns to answer that class everywhere, and
its last layer, which learns fastest, runs so far into that answer that hundreds of
steps go by before anything else appears. Where its biases already say how frequent each
class is, the first gradients go into telling classes apart (the prior of Lin et al.
2017, section 3.3). Where classes are more alike, zero is the better beginning: see
docs/explanation/recipe.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor, nn

from napari_unet.data.sampling import PatchSampler

PATCHES = 32
"""Patches in which voxels are counted."""
DOMINANT = 0.9
"""Share of the voxels from which on a class counts as filling nearly all."""
LEAST = 1e-3
"""Smallest share: no class begins out of reach."""


def begin_with_shares(network: nn.Module, shares: Sequence[float]) -> bool:
    """Set the biases of the last layer in place, if one class fills nearly all.

    Nothing is done for networks of others, whose last layer may be anything.

    Parameters
    ----------
    network : nn.Module
    shares : sequence of float
        Of the voxels, by class.

    Returns
    -------
    bool
        Whether they were set.
    """
    bias = getattr(getattr(network, "head", None), "bias", None)
    if not isinstance(bias, Tensor) or len(bias) != len(shares):
        return False
    if max(shares) < DOMINANT:
        return False
    logits = [math.log(max(share, LEAST)) for share in shares]
    middle = sum(logits) / len(logits)  # softmax sees differences alone
    with torch.no_grad():
        bias.copy_(bias.new_tensor([logit - middle for logit in logits]))
    return True


def measure_shares(
    sampler: PatchSampler,
    batch_size: int,
    seed: int,
    class_weights: Sequence[float],
    n_classes: int,
) -> list[float]:
    """What :func:`begin_with_shares` takes, in the patches that will teach.

    Parameters
    ----------
    sampler : PatchSampler
    batch_size : int
        Patches that are held in memory at a time.
    seed : int
    class_weights : sequence of float
        How much a voxel of each class counts; empty where all count the same.
    n_classes : int
    """
    generator = Generator().manual_seed(seed)
    counts = torch.zeros(n_classes, dtype=torch.float64)
    for _ in range(math.ceil(PATCHES / batch_size)):
        index = sampler.draw(batch_size, generator).index
        counts += torch.bincount(index[index >= 0], minlength=n_classes).cpu()
    if class_weights:
        counts *= counts.new_tensor(class_weights)
    shares: list[float] = (counts / counts.sum().clamp(min=1e-9)).tolist()
    return shares
