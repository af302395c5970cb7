"""Pictures for the report: image, prediction and errors of one plane."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_unet.data.classes import PALETTE
from napari_unet.evaluation.kinds import COLORS, KINDS
from napari_unet.evaluation.pairs import Frame
from napari_unet.evaluation.settings import ComparedTask
from napari_unet.metrics.boundaries import edges_of

LARGEST = 420
"""Longest side of a picture in pixels."""
OVERLAY = 0.45
"""Weight of the labels over the image."""
MIX = 2654435761
"""Knuth's multiplicative hash: neighbours in number get colours apart."""

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """Pictures as ``data:`` addresses, so that a page needs no other file."""

    image: str
    prediction: str
    errors: str
    where: str
    """Which plane, in words; empty for 2D."""


def picture(frame: Frame, errors: NDArray[np.uint8], task: ComparedTask) -> Picture:
    """Show the plane of a frame that holds the most errors.

    Parameters
    ----------
    frame : Frame
    errors : array of uint8, (Z) Y X
        From :mod:`.mistakes`.
    task : {"classes", "objects"}
    """
    plane: Any = ...
    where = ""
    if errors.ndim == 3:
        z = int((errors > 0).sum(axis=(1, 2)).argmax())
        plane, where = z, f"plane {z}"
    if frame.index:
        where = ", ".join([f"frame {' '.join(map(str, frame.index))}", where]).strip(
            ", "
        )
    truth, made = frame.truth[plane], frame.prediction[plane]
    base = _base(None if frame.image is None else frame.image[:, plane], truth)
    return Picture(
        image=_data(base),
        prediction=_data(_outlined(_painted(base, made, task), truth)),
        errors=_data(_marked(base // 2, errors[plane])),
        where=where,
    )


def _base(image: NDArray[Any] | None, truth: NDArray[Any]) -> Rgb:
    """Grey or RGB, stretched between percentiles; unannotated pixels are not told."""
    if image is None:
        return np.full((*truth.shape, 3), 40, np.uint8)
    if len(image) == 3:
        channels = [_stretched(channel) for channel in image]
    else:
        grey = _stretched(image[0])
        channels = [grey, grey, grey]
    return np.stack(channels, axis=-1)


def _stretched(channel: NDArray[Any]) -> NDArray[np.uint8]:
    values = np.nan_to_num(channel.astype(np.float32))
    low, high = np.percentile(values, (0.5, 99.8))
    scaled = np.clip((values - low) / max(float(high - low), 1e-9), 0, 1)
    shown: NDArray[np.uint8] = (255 * np.sqrt(scaled)).astype(np.uint8)
    return shown


def _painted(base: Rgb, labels: NDArray[Any], task: ComparedTask) -> Rgb:
    colors = np.array([_rgb(c) for c in PALETTE], np.float32)
    numbers = labels.astype(np.int64)
    index = numbers - 1 if task == "classes" else (numbers * MIX >> 8)
    shown = base.astype(np.float32)
    inside = labels > 0
    over = colors[index[inside] % len(colors)]
    shown[inside] = (1 - OVERLAY) * shown[inside] + OVERLAY * over
    return shown.astype(np.uint8)


def _outlined(base: Rgb, truth: NDArray[Any]) -> Rgb:
    """Draw the outlines of the truth in white."""
    shown = base.copy()
    shown[edges_of(truth, truth >= 0)] = 255
    return shown


def _marked(base: Rgb, errors: NDArray[np.uint8]) -> Rgb:
    shown = base.copy()
    for number, kind in enumerate(KINDS, start=1):
        shown[errors == number] = _rgb(COLORS[kind])
    return shown


def _rgb(color: str) -> tuple[int, int, int]:
    return (int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16))


def _data(pixels: Rgb) -> str:
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    factor = LARGEST / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    elif factor >= 2:
        whole = int(factor)
        image = image.resize((width * whole, height * whole), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    # A quarter of the size of a PNG; colours keep their full resolution.
    image.save(buffer, "JPEG", quality=88, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
