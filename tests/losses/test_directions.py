from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.data.targets import centre_distance
from napari_unet.losses.directions import directions, directions_loss


def disc(shape: tuple[int, ...], radius: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Offsets from the middle, and the centre distance of a ball around it."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
    offsets = grid - np.array([(n - 1) / 2 for n in shape]).reshape(
        -1, *[1] * len(shape)
    )
    inside = (np.linalg.norm(offsets, axis=0) < radius).astype(np.int32)
    distance = centre_distance(inside, [1.0] * len(shape))
    return torch.from_numpy(offsets)[None], torch.from_numpy(distance)[None]


@pytest.mark.parametrize("shape", [(41, 41), (25, 25, 25)])
def test_directions_point_to_the_centre(shape):
    offsets, distance = disc(shape, 10)
    found = directions(distance)
    assert found.shape == offsets.shape
    away = offsets.norm(dim=1)
    ring = (away > 2) & (away < 8)
    cosine = -(found * offsets).sum(1) / away.clamp(min=1e-6)
    assert cosine[ring].min() > 0.85
    assert (found.norm(dim=1)[away > 13] == 0).all()


def test_directions_turn_round_where_two_objects_touch():
    ids = np.zeros((20, 40), np.int32)
    ids[4:16, 4:20], ids[4:16, 20:36] = 1, 2
    found = directions(torch.from_numpy(centre_distance(ids, (1.0, 1.0)))[None])[0, 1]
    assert found[10, 18] < -0.9
    assert found[10, 21] > 0.9


def test_the_loss_is_least_where_the_directions_are_right():
    _, distance = disc((21, 21), 8)
    index = (distance > 0).long()
    right = 2 * torch.atanh((directions(distance) / 2).clamp(-0.999, 0.999))
    best = directions_loss(right, index, distance)
    assert best < 1e-6
    assert directions_loss(-right, index, distance) > 1
    assert directions_loss(torch.zeros_like(right), index, distance) > best
    nothing = torch.full_like(index, -1)
    assert directions_loss(-right, nothing, distance) == 0
