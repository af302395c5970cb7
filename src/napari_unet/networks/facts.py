"""What a network costs, worked out from the shapes of its layers alone."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from napari_unet.networks.blocks import Size, count_parameters
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import Network, build_network

BYTES = 4
"""Of a number in float32; half of it in bfloat16 and float16."""


@dataclass(frozen=True)
class NetworkFacts:
    """What a network demands and what it costs."""

    ndim: int
    parameters: int
    divisor: Size
    """What sizes along (Z) Y X are rounded up to."""
    receptive_field: Size
    """Voxels along (Z) Y X on which an output voxel can depend, at most."""
    flops_per_voxel: float
    """Floating-point operations of a prediction; a multiplication and an addition are
    two."""
    predict_bytes_per_voxel: float
    """Memory that lives at one time in a prediction, in float32."""
    train_bytes_per_voxel: float
    """Memory that a training step keeps for the way back, in float32."""


def network_facts(
    info: NetworkInfo, shape: Sequence[int] | None = None
) -> NetworkFacts:
    """Work out what a network costs.

    Parameters
    ----------
    info : NetworkInfo
    shape : sequence of int, optional
        Size of an image along (Z) Y X, rounded up to what the network divides; costs
        are for such an image.

    Raises
    ------
    ModelFileError
        If the network is not known.
    """
    with torch.device("meta"):
        network = build_network(info)
    described = cast("Network", network)
    divisor = tuple(described.divisor)
    edge = 128 if len(divisor) == 2 else 48
    wanted = shape or (edge,) * len(divisor)
    size = [math.ceil(n / d) * d for n, d in zip(wanted, divisor, strict=True)]
    image = torch.empty((1, info.arguments["n_in"], *size), device="meta")
    voxels = math.prod(size)
    network.eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as flops:
        network(image)
    with torch.inference_mode(), _Living() as living:
        network(image)
    kept = _kept_for_the_way_back(network, image)
    return NetworkFacts(
        ndim=len(divisor),
        parameters=count_parameters(network),
        divisor=divisor,
        receptive_field=tuple(2 * h + 1 for h in described.halo),
        flops_per_voxel=flops.get_total_flops() / voxels,
        predict_bytes_per_voxel=living.peak / voxels,
        train_bytes_per_voxel=kept / voxels,
    )


def _kept_for_the_way_back(network: nn.Module, image: Tensor) -> float:
    """Bytes that are saved for the gradients of one image, without the weights."""
    weights = {id(p) for p in network.parameters()}
    seen: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in weights and tensor.ndim == image.ndim:
            # The same map may be saved by two layers: it is kept once.
            seen[tensor.untyped_storage()._cdata] = tensor
        return tensor

    network.train()
    both = image.expand(2, *image.shape[1:])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        out = network(both)
    total = sum(t.untyped_storage().nbytes() for t in [*seen.values(), out])
    return float(total) / 2


class _Living(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that live at the same time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self._now += size
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key, size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size
