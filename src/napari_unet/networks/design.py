"""From patch, voxels and device to the arguments of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from napari_unet.networks.info import NetworkInfo

BASE_CHANNELS = {("cpu", 2): 32, ("cpu", 3): 16, ("gpu", 2): 32, ("gpu", 3): 32}
MAX_CHANNELS = 320
MAX_LEVELS = 5
LEAST_LEFT = 8
"""Positions of a patch along an axis from which on it may be halved once more."""
RESIDUAL_BLOCKS = {"cpu": (1, 2, 2, 2, 2, 2, 2), "gpu": (1, 3, 4, 6, 6, 6, 6)}
"""Of each level; on a graphics card as nnU-Net has them."""
RATES = (6, 12, 18)
RATES_FOR = 33
"""Dilations of DeepLab's pyramid, and the size of the feature map they were made for:
513 pixels at an output stride of 16."""
PSP_BINS = 6
"""Most cells of a window along an axis."""


@dataclass(frozen=True)
class NetworkRequest:
    """What a network is wanted for.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output.
    patch : tuple of int
        Typical training patch, (Z) Y X in voxels; it is enlarged to what the network
        can divide.
    spacing : tuple of float
        Length of a voxel along (Z) Y X over the shortest one.
    device : {"cpu", "gpu"}
    base_channels, levels : int, optional
        What the user wishes.
    dropout : float
        Share of the coarsest features that is left out in training.
    rescale : tuple of float, optional
        For values (regression): offset and scale from the network's last layer, which
        gives spreads around 0, to the unit of what is predicted.
    coarse : bool
        Whether the classes are large enough to be told at a quarter of the resolution.
    """

    n_in: int
    n_out: int
    patch: tuple[int, ...]
    spacing: tuple[float, ...]
    device: Literal["cpu", "gpu"]
    base_channels: int | None = None
    levels: int | None = None
    dropout: float = 0.0
    rescale: tuple[float, float] | None = None
    coarse: bool = False

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.patch)

    @property
    def common(self) -> dict[str, Any]:
        """Arguments that every network has."""
        found: dict[str, Any] = {"n_in": self.n_in, "n_out": self.n_out}
        if self.dropout:
            found["dropout"] = self.dropout
        if self.rescale is not None:
            found["rescale"] = list(self.rescale)
        return found


Design = tuple[dict[str, Any], tuple[int, ...]]
"""Arguments of a network, and what sizes must be divisible by."""


def design(name: str, request: NetworkRequest) -> tuple[NetworkInfo, tuple[int, ...]]:
    """One of our networks, and what sizes along (Z) Y X must be divisible by."""
    arguments, divisor = DESIGNS[name](request)
    return NetworkInfo(name=name, arguments=arguments), divisor


def pyramid(
    request: NetworkRequest, most: int, first: Sequence[int] | None = None
) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Strides between levels and kernels of levels that follow the voxel size.

    After nnU-Net (Isensee et al. 2021): an axis is pooled, and convolved, only while
    its voxels are less than twice as long as the shortest ones, and as long as at least
    4 positions are left of a patch.

    Parameters
    ----------
    most : int
        Levels at most.
    first : sequence of int, optional
        What made the image coarser before the first level.
    """
    first = first or (1,) * request.ndim
    step = [s * f for s, f in zip(request.spacing, first, strict=True)]
    left = [p / f for p, f in zip(request.patch, first, strict=True)]
    kernels: list[tuple[int, ...]] = []
    strides: list[tuple[int, ...]] = []
    while True:
        close = [s < 2 * min(step) for s in step]
        kernels.append(tuple(3 if c else 1 for c in close))
        pooled = [c and n >= LEAST_LEFT for c, n in zip(close, left, strict=True)]
        if not any(pooled) or len(kernels) == most:
            return strides, kernels
        strides.append(tuple(2 if p else 1 for p in pooled))
        step = [s * t for s, t in zip(step, strides[-1], strict=True)]
        left = [n / t for n, t in zip(left, strides[-1], strict=True)]


def _product(strides: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(math.prod(s) for s in zip(*strides, strict=True))


def _levels_of_unet(request: NetworkRequest) -> Design:
    """Widths, strides and kernels that the relatives of the U-Net share."""
    # On a CPU in 2D full resolution costs most and adds least: half of it learns more
    # a minute.
    halved = (request.device, request.ndim) == ("cpu", 2)
    stem = (4 if request.coarse else 2 if halved else 1,) * request.ndim
    most = request.levels or MAX_LEVELS - (halved and not request.coarse)
    strides, kernels = pyramid(request, most, stem)
    base = request.base_channels or BASE_CHANNELS[request.device, request.ndim]
    arguments: dict[str, Any] = {
        "channels": [min(base * 2**i, MAX_CHANNELS) for i in range(len(kernels))],
        "strides": strides,
        "kernels": kernels,
        "stem": stem,
    }
    return arguments | request.common, _product([stem, *strides])


def _unet(request: NetworkRequest) -> Design:
    arguments, divisor = _levels_of_unet(request)
    counts = [2] * len(arguments["kernels"])
    if request.device == "cpu" and len(counts) > 2:
        # Two a level, as in the paper; on a CPU one at the finest, which costs most.
        counts[0] = 1
    return arguments | {"convolutions": counts}, divisor


def _residual(request: NetworkRequest) -> Design:
    arguments, divisor = _levels_of_unet(request)
    blocks = RESIDUAL_BLOCKS[request.device][: len(arguments["kernels"])]
    return arguments | {"blocks": list(blocks)}, divisor


def _light(request: NetworkRequest) -> Design:
    narrow = request.base_channels or BASE_CHANNELS[request.device, request.ndim] // 2
    first = 4 if request.coarse else 2
    stem = tuple(first if s < 2 else 1 for s in request.spacing)
    most = request.levels or MAX_LEVELS - (not request.coarse)
    strides, kernels = pyramid(request, most, stem)
    arguments: dict[str, Any] = {
        "channels": [min(narrow * 2**i, MAX_CHANNELS) for i in range(len(kernels))],
        "strides": strides,
        "kernels": kernels,
        "stem": stem,
    }
    return arguments | request.common, _product([stem, *strides])


def _original(request: NetworkRequest) -> Design:
    levels = request.levels or 5
    arguments = {"ndim": request.ndim, "base": request.base_channels or 64}
    divisor = (2 ** (levels - 1),) * request.ndim
    return arguments | {"levels": levels} | request.common, divisor


def _original_3d(request: NetworkRequest) -> Design:
    levels = request.levels or 4
    arguments = {
        "ndim": request.ndim,
        "base": request.base_channels or 32,
        "levels": levels,
        "widen_before_pooling": True,
        "normalise": True,
    }
    return arguments | request.common, (2 ** (levels - 1),) * request.ndim


def _resnet(request: NetworkRequest, halvings: int) -> dict[str, Any]:
    """ResNet-18 of half the width on a CPU, ResNet-50 on a graphics card."""
    strides, kernels = pyramid(request, halvings + 1)
    large = request.device == "gpu" and request.ndim == 2
    while len(strides) < 5:
        strides.append((1,) * request.ndim)
    while len(kernels) < 6:
        kernels.append(kernels[-1])
    width = request.base_channels or (64 if large else 2 * _narrow(request))
    return {
        "base": width,
        "blocks": [3, 4, 6, 3] if large else [2, 2, 2, 2],
        "bottleneck": large,
        "strides": strides,
        # The first stage comes after two strides.
        "kernels": [kernels[0], *kernels[2:6]],
    }


def _narrow(request: NetworkRequest) -> int:
    return BASE_CHANNELS[request.device, request.ndim] // 2


def _window(request: NetworkRequest, unit: Sequence[int]) -> tuple[int, ...]:
    """The patch, enlarged to a multiple of `unit`."""
    pairs = zip(request.patch, unit, strict=True)
    return tuple(math.ceil(p / u) * u for p, u in pairs)


def _deeplab(request: NetworkRequest) -> Design:
    arguments = _resnet(request, 4)
    coarse = _product(arguments["strides"])
    window = _window(request, coarse)
    cells = min(w // c for w, c in zip(window, coarse, strict=True))
    # As wide for this window as the paper's are for its crops.
    rates = [max(k + 1, round(r * cells / RATES_FOR)) for k, r in enumerate(RATES)]
    arguments |= {"rates": rates, "window": window}
    return arguments | request.common, window


def _pspnet(request: NetworkRequest) -> Design:
    arguments = _resnet(request, 3)
    coarse = _product(arguments["strides"])
    window = _window(request, [PSP_BINS * c for c in coarse])
    return arguments | {"window": window} | request.common, window


def _hrnet(request: NetworkRequest) -> Design:
    large = request.device == "gpu"
    strides, kernels = pyramid(request, 6)
    while len(strides) < 3:
        strides.append((1,) * request.ndim)
        kernels.append(kernels[-1])
    resolutions = len(strides) - 1
    arguments: dict[str, Any] = {
        "width": request.base_channels or (18 if large else _narrow(request)),
        "strides": strides,
        "kernels": kernels[2 : 2 + resolutions],
        "modules": ([1, 4, 3] if large else [1, 1, 1])[: resolutions - 1],
        "blocks": 4 if large else 2,
        "stem": 64 if large else 2 * _narrow(request),
    }
    return arguments | request.common, _product(strides)


DESIGNS: dict[str, Callable[[NetworkRequest], Design]] = {
    "unet": _unet,
    "light_unet": _light,
    "residual_unet": _residual,
    "attention_unet": _unet,
    "fusion_unet": _unet,
    "unet_plus_plus": _unet,
    "deeplabv3plus": _deeplab,
    "pspnet": _pspnet,
    "hrnet": _hrnet,
    "unet_2015": _original,
    "unet_2016": _original_3d,
}

MAY_BE_COARSE = frozenset(
    name for name, how in DESIGNS.items() if how in (_unet, _residual, _light)
)
"""Networks whose first step can be a large one."""
