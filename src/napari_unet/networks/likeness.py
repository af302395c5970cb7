"""The network of a model, made for other channels, outputs or dimensions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch

from napari_unet.networks.blocks import Size
from napari_unet.networks.design import LEAST_LEFT, NetworkRequest
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import (
    NETWORKS,
    Network,
    build_network,
    design_network,
)

LEVELS = ("channels", "strides", "kernels", "stem")
"""Arguments of networks whose shape can be read off, and given another axis."""


def network_like(
    info: NetworkInfo, ndim: int, request: NetworkRequest
) -> tuple[NetworkInfo, Size]:
    """A network like that of a model, and what sizes along (Z) Y X must divide by.

    Levels and widths stay, so that weights fit.

    Parameters
    ----------
    info : NetworkInfo
        Of the model.
    ndim : {2, 3}
        Of the model.
    request : NetworkRequest
        What is wanted now.
    """
    if info.name == "pixel_unet":
        info = NetworkInfo(name="unet", arguments=info.arguments["unet"])
    arguments = {k: v for k, v in info.arguments.items() if k not in _OWN_WISHES}
    if ndim != request.ndim:
        if "ndim" in arguments:
            arguments["ndim"] = request.ndim
        elif all(name in arguments for name in LEVELS):
            change = _with_depth if request.ndim == 3 else _without_depth
            arguments |= change(arguments, request)
        else:
            # Windows and dilations belong to an image: only the width can be kept.
            width = arguments.get("base", arguments.get("width"))
            wish = replace(request, base_channels=width)
            return design_network(info.name, wish)
    elif info.name not in NETWORKS:
        return design_network(info.name, request)
    made = NetworkInfo(
        name=info.name, arguments=arguments | request.common, package=info.package
    )
    with torch.device("meta"):
        outline = cast("Network", build_network(made))
    return made, tuple(outline.divisor)


_OWN_WISHES = ("dropout", "rescale")
"""Arguments that do not shape weights: those of this training count."""


def _with_depth(
    arguments: Mapping[str, Any], request: NetworkRequest
) -> dict[str, Any]:
    """Strides and kernels with Z, which is pooled as its voxels want."""
    step, left = list(request.spacing), float(request.patch[0])

    def strided(flat: Sequence[int]) -> list[int]:
        nonlocal left
        close = step[0] < 2 * min(step)
        z = max(flat) if close and left >= LEAST_LEFT else 1
        left /= z
        made = [z, *flat]
        step[:] = [s * f for s, f in zip(step, made, strict=True)]
        return made

    def kernel(flat: Sequence[int]) -> list[int]:
        return [max(flat) if step[0] < 2 * min(step) else 1, *flat]

    stem = strided(arguments["stem"])
    kernels, strides = [kernel(arguments["kernels"][0])], []
    for stride, flat in zip(
        arguments["strides"], arguments["kernels"][1:], strict=True
    ):
        strides.append(strided(stride))
        kernels.append(kernel(flat))
    return {"stem": stem, "strides": strides, "kernels": kernels}


def _without_depth(
    arguments: Mapping[str, Any], request: NetworkRequest
) -> dict[str, Any]:
    return {
        "stem": list(arguments["stem"][1:]),
        "strides": [list(s[1:]) for s in arguments["strides"]],
        "kernels": [list(k[1:]) for k in arguments["kernels"]],
    }
