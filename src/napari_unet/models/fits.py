"""Which models suit an image, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unet.models.info import ModelInfo

LARGEST_RATIO = 2.0
"""Pixels that differ more than this in size show another world."""


def fits(
    info: ModelInfo,
    axes: str,
    channels: int,
    pixel_size: Sequence[float] = (),
    unit: str = "pixel",
) -> str | None:
    """Why a model does not suit an image, in a few words; ``None`` if it does.

    Parameters
    ----------
    info : ModelInfo
    axes : str
        Of the image, out of ``TCZYX``. A 2D model suits a volume, plane by plane.
    channels : int
    pixel_size : sequence of float
        Along (Z) Y X, in `unit`; nothing is compared without, or in pixels.
    unit : str
    """
    if info.ndim == 3 and "Z" not in axes:
        return "for volumes"
    if info.n_channels != channels:
        count = info.n_channels
        return "for 1 channel" if count == 1 else f"for {count} channels"
    if not pixel_size or "pixel" in (unit, info.unit) or unit != info.unit:
        return None
    ours, theirs = list(pixel_size)[-2:], info.voxel_size[-2:]
    if len(theirs) != 2 or min(ours) <= 0 or min(theirs) <= 0:
        return None
    ratio = (ours[0] * ours[1] / (theirs[0] * theirs[1])) ** 0.5
    if 1 / LARGEST_RATIO <= ratio <= LARGEST_RATIO:
        return None
    return f"for pixels of {theirs[-1]:.3g} {_short(unit)}"


def _short(unit: str) -> str:
    return {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm"}.get(unit, unit)
