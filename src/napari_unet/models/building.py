"""Building a network that a file describes, when the file may lie about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from napari_unet.errors import ModelFileError
from napari_unet.models.archive import damaged, unsafe
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import Network, build_network

MAX_ARGUMENTS = 1000
LARGEST_ARGUMENT = 100_000
"""No width, stride or count of a network is larger."""
MAX_CALLS = 30_000
"""Calls into torch while a network is built; a deep one takes some thousands."""
MAX_REACH = 8192
"""Largest divisor and halo in voxels."""


class _TooMuch(RuntimeError):
    """A network that takes far more to build than any real one."""


class _Counted(TorchFunctionMode):
    """Ends the building of a network that never ends."""

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self._calls += 1
        if self._calls > MAX_CALLS:
            raise _TooMuch("it has too many layers")
        return func(*args, **(kwargs or {}))


def fitting_network(
    info: NetworkInfo, weights: Mapping[str, Tensor], path: Path
) -> nn.Module:
    """The network that `info` names, with `weights`, in evaluation mode.

    It is built without memory first: what a file claims is believed only when the
    weights in it are of that size.

    Raises
    ------
    ModelFileError
        If this program does not know the network, or the weights do not fit it.
    """
    _check_arguments(info, path)
    with torch.device("meta"), _Counted():
        outline = build_network(info)
    wanted = {name: tuple(t.shape) for name, t in outline.state_dict().items()}
    found = {name: tuple(t.shape) for name, t in weights.items()}
    if wanted != found:
        raise ModelFileError(
            f"The weights in {path.name} do not fit its network: the file "
            "is damaged; copy or download it again."
        )
    described = cast("Network", outline)
    if max(*described.divisor, *described.halo) > MAX_REACH:
        raise unsafe(path, "its network looks too far")
    network = build_network(info)
    try:
        network.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise damaged(path, "its weights do not fit its network") from error
    return network.eval()


def _check_arguments(info: NetworkInfo, path: Path) -> None:
    values = list(_values(info.arguments))
    if len(values) > MAX_ARGUMENTS or any(
        isinstance(v, int | float) and not abs(v) <= LARGEST_ARGUMENT for v in values
    ):
        raise unsafe(path, "its network would be huge")


def _values(part: Any) -> Iterator[Any]:
    if isinstance(part, Mapping):
        for value in part.values():
            yield from _values(value)
    elif isinstance(part, list | tuple):
        for value in part:
            yield from _values(value)
    else:
        yield part
