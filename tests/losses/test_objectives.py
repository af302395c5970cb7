from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from scipy import ndimage
from torch import Tensor

from napari_unet.config import REGRESSION_LOSSES, LossConfig, LossName
from napari_unet.losses.masked import classes_loss, objects_loss
from napari_unet.losses.objectives import (
    ObjectiveSettings,
    make_objective,
    segmentation_loss,
)
from napari_unet.losses.terms import REACH, focal, signed_distance, tversky

SEGMENTATION = [k for k in get_args(LossName) if k not in REGRESSION_LOSSES]
EXTRA = [
    LossConfig(label_smoothing=0.1),
    LossConfig(kind="boundary", label_smoothing=0.2),
    LossConfig(kind="focal", focal_gamma=0.5),
]
LOSSES = [LossConfig(kind=kind) for kind in SEGMENTATION] + EXTRA
EVERY = [
    *((task, loss) for task in ("classes", "objects") for loss in LOSSES),
    *(("regression", LossConfig(kind=kind)) for kind in ("auto", *REGRESSION_LOSSES)),
]
OUTPUTS = {"classes": 3, "objects": 2, "regression": 1}


@dataclass
class Truth:
    index: Tensor
    distance: Tensor | None = None
    values: Tensor | None = None
    weight: Tensor | None = None


def truth(task: str, shape: tuple[int, ...], seed: int = 1) -> Truth:
    generator = torch.Generator().manual_seed(seed)
    high = {"classes": 3, "objects": 2, "regression": 1}[task]
    index = torch.randint(-1, high, shape, generator=generator)
    index.flatten()[:2] = torch.tensor([-1, 0])
    values = torch.randn((shape[0], 1, *shape[1:]), generator=generator)
    weight = 1 + 9 * torch.rand(shape, generator=generator)
    return Truth(index, torch.rand(shape, generator=generator), values, weight)


@pytest.mark.parametrize(("task", "loss"), EVERY)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(2, 9, 7), (1, 4, 6, 5)])
@pytest.mark.parametrize("extreme", [1.0, 1e4])
def test_unannotated_voxels_have_exactly_zero_gradient(
    task, loss, weighted, shape, extreme
):
    true, n = truth(task, shape), OUTPUTS[task]
    if task == "objects":
        n += len(shape) - 1  # directions to the centre
    weights = (0.5, 1.0, 2.0)[: 3 if task == "classes" else 2] if weighted else ()
    objective = make_objective(task, ObjectiveSettings(loss, weights, scale=3.0))
    logits = (torch.randn(shape[0], n, *shape[1:]) * extreme).requires_grad_()
    value = objective(logits, true)
    value.backward()
    assert torch.isfinite(value)
    outside = (true.index == -1).unsqueeze(1).expand_as(logits)
    assert (logits.grad[outside] == 0).all()
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[~outside] != 0).any()


@pytest.mark.parametrize(("task", "loss"), EVERY)
def test_nothing_annotated_is_zero_gradient_and_no_nan(task, loss):
    true = truth(task, (1, 6, 6))
    true.index[:] = -1
    logits = torch.randn(1, OUTPUTS[task], 6, 6, requires_grad=True)
    value = make_objective(task, ObjectiveSettings(loss))(logits, true)
    value.backward()
    assert torch.isfinite(value)
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_least_near_the_truth(loss):
    """Gradient descent on the logits alone has to find the truth."""
    true = truth("classes", (1, 12, 12))
    objective = make_objective("classes", ObjectiveSettings(loss))
    logits = torch.zeros(1, 3, 12, 12, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.5)
    for _ in range(60):
        optimizer.zero_grad()
        objective(logits, true).backward()
        optimizer.step()
    known = true.index >= 0
    assert (logits.argmax(1) == true.index)[known].all()


def test_the_general_form_agrees_with_the_fast_default():
    true = truth("classes", (2, 8, 8))
    logits = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(
        segmentation_loss(logits, true.index, ObjectiveSettings()),
        classes_loss(logits, true.index),
    )
    equal = ObjectiveSettings(class_weights=(2.0, 2.0, 2.0))
    torch.testing.assert_close(
        make_objective("classes", equal)(logits, true),
        classes_loss(logits, true.index),
    )
    objects = truth("objects", (2, 8, 8))
    default = make_objective("objects", ObjectiveSettings())
    torch.testing.assert_close(
        default(logits[:, :2], objects),
        objects_loss(logits[:, :2], objects.index, objects.distance),
    )


def test_focal_agrees_with_its_definition():
    logits, index = torch.randn(20, 3), torch.randint(0, 3, (20,))
    p = logits.softmax(1)[range(20), index]
    expected = -((1 - p) ** 2 * p.log()).mean()
    torch.testing.assert_close(focal(logits, index, None, 2.0), expected)


def test_tversky_agrees_with_its_definition():
    p, index = torch.rand(30, 1), torch.randint(0, 2, (30,))
    both = torch.cat([1 - p, p], 1)
    scores = []
    for k in range(2):
        own = index == k
        hit = both[own, k].sum()
        missed, invented = (1 - both[own, k]).sum(), both[~own, k].sum()
        scores.append(hit / (hit + 0.7 * missed + 0.3 * invented))
    expected = 1 - sum(scores) / 2
    torch.testing.assert_close(tversky(both, index, 0.7), expected)


@pytest.mark.parametrize("shape", [(1, 20, 23), (1, 9, 12, 11)])
def test_distances_agree_with_scipy(shape):
    index = torch.zeros(shape, dtype=torch.long)
    index[(0, *(slice(2, 7),) * (len(shape) - 1))] = 1
    found = signed_distance(index, 2)[0, 1]
    inside = index[0].numpy() == 1
    steps = {"metric": "chessboard"}
    expected = ndimage.distance_transform_cdt(~inside, **steps)
    expected = expected - ndimage.distance_transform_cdt(inside, **steps)
    expected = expected.clip(-REACH, REACH) / REACH
    torch.testing.assert_close(found, torch.from_numpy(expected).float())


def test_what_is_not_annotated_is_no_border():
    index = torch.full((1, 8, 8), -1)
    index[0, 2:6, 2:6] = 1
    distance = signed_distance(index, 2)
    assert (distance[0, 1, 2:6, 2:6] == -1).all()  # no border is known
    assert (distance[0, 0, 2:6, 2:6] == 1).all()  # nor any background
    assert (distance[:, :, :2] == 0).all()


def test_class_weights_move_the_balance():
    index = torch.tensor([[[0] * 9 + [1]]])
    logits = torch.zeros(1, 2, 1, 10, requires_grad=True)
    loss = LossConfig(kind="cross-entropy")
    settings = ObjectiveSettings(loss, (1.0, 9.0))
    make_objective("classes", settings)(logits, Truth(index)).backward()
    per_class = [logits.grad[0, 1][index[0] == k].sum() for k in (0, 1)]
    torch.testing.assert_close(per_class[0], -per_class[1])


def test_errors_of_values_are_counted_in_their_spread():
    true = truth("regression", (1, 5, 5))
    logits = torch.randn(1, 1, 5, 5)
    known = true.index >= 0
    difference = (logits - true.values)[:, 0][known]
    one = make_objective("regression", ObjectiveSettings(LossConfig(kind="mse")))
    torch.testing.assert_close(one(logits, true), (difference**2).mean())
    big = Truth(true.index, values=true.values * 1000)
    scaled = ObjectiveSettings(LossConfig(kind="mse"), scale=1000.0)
    thousand = make_objective("regression", scaled)
    torch.testing.assert_close(thousand(logits * 1000, big), one(logits, true))


@pytest.mark.parametrize("class_weights", [(), (0.5, 1.0, 2.0)])
def test_the_weighted_cross_entropy_is_a_weighted_mean(class_weights):
    true = truth("classes", (2, 5, 6))
    logits = torch.randn(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    settings = ObjectiveSettings(
        LossConfig(kind="weighted-cross-entropy"), class_weights
    )
    loss = make_objective("classes", settings)(logits, true)
    total = weight = 0.0
    for n, y, x in (true.index >= 0).nonzero().tolist():
        k = int(true.index[n, y, x])
        each = float(true.weight[n, y, x]) * (class_weights or (1.0,) * 3)[k]
        total -= each * float(logits[n, :, y, x].log_softmax(0)[k])
        weight += each
    assert float(loss) == pytest.approx(total / weight, rel=1e-5)
    plain = ObjectiveSettings(LossConfig(kind="cross-entropy"), class_weights)
    same = Truth(true.index)
    assert make_objective("classes", settings)(logits, same) == pytest.approx(
        float(make_objective("classes", plain)(logits, same))
    )
