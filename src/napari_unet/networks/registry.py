"""Networks by name: what a model file stores and how it is built again.

Other packages add networks through the entry point group ``napari_unet.networks``; see
the page *Add a network* of the documentation.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.networks.attention_unet import AttentionUNet
from napari_unet.networks.blocks import Size
from napari_unet.networks.catalogue import foreign_networks, known_networks
from napari_unet.networks.deeplab import DeepLabV3Plus
from napari_unet.networks.design import NetworkRequest, design
from napari_unet.networks.fusion_unet import FusionUNet
from napari_unet.networks.hrnet import HRNet
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.light_unet import LightUNet
from napari_unet.networks.nested_unet import NestedUNet
from napari_unet.networks.original_unet import OriginalUNet
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.pspnet import PSPNet
from napari_unet.networks.residual_unet import ResidualUNet
from napari_unet.networks.unet import UNet


class Network(Protocol):
    """What every network here offers beside being a module."""

    @property
    def divisor(self) -> Size:
        """What sizes along (Z) Y X must be divisible by."""

    @property
    def halo(self) -> Size:
        """Context in voxels along (Z) Y X on which an output voxel may depend."""

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N n_in (Z) Y X``."""
        ...


NETWORKS: dict[str, type[nn.Module]] = {
    "unet": UNet,
    "light_unet": LightUNet,
    "residual_unet": ResidualUNet,
    "attention_unet": AttentionUNet,
    "fusion_unet": FusionUNet,
    "unet_plus_plus": NestedUNet,
    "deeplabv3plus": DeepLabV3Plus,
    "pspnet": PSPNet,
    "hrnet": HRNet,
    "unet_2015": OriginalUNet,
    "unet_2016": OriginalUNet,
    "pixel_unet": PixelUNet,
}


def build_network(info: NetworkInfo) -> nn.Module:
    """The network that `info` names, with fresh weights.

    Raises
    ------
    ModelFileError
        If this program does not know the network or its arguments do not fit.
    """
    kind = NETWORKS.get(info.name) or _foreign(info)
    arguments: dict[str, Any] = info.arguments
    try:
        return kind(**arguments)
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError) as error:
        raise ModelFileError(
            f"The model's network {info.name!r} cannot be built ({error}): "
            "the file may be damaged; copy or download it again."
        ) from error


def design_network(name: str, request: NetworkRequest) -> tuple[NetworkInfo, Size]:
    """A network for `request`, and what sizes along (Z) Y X must be divisible by.

    Raises
    ------
    ConfigError
        If there is no such network, or another package's one cannot be used.
    """
    known = known_networks()
    if name not in known:
        raise ConfigError(
            f"There is no network {name!r}: choose one of {', '.join(known)}."
        )
    if name in NETWORKS:
        return design(name, request)
    point = foreign_networks()[name]
    package = point.dist.name if point.dist is not None else ""
    try:
        kind: Any = _loaded(point)
        arguments = dict(kind.design(request))
        with torch.random.fork_rng(devices=[]):
            built = cast("Network", kind(**arguments))
        divisor = tuple(int(d) for d in built.divisor)
        halo = tuple(int(h) for h in built.halo)
    except Exception as error:
        # Anything may go wrong in the code of others.
        raise ConfigError(
            f"The network {name!r} of the package {package or point.module} cannot be "
            f"used ({error}): choose another one, or tell its authors."
        ) from error
    if not len(divisor) == len(halo) == request.ndim:
        raise ConfigError(
            f"The network {name!r} is not for {request.ndim}D images: choose another "
            "one."
        )
    info = NetworkInfo(name=name, arguments=arguments, package=package)
    return info, divisor


def _foreign(info: NetworkInfo) -> type[nn.Module]:
    """The class of another package's network."""
    point = foreign_networks().get(info.name)
    if point is None and info.package:
        raise ModelFileError(
            f"The model uses the network {info.name!r} of the package {info.package}, "
            "which is not installed: install it to open the model."
        )
    if point is None:
        raise ModelFileError(
            f"The model uses the network {info.name!r}, which this program does not "
            "know: update napari-unet-live to open it."
        )
    try:
        return _loaded(point)
    except Exception as error:
        # Anything may go wrong in the code of others.
        raise ModelFileError(
            f"The model uses the network {info.name!r} of the package "
            f"{info.package or point.module}, which cannot be loaded ({error}): "
            "update that package to open the model."
        ) from error


def _loaded(point: EntryPoint) -> type[nn.Module]:
    kind = point.load()
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise TypeError(f"{point.value} is no torch.nn.Module")
    return kind
