"""Outputs that a network has only while it is trained.

They are the last ones. A network with them is one of the same kind with a larger
``n_out``; leaving them away cuts the tensors that grew with it.
"""

from __future__ import annotations

from torch import Tensor, nn

from napari_unet.config import TrainingConfig
from napari_unet.networks.info import NetworkInfo


def auxiliary_outputs(config: TrainingConfig, ndim: int) -> int:
    """How many more outputs a network of `ndim` dimensions is trained with."""
    if config.task == "objects" and config.loss.directions:
        return ndim
    return 0


def widened(network: NetworkInfo, extra: int) -> NetworkInfo:
    """The network with `extra` more outputs."""
    if not extra:
        return network
    arguments = network.arguments | {"n_out": network.arguments["n_out"] + extra}
    return network.model_copy(update={"arguments": arguments})


def without_extra(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """The part of `state` that belongs to `network`, which has fewer outputs."""
    # Outputs are the first axis of a convolution, the second of a transposed one.
    return {
        name: state[name][tuple(slice(n) for n in own.shape)]
        for name, own in network.state_dict().items()
    }
