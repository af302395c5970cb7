"""Images made worse, to see whether the model still finds what it should.

Each change is one that microscopes and people make: noise, blur, weaker contrast,
another brightness, half the resolution. Sizes are relative to the range of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.data.source import ImageSource

Change = Callable[[NDArray[np.float32], float, np.random.Generator], NDArray[Any]]
"""One channel (Z) Y X, its range, and random numbers."""

NOISE = 0.1
"""Standard deviation of the noise, as a share of the range."""
BLUR = 1.5
"""Standard deviation of the Gaussian along Y and X, in pixels."""
CONTRAST = 0.5
BRIGHTNESS = 0.2
"""Added, as a share of the range."""


def _noise(
    channel: NDArray[np.float32], spread: float, rng: np.random.Generator
) -> NDArray[Any]:
    return channel + rng.normal(0, NOISE * spread, channel.shape)


def _blur(
    channel: NDArray[np.float32], spread: float, rng: np.random.Generator
) -> NDArray[Any]:
    sigma = (0,) * (channel.ndim - 2) + (BLUR, BLUR)
    blurred: NDArray[Any] = ndimage.gaussian_filter(channel, sigma)
    return blurred


def _contrast(
    channel: NDArray[np.float32], spread: float, rng: np.random.Generator
) -> NDArray[Any]:
    mean = channel.mean()
    changed: NDArray[Any] = mean + CONTRAST * (channel - mean)
    return changed


def _brightness(
    channel: NDArray[np.float32], spread: float, rng: np.random.Generator
) -> NDArray[Any]:
    return channel + np.float32(BRIGHTNESS * spread)


def _half_resolution(
    channel: NDArray[np.float32], spread: float, rng: np.random.Generator
) -> NDArray[Any]:
    """Means of 2 × 2 pixels, brought back to the old size."""
    height, width = channel.shape[-2:]
    edge = [(0, 0)] * (channel.ndim - 2) + [(0, height % 2), (0, width % 2)]
    even = np.pad(channel, edge, mode="edge")
    small = even.reshape(
        *even.shape[:-2], even.shape[-2] // 2, 2, even.shape[-1] // 2, 2
    ).mean(axis=(-3, -1))
    # Linear between the centres of the coarse pixels.
    places = [(np.arange(n) + 0.5) / 2 - 0.5 for n in (height, width)]
    grid = np.meshgrid(*places, indexing="ij")
    planes = small.reshape(-1, *small.shape[-2:])
    large = [
        ndimage.map_coordinates(plane, grid, order=1, mode="nearest")
        for plane in planes
    ]
    return np.stack(large).reshape(channel.shape)


CHANGES: dict[str, Change] = {
    "noise": _noise,
    "blur": _blur,
    "half contrast": _contrast,
    "brighter": _brightness,
    "half resolution": _half_resolution,
}


def perturbed(source: ImageSource, name: str, seed: int = 0) -> ImageSource:
    """An image with one of `CHANGES`, in its own dtype; what overflows is cut off."""
    rng = np.random.default_rng(seed)
    change = CHANGES[name]
    arrays = []
    for array in source.arrays:
        pixels = np.asarray(array[...])
        order, back = _spatial_last(source)
        moved = pixels.transpose(order)
        planes = moved.reshape(-1, *moved.shape[-source.ndim :])
        done = np.stack([_changed(plane, change, rng) for plane in planes])
        arrays.append(done.reshape(moved.shape).transpose(back))
    return replace(source, arrays=tuple(arrays))


def _spatial_last(source: ImageSource) -> tuple[list[int], list[int]]:
    letters = [a for a in source.axes if a not in source.spatial]
    order = [source.axes.index(a) for a in [*letters, *source.spatial]]
    return order, list(np.argsort(order))


def _changed(
    channel: NDArray[Any], change: Change, rng: np.random.Generator
) -> NDArray[Any]:
    values = channel.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.8))
    changed = change(values, float(high - low), rng)
    if channel.dtype.kind in "ui":
        limits = np.iinfo(channel.dtype)
        changed = np.clip(np.rint(changed), limits.min, limits.max)
    elif channel.dtype.kind == "b":
        changed = changed > 0.5
    return changed.astype(channel.dtype)
