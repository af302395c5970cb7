"""Networks by name: what a model file stores and how it is built again."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from napari_unet.errors import ModelFileError
from napari_unet.networks.blocks import Size
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.unet import UNet


class Network(Protocol):
    """What every network here offers beside being a module."""

    @property
    def divisor(self) -> Size: ...
    @property
    def halo(self) -> Size: ...
    def forward(self, image: Tensor) -> Tensor: ...


NETWORKS: dict[str, type[nn.Module]] = {"unet": UNet, "pixel_unet": PixelUNet}


def build_network(info: NetworkInfo) -> nn.Module:
    """The network that `info` names, with fresh weights.

    Raises
    ------
    ModelFileError
        If this program does not know the network or its arguments do not fit.
    """
    if info.name not in NETWORKS:
        raise ModelFileError(
            f"The model uses the network {info.name!r}, which this program does not "
            "know: update napari-unet-live to open it."
        )
    arguments: dict[str, Any] = info.arguments
    try:
        return NETWORKS[info.name](**arguments)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelFileError(
            f"The model's network {info.name!r} cannot be built ({error}): "
            "the file may be damaged; copy or download it again."
        ) from error
