"""Losses of a live run: hard on strokes, soft where nobody painted."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor, cat, zeros_like

from napari_unet.data.sampling import Batch

SURE = 0.9
"""Probability from which on an annotated pixel teaches nothing more. Driven on to 1,
the network would learn the exceptions that people paint on as if they were the rule."""


def strokes_loss(
    logits: Tensor, batch: Batch, weights: Tensor, belief_weight: float
) -> Tensor:
    """Cross-entropy: hard on strokes, soft elsewhere.

    Where nobody painted, the network is drawn to what the classifier holds true there
    (distillation, Hinton et al. 2015): strokes alone, a few pixels out of a million,
    would be known by heart within seconds.

    Parameters
    ----------
    logits : Tensor, N K (Z) Y X
    batch : Batch
        With beliefs.
    weights : Tensor, K
        Of the classes.
    belief_weight : float
        Of what the classifier holds true, against the strokes.
    """
    log = logits.log_softmax(dim=1)
    free = batch.index < 0
    belief = cast("Tensor", batch.belief).clamp(1e-3, 1.0)
    soft = -(belief * log).sum(dim=1) * free
    loss = belief_weight * soft.mean()
    if bool((~free).any()):
        known = batch.index.clamp(min=0)
        own = log.gather(1, known.unsqueeze(1)).squeeze(1)
        weight = weights[known] * ~free
        wrong = own.detach() < math.log(SURE)
        loss = loss - (own * weight * wrong).sum() / weight.sum().clamp(min=1e-8)
    return loss


def objects_strokes_loss(
    logits: Tensor, batch: Batch, weights: Tensor, belief_weight: float
) -> Tensor:
    """The same for foreground, and the error of the centre distance in whole objects.

    Parameters
    ----------
    logits : Tensor, N 2 (Z) Y X
        Foreground and centre distance before the sigmoid.
    batch : Batch
        With beliefs and distances.
    weights : Tensor, 2
        Of background and objects.
    belief_weight : float
        As in :func:`strokes_loss`.
    """
    foreground = cat([zeros_like(logits[:, :1]), logits[:, :1]], dim=1)
    loss = strokes_loss(foreground, batch, weights, belief_weight)
    error = (logits[:, 1].sigmoid() - cast("Tensor", batch.distance)).abs()
    belief = cast("Tensor", batch.belief)[:, 1]
    # Sure background has no centre, whoever says so.
    empty = (batch.index == 0) | ((batch.index < 0) & (belief < 0.2))
    for where in (batch.index == 1, empty):
        if bool(where.any()):
            loss = loss + (error * where).sum() / where.sum()
    return loss
