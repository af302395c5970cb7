"""Starting from a model that learnt something else: what of it fits, and how.

One code for complete training and for learning while a person paints. Classes,
channels and the number of dimensions may differ from those of the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from napari_unet.errors import ConfigError
from napari_unet.models.foreign import NETWORK as FOREIGN
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.training.checkpoint import with_prefix, without_prefix
from napari_unet.training.transfer_inputs import input_matrix

Inflation = Literal["centre", "spread"]
INFLATION: Inflation = "centre"
"""How 2D kernels become 3D ones; measured in docs/how-to/transfer.md."""

_OTHER_ENCODER = re.compile(r"^others\.\d+\.")
"""Encoders beside the first one, of a network with one for each channel."""


@dataclass
class Transfer:
    """What was found for a network.

    Parameters
    ----------
    weights : dict of str to Tensor
        By the names of the network that begins, in its shapes.
    total, taken : int
        Layers with weights to learn (convolutions) of the network, and how many of
        them begin with those of the model.
    adapted : set of str
        Layers whose input channels were changed.
    """

    weights: dict[str, Tensor] = field(default_factory=dict)
    total: int = 0
    taken: int = 0
    adapted: set[str] = field(default_factory=set)
    kept_outputs: int = 0
    n_outputs: int = 0

    @property
    def share(self) -> float:
        """Share of the layers that were taken."""
        return self.taken / self.total if self.total else 0.0

    @property
    def incomplete(self) -> bool:
        """Whether anything had to be changed, or begins anew."""
        whole = self.taken == self.total and self.kept_outputs == self.n_outputs
        return not whole or bool(self.adapted)


def transfer(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    outputs: Sequence[int | None],
    channels: Tensor | None = None,
    inflation: Inflation = INFLATION,
) -> Transfer:
    """Fit the weights of one network into another one; nothing is changed yet.

    Parameters
    ----------
    network : nn.Module
        That begins; its last layer is called ``head``.
    weights : mapping of str to Tensor
        State of the other network.
    outputs : sequence of int or None
        For each output of `network` the one of the other network that means the same.
    channels : Tensor, own × given, optional
        How much of each input of the other network goes into each own one, where they
        differ.
    inflation : {"centre", "spread"}
        2D kernels into 3D: into the plane in the middle, so that every plane is seen
        as before, or the same in all planes over their number (Carreira and Zisserman
        2017, arXiv:1705.07750), so that a stack of equal planes is.
    """
    found = Transfer(n_outputs=len(outputs))
    for name, module in network.named_modules():
        own = dict(module.named_parameters(name, recurse=False))
        own |= dict(module.named_buffers(name, recurse=False))
        if not own:
            continue
        fitted: dict[str, Tensor] = {}
        for key, tensor in own.items():
            given = _named(weights, key)
            if given is None:
                break
            made = _fitted(module, name, tensor, given, outputs, channels, inflation)
            if made is None:
                break
            fitted[key] = made
        is_layer = any(t.ndim >= 4 for t in own.values())
        found.total += is_layer
        if len(fitted) < len(own):
            continue
        if name == "head":
            found.kept_outputs = sum(o is not None for o in outputs)
            if not found.kept_outputs:
                continue
        for key, tensor in fitted.items():
            theirs = _named(weights, key)
            if name == "head" or tensor.ndim < 4 or theirs is None:
                continue
            if theirs.shape[1] != tensor.shape[1]:
                found.adapted.add(name)
        found.weights |= fitted
        found.taken += is_layer
    return found


def _named(weights: Mapping[str, Tensor], key: str) -> Tensor | None:
    """What belongs to a layer; further encoders begin like the first one."""
    found = weights.get(key)
    return weights.get(_OTHER_ENCODER.sub("", key)) if found is None else found


def _fitted(
    module: nn.Module,
    name: str,
    own: Tensor,
    given: Tensor,
    outputs: Sequence[int | None],
    channels: Tensor | None,
    inflation: Inflation,
) -> Tensor | None:
    """`given` in the shape of `own`; ``None`` where that makes no sense."""
    transposed = isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d)
    made = given.detach().float() if given.is_floating_point() else given.detach()
    if own.ndim >= 4:
        made = _with_axes(made, own, transposed, inflation)
    if name == "head":
        return _outputs(made, own, outputs, 1 if transposed and own.ndim >= 4 else 0)
    if made.shape == own.shape:
        return made.to(own.dtype)
    same_but_channels = (
        own.ndim >= 4
        and not transposed
        and made.ndim == own.ndim
        and made.shape[0] == own.shape[0]
        and made.shape[2:] == own.shape[2:]
        and getattr(module, "groups", 1) == 1
    )
    if not same_but_channels:
        return None
    if channels is None or channels.shape != (own.shape[1], made.shape[1]):
        return None  # not the layer that sees the image
    return torch.einsum("oi...,ji->oj...", made, channels.to(made)).to(own.dtype)


def _with_axes(
    given: Tensor, own: Tensor, transposed: bool, inflation: Inflation
) -> Tensor:
    """A kernel with as many axes as `own` has: Z is added or summed up."""
    if given.ndim == own.ndim - 1:
        depth = own.shape[2]
        thick = given.unsqueeze(2).expand(*given.shape[:2], depth, *given.shape[2:])
        if transposed:
            return thick.clone()  # every plane that it makes gets what the one got
        if inflation == "spread" or depth % 2 == 0:
            return thick / depth  # an even kernel, of a stride, has no middle
        plane = torch.zeros_like(thick)
        plane[:, :, depth // 2] = given
        return plane
    if given.ndim == own.ndim + 1:
        # What a stack of equal planes would have given.
        return given.mean(2) if transposed else given.sum(2)
    return given


def _outputs(
    given: Tensor, own: Tensor, outputs: Sequence[int | None], axis: int
) -> Tensor | None:
    """The last layer with outputs in another order; those that are new stay."""
    if given.ndim != own.ndim:
        return None
    shapes = [list(t.shape) for t in (given, own)]
    for shape in shapes:
        del shape[axis]
    if shapes[0] != shapes[1]:
        return None
    made = own.detach().clone()
    for place, origin in enumerate(outputs):
        if origin is not None and origin < given.shape[axis]:
            made.select(axis, place).copy_(given.select(axis, origin))
    return made


# From a model -------------------------------------------------------------------------


def check_start(info: ModelInfo) -> None:
    """Refuse models from which nothing can begin.

    Raises
    ------
    ConfigError
        With what to do.
    """
    if info.network.name == FOREIGN:
        raise ConfigError(
            f"The model {info.name!r} comes from another program and can only predict: "
            "start from one that was trained here."
        )


def transfer_model(
    network: nn.Module,
    start: Model,
    task: str,
    class_names: Sequence[str],
    n_channels: int,
    extra: int = 0,
    inflation: Inflation = INFLATION,
) -> Transfer:
    """Fit a model into a network that is about to learn; nothing is changed yet.

    Parameters
    ----------
    network : nn.Module
        A U-Net that learns while somebody paints is fitted within its `PixelUNet`.
    start : Model
    task : str
        What is learnt now.
    class_names : sequence of str
        In the order of the outputs; for task ``classes``.
    n_channels : int
        Of the images that it is to learn from.
    extra : int
        Outputs that the network has only while it is trained.
    """
    outputs = matching_outputs(start.info, task, class_names, extra)
    weights = dict(start.network.state_dict())
    channels = input_matrix(
        network,
        getattr(network, "encoder_inputs", n_channels),
        start.network,
        getattr(start.network, "encoder_inputs", start.info.n_channels),
    )
    if isinstance(start.network, PixelUNet):
        weights = without_prefix("unet", weights)
    if not isinstance(network, PixelUNet):
        return transfer(network, weights, outputs, channels, inflation)
    found = transfer(network.unet, weights, outputs, channels, inflation)
    found.weights = with_prefix("unet", found.weights)
    found.adapted = {f"unet.{name}" for name in found.adapted}
    return found


def matching_outputs(
    info: ModelInfo, task: str, class_names: Sequence[str], extra: int = 0
) -> list[int | None]:
    """Outputs of a model that mean the same as those of a network that learns `task`.

    Classes are the same if they are called the same.
    """
    if task == "classes":
        known: dict[str, int] = {}
        if info.task == "classes":
            known = {_plain(c.name): n for n, c in enumerate(info.classes)}
        return [known.get(_plain(name)) for name in class_names]
    n_outputs = 2 if task == "objects" else 1
    same = info.task == task
    found = [n if same else None for n in range(n_outputs)]
    return found + [None] * extra


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def begin_with(network: nn.Module, found: Transfer) -> None:
    """Give a network the weights that were found."""
    state = network.state_dict()
    for name, tensor in found.weights.items():
        state[name].copy_(tensor)


def in_words(found: Transfer, start: ModelInfo, ndim: int, n_channels: int) -> str:
    """What was taken, in a sentence or two."""
    if not found.taken:
        return (
            f"Nothing of the model {start.name!r} fits the network that learns here: "
            "it begins from scratch."
        )
    text = (
        f"{found.taken} of {found.total} layers are taken from the model {start.name!r}"
    )
    if start.ndim != ndim:
        text += f", which is a {start.ndim}D one"
    changes = []
    if found.adapted and start.n_channels != n_channels:
        words = f"{n_channels} channel{'s'[: n_channels > 1]}"
        changes.append(f"the first one is adapted from {start.n_channels} to {words}")
    elif found.adapted:
        changes.append("the first one is adapted")
    if found.kept_outputs == 0:
        changes.append("the last one begins anew")
    elif found.kept_outputs < found.n_outputs:
        changes.append(
            f"of the last one, {found.kept_outputs} of {found.n_outputs} outputs"
        )
    return f"{text}; {', '.join(changes)}." if changes else f"{text}."


# Keeping what was learnt --------------------------------------------------------------


def freeze_encoder(network: nn.Module, found: Transfer | None) -> list[nn.Module]:
    """Let layers of the encoder that were taken as they are learn no more.

    Returns
    -------
    list of nn.Module
        They must stay in evaluation mode, or their statistics would go on moving.

    Raises
    ------
    ConfigError
        If there is nothing to keep.
    """
    frozen: list[nn.Module] = []
    for name, module in network.named_modules():
        own = [*module._parameters.values(), *module._buffers.values()]
        inside = name.split(".", 1)[0] in ("stem", "encoder", "others")
        if not (inside and any(p is not None for p in own)):
            continue
        keys = [f"{name}.{k}" for k in (*module._parameters, *module._buffers)]
        there = [k for k in keys if found is not None and k in found.weights]
        if there and found is not None and name not in found.adapted:
            module.requires_grad_(False)
            frozen.append(module)
    if not frozen:
        raise ConfigError(
            "There is no encoder to keep: choose a model to start from whose network "
            "has one and fits, or let everything learn."
        )
    return frozen
