"""Losses over annotated voxels only.

Voxels that nobody annotated have exactly zero gradient with respect to the logits.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

UNANNOTATED = -1


def classes_loss(logits: Tensor, index: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice over annotated voxels.

    The sum of both is the usual choice since nnU-Net (Isensee et al. 2021): the first
    has good gradients everywhere, the second does not let rare classes drown.

    Parameters
    ----------
    logits : Tensor, N K (Z) Y X
    index : Tensor of int64, N (Z) Y X
        Class index, -1 where not annotated.
    """
    logits = logits.float()
    mask = index != UNANNOTATED
    count = mask.sum().clamp(min=1)
    entropy = F.cross_entropy(logits, index, ignore_index=UNANNOTATED, reduction="sum")
    one_hot = F.one_hot(index.clamp(min=0), logits.shape[1]).movedim(-1, 1)
    dice = _soft_dice(logits.softmax(dim=1), one_hot.float(), mask.unsqueeze(1))
    return entropy / count + dice


def objects_loss(logits: Tensor, index: Tensor, distance: Tensor) -> Tensor:
    """Foreground (cross-entropy plus Dice) and centre distance (mean absolute error).

    Parameters
    ----------
    logits : Tensor, N 2 (Z) Y X
        Foreground and centre distance before the sigmoid.
    index : Tensor of int64, N (Z) Y X
        1 object, 0 background, -1 not annotated.
    distance : Tensor, N (Z) Y X
        Normalised centre distance, 0 to 1.
    """
    logits = logits.float()
    mask = index != UNANNOTATED
    weight = mask.float()
    count = weight.sum().clamp(min=1)
    foreground = (index == 1).float()
    entropy = F.binary_cross_entropy_with_logits(
        logits[:, 0], foreground, weight=weight, reduction="sum"
    )
    probability = logits[:, :1].sigmoid()
    dice = _soft_dice(probability, foreground.unsqueeze(1), mask.unsqueeze(1))
    return entropy / count + dice + distance_loss(logits[:, 1], index, distance)


def distance_loss(logit: Tensor, index: Tensor, distance: Tensor) -> Tensor:
    """Mean absolute error of the centre distance, and once more inside objects.

    Parameters
    ----------
    logit : Tensor, N (Z) Y X
        Centre distance before the sigmoid.
    index, distance : Tensor, N (Z) Y X
        As in :func:`objects_loss`.
    """
    weight = (index != UNANNOTATED).float()
    error = (logit.sigmoid() - distance).abs() * weight
    # The distance is 0 on all background: objects alone carry the information.
    inside = (index == 1).float()
    share = (error * inside).sum() / inside.sum().clamp(min=1)
    return error.sum() / weight.sum().clamp(min=1) + share


def _soft_dice(probability: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """1 - soft Dice, mean over the classes present; all ``N K (Z) Y X``."""
    dims = [0, *range(2, probability.ndim)]
    # Not a product with the mask: 0 times infinity would be NaN.
    probability = torch.where(mask, probability, 0.0)
    target = torch.where(mask, target, 0.0)
    overlap = (probability * target).sum(dims)
    total = probability.sum(dims) + target.sum(dims)
    present = target.sum(dims) > 0
    dice = 2 * overlap / total.clamp(min=1e-6)
    return 1 - (dice * present).sum() / present.sum().clamp(min=1)
