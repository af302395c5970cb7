"""What was chosen for a run, and why: one line for each choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from napari_unet.config import TrainingConfig
from napari_unet.data.split import Split
from napari_unet.networks.blocks import count_parameters
from napari_unet.networks.catalogue import DEFAULT, known_networks
from napari_unet.networks.design import MAX_LEVELS
from napari_unet.networks.registry import Network, build_network
from napari_unet.training.plan import BATCH_VOXELS, PATCH, TrainingPlan

WISHED = "as you chose"
RARE = 0.1
"""Share of the annotation below which a class is called rare."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of a recipe."""

    setting: str
    """Field of `TrainingConfig` that changes it."""
    title: str
    value: str
    reason: str


@dataclass(frozen=True)
class _Facts:
    """What the choices are explained from."""

    config: TrainingConfig
    plan: TrainingPlan
    split: Split
    counts: dict[str, int]
    """Annotated voxels by class name; for ``objects`` and values under other names."""
    kind: str
    """``"cpu"`` or ``"gpu"``."""
    start: str = ""

    @property
    def ndim(self) -> int:
        return len(self.plan.patch_size)

    @property
    def pixels(self) -> str:
        return "pixels" if self.ndim == 2 else "voxels"

    @property
    def stretch(self) -> float:
        """How many times longer the longest side of a voxel is than the shortest."""
        if self.config.anisotropy is not None and self.ndim == 3:
            return max(self.config.anisotropy, 1 / self.config.anisotropy)
        return max(self.plan.voxel_size) / min(self.plan.voxel_size)


def explain(
    config: TrainingConfig,
    plan: TrainingPlan,
    split: Split,
    counts: dict[str, int],
    device_type: str,
    start: str = "",
) -> list[Choice]:
    """Every choice of a run with its reason.

    Parameters
    ----------
    config : TrainingConfig
        What was wished.
    plan : TrainingPlan
        What was made of it.
    split : Split
    counts : dict of str to int
        Annotated voxels of each class, by name.
    device_type : str
        Of the torch device, such as ``"cpu"``.
    start : str
        Name of the model that it begins with, if there is one.
    """
    kind = "cpu" if device_type == "cpu" else "gpu"
    facts = _Facts(config, plan, split, counts, kind, start)
    makers = (
        _held_out,
        _normalisation,
        _values,
        _patch,
        _batch,
        _kind,
        _depth,
        _reach,
        _pooling,
        _loss,
        _weights,
        _regularisation,
        _augmentation,
        _rate,
        _length,
    )
    return [choice for make in makers if (choice := make(facts)) is not None]


def recipe_text(choices: Sequence[Choice]) -> str:
    """The choices as lines for a terminal or a text field."""
    width = max(len(c.title) for c in choices)
    lines = []
    for choice in choices:
        lines.append(f"{choice.title:<{width}}  {choice.value}")
        lines.append(f"{'':<{width}}    {choice.reason} [{choice.setting}]")
    return "\n".join(lines)


def _held_out(f: _Facts) -> Choice | None:
    held, teaching = f.split.validation, f.split.training
    title, setting = "Held out", "validation_fraction"
    if not held:
        why = f.split.note or f"{WISHED}: no score will be told"
        return Choice(setting, title, "nothing", why.rstrip("."))
    names = {id(p.annotation) for p in held}
    if names & {id(p.annotation) for p in teaching}:
        value = "a part of each image"
        why = "with few images each is cut once, so that every class is on both sides"
    else:
        value = f"{len(names)} of {_images(f)} images"
        why = "whole images measure most honestly"
    return Choice(setting, title, value, why)


def _images(f: _Facts) -> int:
    parts = [*f.split.training, *f.split.validation]
    return len({id(p.annotation) for p in parts})


def _normalisation(f: _Facts) -> Choice:
    low, high = f.config.low_percentile, f.config.high_percentile
    return Choice(
        "low_percentile, high_percentile",
        "Intensities",
        f"percentile {low:g} becomes 0, {high:g} becomes 1",
        "per image and channel: exposures may differ, and a few very bright "
        f"{f.pixels} do not count",
    )


def _values(f: _Facts) -> Choice | None:
    spread = f.plan.spread
    if spread is None:
        return None
    return Choice(
        "task",
        "Values",
        f"learnt around {spread.offset:.4g} in steps of {spread.scale:.4g}",
        f"mean and standard deviation of the target, which goes from {spread.low:.4g} "
        f"to {spread.high:.4g}",
    )


def _patch(f: _Facts) -> Choice:
    size = f.plan.patch_size
    value = f"{' × '.join(str(n) for n in size)} {f.pixels}"
    if f.config.patch_size is not None:
        why = WISHED
        if tuple(f.config.patch_size) != size:
            why += ", rounded up to what the network can halve"
        return Choice("patch_size", "Patch", value, why)
    usual = PATCH[f.kind, f.ndim]
    if f.plan.coarse:
        return Choice(
            "patch_size",
            "Patch",
            value,
            "all classes are large: to tell them, the network has to see far",
        )
    if f.stretch >= 1.5 and f.ndim == 3:
        why = f"about as deep as wide, as voxels are {f.stretch:.1f} times longer in Z"
    elif f.kind == "cpu":
        why = "on a CPU many small patches teach more a minute than few large ones"
    else:
        why = "large enough for context, small enough for the GPU's memory"
    sizes = np.median([[b - a for a, b in p.box] for p in f.split.training], axis=0)
    if (np.array(size) >= sizes).any():
        why += "; no larger than the images need"
    elif max(size) > usual:
        why += "; larger than usual, as images are large and annotated everywhere"
    return Choice("patch_size", "Patch", value, why)


def _batch(f: _Facts) -> Choice:
    value = f"{f.plan.batch_size} patches a step"
    if f.config.batch_size is not None:
        return Choice("batch_size", "Batch", value, WISHED)
    wanted, device = BATCH_VOXELS[f.kind, f.ndim], f.kind.upper()
    why = f"about {wanted:,} {f.pixels} a step keep a {device} busy"
    return Choice("batch_size", "Batch", value, why)


def _kind(f: _Facts) -> Choice:
    name = f.plan.network.name
    spec = known_networks()[name]
    why = spec.summary.rstrip(".")
    why = f"{why[:1].lower()}{why[1:]}"
    if name != f.config.network:
        why = f"that of the model {f.start!r}; {why}"
    elif name != DEFAULT:
        why = f"{WISHED}; {why}"
    return Choice("network", "Network", spec.title, why)


def _depth(f: _Facts) -> Choice | None:
    channels = f.plan.network.arguments.get("channels")
    if channels is None:
        return None
    value = f"{len(channels)} levels, {channels[0]} to {channels[-1]} channels"
    if f.config.levels is not None or f.config.base_channels is not None:
        why = WISHED
    elif f.start:
        why = f"as in the model {f.start!r}, so that its weights fit"
    elif len(channels) + int(math.log2(max(_stem(f)))) >= MAX_LEVELS:
        why = "the usual depth; more would not fit a patch much better"
    else:
        why = "deeper, fewer than 4 positions would be left of a patch"
    return Choice("levels, base_channels", "Depth and width", value, why)


def _reach(f: _Facts) -> Choice | None:
    """What the network demands of images: worked out from its layers alone."""
    if f.plan.network.package:
        return None  # code of others need not work without memory
    with torch.device("meta"):
        network = build_network(f.plan.network)
    described = cast("Network", network)
    far = _sizes([2 * h + 1 for h in described.halo])
    value = f"{far} {f.pixels} around each one"
    millions = count_parameters(network) / 1e6
    divisor = _sizes(described.divisor)
    why = (
        f"what {millions:.2g} million parameters in these layers can reach at most; "
        f"images are mirrored up to multiples of {divisor}"
    )
    return Choice("network", "What it sees", value, why)


def _sizes(sizes: Sequence[int]) -> str:
    return " × ".join(str(n) for n in sizes)


def _stem(f: _Facts) -> list[int]:
    """Stride before the first level; what others call their stem is a width."""
    stem = f.plan.network.arguments.get("stem")
    return list(stem) if isinstance(stem, list | tuple) else [1]


def _pooling(f: _Facts) -> Choice | None:
    strides = f.plan.network.arguments.get("strides")
    if strides is None:
        return None
    strides = [s for s in strides if max(s) > 1]
    setting = "anisotropy"
    if f.ndim == 3 and any(min(s) != max(s) for s in strides):
        flat = sum(s[0] == 1 for s in strides)
        value = f"Y and X {_times(len(strides))}, Z {_times(len(strides) - flat)}"
        why = (
            f"voxels are {f.stretch:.1f} times longer in Z: it joins once the others "
            "have caught up"
            if f.stretch >= 1.5
            else "an axis stops where fewer than 4 positions would be left of a patch"
        )
    else:
        value = f"every axis {_times(len(strides))}"
        why = "voxels are about equally long along all axes"
    if f.plan.coarse:
        value += f", after a first step of {max(_stem(f))} {f.pixels}"
        why += "; the classes are so large that this step hardly shows"
    elif max(_stem(f)) > 1:
        value += ", after a first halving"
        why += "; full resolution costs most and adds least"
    return Choice(setting, "Pooling", value, why)


def _times(number: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number} times")


LOSS_REASONS = {
    "auto": "the first learns everywhere, the second does not let rare classes drown",
    "cross-entropy": f"{WISHED}; rare classes may drown",
    "weighted-cross-entropy": f"{WISHED}; background between close objects counts "
    "most, as in the U-Net paper",
    "focal": f"{WISHED}; counts hard {{pixels}} most",
    "tversky": f"{WISHED}; weighs misses against inventions",
    "boundary": f"{WISHED}; also counts how far mistakes lie from the border",
    "mse": f"{WISHED}; large errors count most",
    "huber": f"{WISHED}; a few wrong values in the target do little harm",
}
LOSS_NAMES = {
    "auto": "cross-entropy + Dice",
    "cross-entropy+dice": "cross-entropy + Dice",
    "weighted-cross-entropy": "weighted cross-entropy",
    "focal": "focal + Dice",
    "tversky": "cross-entropy + Tversky",
    "boundary": "cross-entropy + Dice + boundary",
    "mse": "mean squared error",
    "huber": "Huber",
}


def _loss(f: _Facts) -> Choice:
    kind: str = f.config.loss.kind
    if f.config.task == "regression" and kind == "auto":
        why = "a few wrong values in the target do little harm"
        return Choice("loss.kind", "Loss", "Huber", why)
    value = LOSS_NAMES.get(kind, kind)
    if f.config.task == "objects":
        value += ", and the error of the centre distance"
    why = LOSS_REASONS.get(kind, WISHED).format(pixels=f.pixels)
    if f.config.loss.label_smoothing:
        value += f", labels smoothed by {f.config.loss.label_smoothing:g}"
    return Choice("loss.kind", "Loss", value, why)


def _weights(f: _Facts) -> Choice | None:
    if f.config.task == "regression":
        return None
    title, setting = "Class weights", "loss.class_weights"
    weights = f.plan.class_weights
    rare = _rare(f)
    if weights:
        value = ", ".join(f"{w:g}" for w in weights)
        why = WISHED
        if f.config.loss.class_weights == "balanced":
            why += ": the rarer a class, the more it counts"
        return Choice(setting, title, value, why)
    why = "patches lie around every class equally often already"
    return Choice(setting, title, "equal", why + rare)


def _rare(f: _Facts) -> str:
    total = sum(f.counts.values())
    if f.config.task != "classes" or not total:
        return ""
    name, count = min(f.counts.items(), key=lambda item: item[1])
    if count >= RARE * total:
        return ""
    return f" ({name} is {count / total:.1%} of the annotation)"


def _regularisation(f: _Facts) -> Choice:
    decay, dropout = f.config.weight_decay, f.config.dropout
    value = f"weight decay {decay:g}, dropout {dropout:g}"
    why = "batch normalisation, augmentation and weight averaging do most of this"
    if dropout:
        why = WISHED
    return Choice("weight_decay, dropout", "Regularisation", value, why)


def _augmentation(f: _Facts) -> Choice:
    preset = f.config.augmentation.preset
    why = {
        "none": f"{WISHED}; with few images it will learn them by heart",
        "gentle": WISHED,
        "standard": "flips, turns, scaling and light make few images go a long way",
        "strong": WISHED,
    }[preset]
    if not all(f.plan.turnable):
        why += "; never turned into Z, whose voxels are longer"
    if f.config.task == "regression" and not f.config.augmentation.scaling:
        why += "; not scaled, which would make distances wrong"
    return Choice("augmentation", "Augmentation", preset, why)


def _rate(f: _Facts) -> Choice:
    value = f"{f.plan.learning_rate:g}, falling to a hundredth"
    why = "AdamW with a short rise and a cosine suits batch normalisation"
    if f.config.learning_rate is not None:
        why = WISHED
    return Choice("learning_rate", "Learning rate", value, why)


def _length(f: _Facts) -> Choice:
    plan = f.plan
    if plan.max_steps is not None:
        value, why = f"{plan.max_steps:,} steps", WISHED
    else:
        value = f"up to {plan.minutes:g} minutes"
        named = f.config.minutes is None
        why = f"preset {f.config.preset}" if named else WISHED
    a_step = plan.batch_size * math.prod(plan.patch_size)
    voxels = sum(math.prod(b - a for a, b in p.box) for p in f.split.training)
    steps = max(1, round(voxels / a_step))
    once = f"all images are seen once in about {steps:,} step{'s'[: steps > 1]}"
    return Choice("minutes, max_steps", "Length", value, f"{why}; {once}")
