"""A small piece of a training image that travels with the model.

Other programs test the model with it, and people see what it was trained on.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.annotation import Annotation
from napari_unet.data.normalization import CLIP, NormalizationInfo
from napari_unet.data.source import Box, ImageSource
from napari_unet.models.info import ModelInfo
from napari_unet.segmentation.objects import decode_objects

EXAMPLE_EDGE = {2: 256, 3: 64}
"""Largest edge of an example in voxels, by dimensions."""
MAX_SEARCHED = 2**24
"""Voxels of a sample up to which its annotation is looked for."""
PICTURE_EDGE = 256
"""Edge of the pictures before and after, in pixels."""
EPS = 1e-12
"""Keeps a flat channel from being divided by nothing."""
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""Types of pixels that packages may have; others become float32."""


@dataclass(frozen=True)
class Example:
    """A piece of an image, and what the model made of it.

    Parameters
    ----------
    pixels : ndarray, C (Z) Y X
        In the image's own type.
    picture : bytes, optional
        PNG with the image on the left and the segmentation on the right.
    """

    pixels: NDArray[Any]
    picture: bytes | None = None


def example_from(annotation: Annotation, sample: int | None = None) -> Example:
    """The piece of an annotated image around its first annotated pixels."""
    source = annotation.source
    if sample is None:
        sample = _first_annotated(annotation)
    return crop_example(source, sample, _centre(annotation, sample))


def _first_annotated(annotation: Annotation) -> int:
    if annotation.unannotated_value is None:
        return 0
    samples = range(annotation.source.n_samples)
    return next((s for s in samples if (annotation.read(s) >= 0).any()), 0)


def crop_example(
    source: ImageSource, sample: int, centre: Sequence[int] | None = None
) -> Example:
    """A piece of one sample around `centre`, (Z) Y X; its middle by default."""
    edge = EXAMPLE_EDGE[source.ndim]
    shape = source.spatial_shape
    centre = centre or [n // 2 for n in shape]
    box: Box = tuple(
        (start := max(0, min(c - edge // 2, n - edge)), min(n, start + edge))
        for c, n in zip(centre, shape, strict=True)
    )
    return Example(plain_pixels(source.read(sample, box)))


def _centre(annotation: Annotation, sample: int) -> list[int] | None:
    voxels = int(np.prod(annotation.source.spatial_shape))
    if annotation.unannotated_value is None or voxels > MAX_SEARCHED:
        return None
    known = np.argwhere(annotation.read(sample) >= 0)
    # A pixel that was painted, not a mean that may lie between two places.
    return [int(i) for i in known[len(known) // 2]] if len(known) else None


def plain_pixels(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels of a type that packages may have, without NaN and infinity."""
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    elif pixels.dtype.name not in DTYPES:
        pixels = pixels.astype(np.float32)
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
    return np.ascontiguousarray(pixels)


def synthetic_example(n_channels: int, shape: Sequence[int]) -> Example:
    """Blobs, for a model of which no image is known; always the same ones."""
    grids = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    waves = [
        sum(np.sin(g * (0.35 + 0.05 * k) + k + a) for a, g in enumerate(grids))
        for k in range(n_channels)
    ]
    stack = np.stack(waves) / len(shape)
    return Example(((stack + 1) * 127).astype(np.uint8))


def fitted(pixels: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Pixels ``C (Z) Y X`` mirrored or cut to `shape` (Z) Y X."""
    for axis, length in enumerate(shape, start=1):
        have = pixels.shape[axis]
        start = max(0, (have - length) // 2)
        index = np.arange(start, start + length)
        if length > have:
            period = max(1, 2 * (have - 1))
            folded = np.arange(length) % period
            index = np.minimum(folded, period - folded)
        pixels = np.take(pixels, index, axis=axis)
    return np.ascontiguousarray(pixels)


def normalized(
    pixels: NDArray[Any], normalization: NormalizationInfo
) -> NDArray[np.float32]:
    """What the package's preprocessing makes of pixels ``C (Z) Y X``."""
    values = pixels.astype(np.float32)
    space = tuple(range(1, values.ndim))
    low, high = np.percentile(
        values, percentiles(normalization), axis=space, keepdims=True
    )
    scaled = (values - low) / (high - low + EPS)
    clipped: NDArray[np.float32] = np.clip(scaled, *CLIP).astype(np.float32)
    return clipped


def percentiles(normalization: NormalizationInfo) -> tuple[float, float]:
    """Percentiles within what packages allow."""
    return normalization.low, max(normalization.high, 1.001)


def before_and_after(
    pixels: NDArray[Any], maps: NDArray[np.float32], info: ModelInfo
) -> bytes:
    """A PNG: the image, and what the model makes of it, side by side.

    Parameters
    ----------
    pixels : ndarray, C (Z) Y X
    maps : ndarray of float32, K (Z) Y X
    """
    from PIL import Image

    seen = np.clip(normalized(pixels, info.normalization), 0, 1)
    painted = _painted(maps, info)
    if info.ndim == 3:
        middle = seen.shape[1] // 2
        seen, painted = seen[:, middle], painted[middle]
    grey = seen.mean(axis=0)[..., np.newaxis].repeat(3, axis=-1)
    if len(seen) == 3:
        grey = np.moveaxis(seen, 0, -1)
    shown = painted.any(axis=-1, keepdims=True)
    after = np.where(shown, 0.45 * grey + 0.55 * painted, grey)
    if info.task == "regression":
        after = painted
    halves = []
    for half in (grey, after):
        picture = Image.fromarray((half * 255).astype(np.uint8))
        halves.append(picture.resize((PICTURE_EDGE, PICTURE_EDGE)))
    together = Image.new("RGB", (2 * PICTURE_EDGE, PICTURE_EDGE))
    for number, picture in enumerate(halves):
        together.paste(picture, (number * PICTURE_EDGE, 0))
    buffer = io.BytesIO()
    together.save(buffer, "PNG")
    return buffer.getvalue()


def _painted(maps: NDArray[np.float32], info: ModelInfo) -> NDArray[np.float64]:
    """Colours ``(Z) Y X 3`` of a segmentation, black where background is."""
    if info.task == "regression":
        value = maps[0]
        spread = (value - value.min()) / max(float(np.ptp(value)), 1e-12)
        grey: NDArray[np.float64] = spread[..., np.newaxis].repeat(3, axis=-1)
        return grey
    if info.task == "objects":
        if info.decoder is None:
            labels = (maps[0] > 0.5).astype(np.int32)
        else:
            labels = decode_objects(maps[0], maps[1], info.decoder)
        colours = np.random.default_rng(1).uniform(0.25, 1.0, (labels.max() + 1, 3))
        colours[0] = 0
        coloured: NDArray[np.float64] = colours[labels]
        return coloured
    palette = np.array(
        [
            (0, 0, 0) if c.background else _rgb(c.color)
            for c in info.classes
        ],
        dtype=float,
    )  # fmt: skip
    found: NDArray[np.float64] = palette[maps.argmax(axis=0)]
    return found


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
