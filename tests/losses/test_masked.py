from __future__ import annotations

import pytest
import torch

from napari_unet.losses.masked import classes_loss, objects_loss


def random_index(high: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(-1, high, (2, 9, 7), generator=generator)


@pytest.mark.parametrize("extreme", [1.0, 1e4])
def test_unannotated_pixels_have_exactly_zero_gradient(extreme: float) -> None:
    index = random_index(3)
    logits = (torch.randn(2, 3, 9, 7) * extreme).requires_grad_()
    classes_loss(logits, index).backward()
    outside = (index == -1).unsqueeze(1).expand_as(logits)
    assert (logits.grad[outside] == 0).all()
    assert (logits.grad[~outside] != 0).any()

    index = random_index(2)
    logits = (torch.randn(2, 2, 9, 7) * extreme).requires_grad_()
    objects_loss(logits, index, torch.rand(2, 9, 7)).backward()
    outside = (index == -1).unsqueeze(1).expand_as(logits)
    assert (logits.grad[outside] == 0).all()
    assert (logits.grad[~outside] != 0).any()


def test_nothing_annotated_is_finite_and_teaches_nothing() -> None:
    logits = torch.randn(1, 2, 8, 8, requires_grad=True)
    index = torch.full((1, 8, 8), -1)
    loss = classes_loss(logits, index) + objects_loss(
        logits, index, torch.zeros(1, 8, 8)
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert (logits.grad == 0).all()


def test_right_answers_cost_less() -> None:
    index = random_index(3).clamp(min=0)
    right = torch.nn.functional.one_hot(index, 3).movedim(-1, 1) * 10.0
    assert classes_loss(right, index) < 0.01
    assert classes_loss(-right, index) > 5

    index = random_index(2).clamp(min=0)
    distance = index * 0.5
    logits = torch.stack([index * 20.0 - 10, (distance - 0.25) * 4e1 * (index < 2)], 1)
    logits[:, 1] = torch.logit(distance.clamp(1e-4, 1 - 1e-4))
    assert objects_loss(logits, index, distance) < 0.01
    assert objects_loss(-logits, index, distance) > 5


def test_classes_loss_agrees_with_its_definition() -> None:
    logits, index = torch.randn(1, 2, 4, 4), torch.randint(0, 2, (1, 4, 4))
    p = logits.softmax(1)
    one_hot = torch.stack([index == 0, index == 1], 1).float()
    entropy = -(one_hot * p.log()).sum(1).mean()
    dice = [
        2 * (p[:, k] * one_hot[:, k]).sum() / (p[:, k].sum() + one_hot[:, k].sum())
        for k in range(2)
    ]
    expected = entropy + 1 - sum(dice) / 2
    torch.testing.assert_close(classes_loss(logits, index), expected)
