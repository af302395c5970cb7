"""From settings to the function that training makes small, task by task.

A task, or another kind of target for objects, is one entry of `OBJECTIVES`: a function
that takes :class:`ObjectiveSettings` and returns an :class:`Objective`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_unet.config import LossConfig, Task
from napari_unet.losses.directions import directions_loss
from napari_unet.losses.masked import classes_loss, distance_loss, objects_loss
from napari_unet.losses.terms import (
    annotated,
    boundary,
    cross_entropy,
    focal,
    signed_distance,
    tversky,
)


class Targets(Protocol):
    """What the network's output is compared with; a batch is one."""

    @property
    def index(self) -> Tensor:
        """``N (Z) Y X``, int64; -1 where not annotated."""
        ...

    @property
    def distance(self) -> Tensor | None:
        """``N (Z) Y X``: the centre distance of task ``objects``."""
        ...

    @property
    def values(self) -> Tensor | None:
        """``N V (Z) Y X``: continuous targets."""
        ...

    @property
    def weight(self) -> Tensor | None:
        """``N (Z) Y X``: how much each voxel counts, where a loss weighs them."""
        ...


class Objective(Protocol):
    """A loss of logits ``N K (Z) Y X``; zero gradient where nothing is annotated."""

    def __call__(self, logits: Tensor, targets: Targets, /) -> Tensor: ...


@dataclass(frozen=True)
class ObjectiveSettings:
    """What a loss has to know.

    Parameters
    ----------
    loss : LossConfig
    class_weights : tuple of float
        One for each class; empty where all count the same.
    scale : float
        Spread of the values of task ``regression``, in their unit: errors are counted
        in it.
    """

    loss: LossConfig = field(default_factory=LossConfig)
    class_weights: tuple[float, ...] = ()
    scale: float = 1.0


PixelTerm = Callable[[Tensor, Tensor], Tensor]
"""A loss of logits ``M K`` and indices ``M``."""


def make_objective(task: Task, settings: ObjectiveSettings) -> Objective:
    """The loss of a task."""
    return OBJECTIVES[task](settings)


def _classes(settings: ObjectiveSettings) -> Objective:
    if _is_plain(settings):
        return lambda logits, targets: classes_loss(logits, targets.index)
    segmentation = partial(segmentation_loss, settings=settings)
    if _is_weighted(settings):
        return lambda logits, targets: segmentation(
            logits, targets.index, weight=targets.weight
        )
    return lambda logits, targets: segmentation(logits, targets.index)


def _objects(settings: ObjectiveSettings) -> Objective:
    maps = _object_maps(settings)

    def loss(logits: Tensor, targets: Targets) -> Tensor:
        total = maps(logits[:, :2], targets)
        if logits.shape[1] > 2:
            total = total + directions_loss(
                logits[:, 2:].float(), targets.index, cast("Tensor", targets.distance)
            )
        return total

    return loss


def _object_maps(settings: ObjectiveSettings) -> Objective:
    if _is_plain(settings):
        return lambda logits, targets: objects_loss(
            logits, targets.index, cast("Tensor", targets.distance)
        )

    def loss(logits: Tensor, targets: Targets) -> Tensor:
        # A sigmoid is a softmax against a background whose logit is 0.
        foreground = logits[:, :1].float()
        both = torch.cat([torch.zeros_like(foreground), foreground], dim=1)
        distance = cast("Tensor", targets.distance)
        weight = targets.weight if _is_weighted(settings) else None
        segmentation = segmentation_loss(both, targets.index, settings, weight)
        return segmentation + distance_loss(
            logits[:, 1].float(), targets.index, distance
        )

    return loss


def _regression(settings: ObjectiveSettings) -> Objective:
    squared = settings.loss.kind == "mse"
    error = F.mse_loss if squared else F.smooth_l1_loss

    def loss(logits: Tensor, targets: Targets) -> Tensor:
        found, _ = annotated(logits.float(), targets.index)
        true, _ = annotated(cast("Tensor", targets.values), targets.index)
        if not len(true):
            return found.sum()
        return error(found / settings.scale, true / settings.scale)

    return loss


OBJECTIVES: dict[Task, Callable[[ObjectiveSettings], Objective]] = {
    "classes": _classes,
    "objects": _objects,
    "regression": _regression,
}


def _is_weighted(settings: ObjectiveSettings) -> bool:
    return settings.loss.kind == "weighted-cross-entropy"


def _is_plain(settings: ObjectiveSettings) -> bool:
    """Whether the default loss is wanted, which has a faster form of its own."""
    return (
        settings.loss.kind in ("auto", "cross-entropy+dice")
        and not settings.loss.label_smoothing
        and not settings.class_weights
    )


def segmentation_loss(
    logits: Tensor,
    index: Tensor,
    settings: ObjectiveSettings,
    weight: Tensor | None = None,
) -> Tensor:
    """The chosen loss of a segmentation, over annotated voxels.

    Parameters
    ----------
    logits : Tensor, N K (Z) Y X
    index : Tensor of int64, N (Z) Y X
        -1 where not annotated.
    settings : ObjectiveSettings
    weight : Tensor, N (Z) Y X, optional
        How much each voxel counts in the weighted cross-entropy; all the same by
        default.
    """
    chosen = settings.loss
    found, truth = annotated(logits.float(), index)
    weights = None
    if settings.class_weights:
        weights = found.new_tensor(settings.class_weights)
    if chosen.kind == "weighted-cross-entropy":
        each = (
            None if weight is None else annotated(weight.unsqueeze(1), index)[0][:, 0]
        )
        return cross_entropy(found, truth, weights, chosen.label_smoothing, each)
    if chosen.kind == "focal":
        loss = focal(found, truth, weights, chosen.focal_gamma)
    else:
        loss = cross_entropy(found, truth, weights, chosen.label_smoothing)
    if chosen.kind == "cross-entropy":
        return loss
    probability = found.softmax(dim=1)
    misses = chosen.tversky_misses if chosen.kind == "tversky" else 0.5
    loss = loss + tversky(probability, truth, misses)
    if chosen.kind == "boundary":
        distance, _ = annotated(signed_distance(index, logits.shape[1]), index)
        loss = loss + chosen.boundary_weight * boundary(probability, distance)
    return loss
