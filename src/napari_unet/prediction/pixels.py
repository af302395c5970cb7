"""Pixels on their way to the device, and classes on their way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.data.normalization import CLIP, IntensityRange
from napari_unet.prediction.allocator import empty_apart

AS_THEY_ARE = frozenset({"u1", "i1", "u2", "i2", "i4", "f2", "f4"})
"""Types that cross to the device as they are: most are smaller than float32."""


def stack_pixels(
    parts: Sequence[NDArray[Any]], device: torch.device
) -> tuple[Tensor, bool]:
    """Pixels ``C (Z) Y X`` of some tiles as one tensor ``N C (Z) Y X``.

    Returns
    -------
    pixels : Tensor
        A copy, in the image's own type where the device knows it.
    finite : bool
        Whether NaN and infinity cannot occur.
    """
    kind = np.result_type(*parts)
    known = kind.str[1:] in AS_THEY_ARE
    wanted: np.dtype[Any]
    if kind.kind == "b":
        wanted = np.dtype(np.uint8)
    elif not known or (device.type == "mps" and kind != np.uint8):
        wanted = np.dtype(np.float32)
    else:
        wanted = kind.newbyteorder("=")
    stacked = empty_apart((len(parts), *parts[0].shape), wanted)
    # What is too large for float32 becomes infinite, and that is handled later.
    with np.errstate(over="ignore"):
        for place, part in zip(stacked, parts, strict=True):
            np.copyto(place, part, casting="unsafe")
    tensor = torch.from_numpy(stacked)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor, kind.kind != "f"


def normalize(pixels: Tensor, intensity: IntensityRange, *, finite: bool) -> Tensor:
    """:meth:`IntensityRange.normalize` on the device; `pixels` may be overwritten."""
    shape = (1, -1) + (1,) * (pixels.ndim - 2)
    low = torch.from_numpy(intensity.low).to(pixels.device).reshape(shape)
    high = torch.from_numpy(intensity.high).to(pixels.device).reshape(shape)
    scaled = pixels.to(torch.float32).sub_(low).div_(high - low)
    if not finite:
        scaled.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
    return scaled.clamp_(*CLIP) if intensity.clip else scaled


def winner(maps: Tensor) -> Tensor:
    """Which of the maps ``K (Z) Y X`` is the largest: uint8 where that is enough.

    The first one of equals, as with ``argmax``, which is slow along a short axis.
    """
    if len(maps) > np.iinfo(np.uint8).max:
        return maps.argmax(dim=0).to(torch.int32)
    if len(maps) == 2:
        return (maps[1] > maps[0]).to(torch.uint8)
    best = maps[0]
    index = torch.zeros(best.shape, dtype=torch.uint8, device=maps.device)
    for number, candidate in enumerate(maps[1:], start=1):
        index.masked_fill_(candidate > best, number)
        best = torch.maximum(best, candidate)
    return index
