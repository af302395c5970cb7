"""From wishes and data to a frozen plan: patch, network, batch, schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from napari_unet.config import TrainingConfig
from napari_unet.data.split import Part
from napari_unet.data.values import Spread, ValueAnnotation, measure_spread
from napari_unet.errors import ConfigError
from napari_unet.models.info import ModelInfo
from napari_unet.networks.catalogue import DEFAULT, known_networks
from napari_unet.networks.design import MAY_BE_COARSE, NetworkRequest
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.likeness import network_like
from napari_unet.networks.registry import design_network
from napari_unet.training.auxiliary import auxiliary_outputs
from napari_unet.training.resolution import keeps_classes

PATCH = {("cpu", 2): 128, ("cpu", 3): 48, ("gpu", 2): 256, ("gpu", 3): 96}
"""Edge of a patch in voxels, along the finest axes, by kind of device."""
BATCH_VOXELS = {
    ("cpu", 2): 2**17,
    ("cpu", 3): 2**17,
    ("gpu", 2): 2**20,
    ("gpu", 3): 2**21,
}
"""Voxels of a batch."""
COARSE_STEP = 4
"""Pixels of the grid that large classes are told on."""
COARSE_PATCH = 512
"""Edge of a patch where all classes are large: what a network needs to see is, too."""
LEARNING_RATE = 2e-3
MAX_CLASS_WEIGHT = 10.0
"""Of a balanced class, against the middle one: rarer classes would only make noise."""


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that a run needs to know; nothing is left to choose."""

    patch_size: tuple[int, ...]
    """(Z) Y X in voxels."""
    batch_size: int
    network: NetworkInfo
    learning_rate: float
    minutes: float
    """Longest time in minutes; infinite where steps count."""
    max_steps: int | None
    turnable: tuple[bool, ...]
    """Per axis: whether patches may be turned and scaled in it."""
    voxel_size: tuple[float, ...]
    class_weights: tuple[float, ...] = ()
    """One for each class; empty where all count the same."""
    spread: Spread | None = None
    """Where the values of task ``regression`` lie."""
    auxiliary: int = 0
    """Outputs that the network has only while it is trained."""
    coarse: bool = False
    """Whether all classes are so large that context counts more than detail."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for events and files."""
        plain = asdict(self)
        plain["network"] = self.network.model_dump(mode="json")
        plain["minutes"] = self.minutes if math.isfinite(self.minutes) else None
        return plain


def make_plan(
    config: TrainingConfig,
    parts: Sequence[Part],
    n_outputs: int,
    device: torch.device,
    class_counts: Sequence[int] = (),
    start: ModelInfo | None = None,
) -> TrainingPlan:
    """Choose what `config` leaves open.

    Parameters
    ----------
    config : TrainingConfig
    parts : sequence of Part
        What teaches.
    n_outputs : int
        Channels of the network's output.
    device : torch.device
    class_counts : sequence of int
        Annotated voxels of each class, for class weights; for task ``objects`` of
        background and objects.
    start : ModelInfo, optional
        A model to begin with: the network is like its one, unless another one, or
        another width, is wished for.

    Raises
    ------
    ConfigError
        If a wish does not fit the images.
    """
    source = parts[0].annotation.source
    ndim = source.ndim
    kind = ("cpu" if device.type == "cpu" else "gpu", ndim)
    voxel = np.median([p.annotation.source.voxel_size for p in parts], axis=0)
    spacing = _spacing(config, voxel)
    sizes = np.median([[b - a for a, b in p.box] for p in parts], axis=0)
    spread = _spread(parts)
    follows = start is not None and _may_follow(config, start)
    coarse = not follows and _is_coarse(config, parts, sizes)
    edge = COARSE_PATCH if coarse else _edge(config, sizes, kind)
    patch = config.patch_size or _patch(sizes, spacing, edge)
    if len(patch) != ndim:
        raise ConfigError(
            f"The patch size {patch} has {len(patch)} numbers, but the images have "
            f"{ndim} spatial axes: give one number per axis."
        )
    _check_network_settings(config)
    request = NetworkRequest(
        n_in=source.n_channels,
        n_out=n_outputs,
        patch=tuple(int(p) for p in patch),
        spacing=tuple(float(s) for s in spacing),
        device="cpu" if kind[0] == "cpu" else "gpu",
        base_channels=config.base_channels,
        levels=config.levels,
        dropout=config.dropout,
        rescale=None if spread is None else (spread.offset, spread.scale),
        coarse=coarse,
    )
    if start is not None and follows:
        network, divisor = network_like(start.network, start.ndim, request)
    else:
        network, divisor = design_network(config.network, request)
    patch = tuple(math.ceil(p / d) * d for p, d in zip(patch, divisor, strict=True))
    batch = config.batch_size or min(
        32, max(2, round(BATCH_VOXELS[kind] / math.prod(patch)))
    )
    return TrainingPlan(
        patch_size=patch,
        batch_size=batch,
        network=network,
        learning_rate=config.learning_rate
        or LEARNING_RATE * known_networks()[network.name].rate,
        minutes=config.budget_minutes(),
        max_steps=config.max_steps,
        turnable=tuple(bool(s < 1.5) for s in spacing),
        voxel_size=tuple(float(v) for v in voxel),
        class_weights=class_weights(config, class_counts),
        spread=spread,
        auxiliary=auxiliary_outputs(config, ndim),
        coarse=coarse,
    )


def _spacing(
    config: TrainingConfig, voxel: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Length of a voxel along each axis over the shortest one."""
    if config.anisotropy is not None and len(voxel) == 3:
        voxel = np.array([config.anisotropy * voxel[1:].mean(), *voxel[1:]])
    spacing: np.ndarray[Any, Any] = voxel / voxel.min()
    return spacing


def _spread(parts: Sequence[Part]) -> Spread | None:
    found = [
        (p.annotation, p.sample, p.box)
        for p in parts
        if isinstance(p.annotation, ValueAnnotation)
    ]
    return measure_spread(found) if found else None


def class_weights(
    config: TrainingConfig, class_counts: Sequence[int]
) -> tuple[float, ...]:
    """How much each class counts in the loss; empty where all count the same.

    Balanced weights are median frequency over frequency (Eigen and Fergus 2015), cut
    at `MAX_CLASS_WEIGHT` either way.

    Raises
    ------
    ConfigError
        If there is not one number for each class.
    """
    wish = config.loss.class_weights
    if wish == "equal" or config.task == "regression":
        return ()
    if wish == "balanced":
        counts = np.maximum(np.asarray(class_counts, float), 1)
        weights = np.median(counts) / counts if counts.size else counts
        weights = weights.clip(1 / MAX_CLASS_WEIGHT, MAX_CLASS_WEIGHT)
        return tuple(round(float(w), 4) for w in weights)
    if len(wish) != len(class_counts):
        raise ConfigError(
            f"There are {len(wish)} class weights, but {len(class_counts)} classes: "
            "give one number for each class, background first."
        )
    return tuple(wish)


def _edge(
    config: TrainingConfig, sizes: np.ndarray[Any, Any], kind: tuple[str, int]
) -> float:
    """Edge of a patch along the finest axes.

    On a CPU many small patches teach more a minute than few large ones, but their
    borders, where the network sees zeros instead of the image, weigh more. Large images
    that are annotated everywhere fill larger patches just as well.
    """
    edge = PATCH[kind]
    whole = config.annotation == "complete" or config.task == "regression"
    if kind == ("cpu", 2) and whole:
        return float(np.clip(sizes.min() / 2, edge, 2 * edge))
    return edge


def _is_coarse(
    config: TrainingConfig, parts: Sequence[Part], sizes: np.ndarray[Any, Any]
) -> bool:
    """Whether classes and images are so large that context counts more than detail."""
    return (
        config.task == "classes"
        and config.network in MAY_BE_COARSE
        and config.annotation == "complete"
        and len(sizes) == 2
        and bool(sizes.min() >= COARSE_PATCH / 2)
        and keeps_classes(parts, COARSE_STEP)
    )


def _patch(
    sizes: np.ndarray[Any, Any], spacing: np.ndarray[Any, Any], edge: float
) -> tuple[int, ...]:
    """A patch of about equal physical edges that fits the typical image."""
    wanted = np.maximum(edge / np.minimum(spacing, 4), 8)
    fitted = np.minimum(wanted, np.maximum(sizes, 4))
    # What one axis cannot use, the others get.
    room = wanted.prod() / fitted.prod()
    free = fitted < sizes
    if room > 1 and free.any():
        fitted[free] *= min(room ** (1 / free.sum()), 2.0)
        fitted = np.minimum(fitted, np.maximum(sizes, 4))
    return tuple(max(4, int(f)) for f in fitted)


def _may_follow(config: TrainingConfig, start: ModelInfo) -> bool:
    """Whether the network of a model may be taken, since no other one is wished for."""
    its = start.network.name
    same = config.network in (DEFAULT, its)
    return same and config.base_channels is None and config.levels is None


def _check_network_settings(config: TrainingConfig) -> None:
    spec = known_networks().get(config.network)
    if spec is None:
        return  # the registry has a sentence for it
    for setting in ("base_channels", "levels", "dropout"):
        if getattr(config, setting) and setting not in spec.settings:
            raise ConfigError(
                f"The network {config.network!r} has no setting {setting!r}: leave it "
                "out, or choose another network."
            )
