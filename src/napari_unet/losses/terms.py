"""Losses of annotated voxels: each sees logits ``M K`` and class indices ``M``.

No term knows of voxels that nobody annotated: :func:`annotated` takes them away first,
so that their gradient is exactly zero whatever the term does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

UNANNOTATED = -1
REACH = 8
"""Voxels from a border at which the boundary loss stops to grow."""


def annotated(maps: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Annotated voxels alone: ``M K`` of maps ``N K (Z) Y X``, and ``M`` of an index.

    Parameters
    ----------
    maps : Tensor, N K (Z) Y X
    index : Tensor of int64, N (Z) Y X
        -1 where not annotated.
    """
    mask = index != UNANNOTATED
    return maps.movedim(1, -1)[mask], index[mask]


def cross_entropy(
    logits: Tensor,
    index: Tensor,
    weights: Tensor | None,
    smoothing: float = 0.0,
    each: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy; with smoothed labels after Szegedy et al. 2016.

    Parameters
    ----------
    logits : Tensor, M K
    index : Tensor, M
    weights : Tensor, K, optional
        How much each class counts.
    smoothing : float
        Share of each label that is given to all classes.
    each : Tensor, M, optional
        How much each voxel counts.
    """
    if not len(index):
        return logits.sum()
    if each is not None:
        loss = F.cross_entropy(
            logits, index, weights, label_smoothing=smoothing, reduction="none"
        )
        total = each if weights is None else each * weights[index]
        return (loss * each).sum() / total.sum()
    return F.cross_entropy(logits, index, weights, label_smoothing=smoothing)


def focal(
    logits: Tensor, index: Tensor, weights: Tensor | None, gamma: float
) -> Tensor:
    """Focal loss (Lin et al. 2017): voxels that are right already count little."""
    if not len(index):
        return logits.sum()
    own = logits.log_softmax(dim=1).gather(1, index.unsqueeze(1)).squeeze(1)
    # 1 - p without cancellation, and bounded away from 0, where the power of a gamma
    # below 1 has no finite gradient.
    easy = (-torch.expm1(own)).clamp(min=1e-6) ** gamma
    weight = torch.ones_like(own) if weights is None else weights[index]
    return -(easy * own * weight).sum() / weight.sum()


def tversky(probability: Tensor, index: Tensor, misses: float = 0.5) -> Tensor:
    """1 - Tversky index (Salehi et al. 2017), mean over the classes present.

    Parameters
    ----------
    probability : Tensor, M K
    index : Tensor, M
    misses : float
        Weight of what is missed; what is invented gets the rest. 0.5 is soft Dice.
    """
    truth = F.one_hot(index, probability.shape[1]).to(probability.dtype)
    hit = (probability * truth).sum(0)
    missed = truth.sum(0) - hit
    invented = probability.sum(0) - hit
    present = truth.sum(0) > 0
    total = hit + misses * missed + (1 - misses) * invented
    overlap = hit / total.clamp(min=1e-6)
    return 1 - (overlap * present).sum() / present.sum().clamp(min=1)


def signed_distance(index: Tensor, n_classes: int) -> Tensor:
    """How far each voxel lies outside (> 0) or inside (< 0) each class.

    In chessboard steps over `REACH`, from -1 to 1, by repeated dilation: it stays on
    the device. What is not annotated is neither inside nor outside; a class without a
    voxel is 1 everywhere, one without a border -1.

    Parameters
    ----------
    index : Tensor of int64, N (Z) Y X
        -1 where not annotated.

    Returns
    -------
    Tensor, N K (Z) Y X
    """
    pool = F.max_pool3d if index.ndim == 4 else F.max_pool2d
    inside = F.one_hot(index.clamp(min=0), n_classes).movedim(-1, 1).float()
    known = (index != UNANNOTATED).unsqueeze(1).float()
    inside = inside * known
    outside = known - inside
    to_class, to_others = inside, outside
    near, far = inside.clone(), outside.clone()
    for _ in range(REACH - 1):
        near, far = pool(near, 3, 1, 1), pool(far, 3, 1, 1)
        to_class, to_others = to_class + near, to_others + far
    # A voxel reached in the k-th dilation was counted REACH - k times.
    return (outside * (REACH - to_class) - inside * (REACH - to_others)) / REACH


def boundary(probability: Tensor, distance: Tensor) -> Tensor:
    """Boundary loss (Kervadec et al. 2019): mean of probability times distance.

    Probability far outside its class costs most; inside it earns. With the distances
    cut at `REACH`, one stray region cannot drown all borders.

    Parameters
    ----------
    probability, distance : Tensor, M K
        Distances as :func:`signed_distance` tells them.
    """
    if not len(probability):
        return probability.sum()
    return (probability * distance).sum(1).mean()
