"""Directions to the centre: what the network learns beside the maps of objects.

Where two objects touch, the centre distance is small on both sides and says little;
the direction towards the own centre turns right round. A network that has to tell it
separates touching objects better, though nothing is decoded from it: its outputs are
dropped when training ends. Unit vectors towards the centre are what flows (Stringer et
al. 2021) and vector fields (Neven et al. 2019) predict.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WEIGHT = 2.0
"""Of the squared error against the other terms."""


def directions(distance: Tensor) -> Tensor:
    """Unit vectors along which the centre distance rises, ``N D (Z) Y X``.

    Of length 0 where it is flat. Differences are in voxels: anisotropic voxels only
    bend the vectors.

    Parameters
    ----------
    distance : Tensor, N (Z) Y X
        Normalised centre distance.
    """
    ndim = distance.ndim - 1
    padded = F.pad(distance.unsqueeze(1), (1, 1) * ndim, mode="replicate")
    slopes = []
    for axis in range(2, 2 + ndim):
        slope = padded
        for other in range(2, 2 + ndim):
            size = slope.shape[other] - 2
            before, here, after = (slope.narrow(other, i, size) for i in range(3))
            # Sobel: a difference along one axis, smoothed along the others.
            if other == axis:
                slope = after - before
            else:
                slope = (before + 2 * here + after) / 4
        slopes.append(slope)
    gradient = torch.cat(slopes, dim=1)
    length = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    unit: Tensor = gradient / length.clamp(min=1e-4)
    return unit


def directions_loss(logits: Tensor, index: Tensor, distance: Tensor) -> Tensor:
    """Mean squared error of the directions inside objects.

    Parameters
    ----------
    logits : Tensor, N D (Z) Y X
        One output for each spatial axis; twice its hyperbolic tangent is compared, so
        that a unit vector is reached before the tangent is flat.
    index : Tensor of int64, N (Z) Y X
        1 object, 0 background, -1 not annotated.
    distance : Tensor, N (Z) Y X
        Normalised centre distance.
    """
    inside = (index == 1).to(logits.dtype)
    found = 2 * torch.tanh(logits / 2)
    error = (found - directions(distance)).square().sum(dim=1) * inside
    return WEIGHT * error.sum() / inside.sum().clamp(min=1)
