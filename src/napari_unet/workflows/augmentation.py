"""Some training patches as the network sees them, to look at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.data.classes import PALETTE
from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.workflows.training import TrainingSetup

PATCHES = 12
GAP = 2
"""Pixels between the patches of a picture."""
MAX_COLUMNS = 6
LARGEST_PREVIEW = 2**22
"""Voxels of all patches together; of large ones there are fewer."""


@dataclass(frozen=True)
class AugmentedPatches:
    """Patches after augmentation.

    Parameters
    ----------
    image : ndarray of float32, N C (Z) Y X
        Normalised intensities, mostly 0 to 1.
    index : ndarray of int16, N (Z) Y X
        -1 where not annotated, else the position of the class; 0 or 1 for ``objects``;
        0 for ``regression``.
    values : ndarray of float32, N (Z) Y X, or None
        The target of a ``regression``, NaN where not annotated.
    """

    image: NDArray[np.float32]
    index: NDArray[np.int16]
    values: NDArray[np.float32] | None


def preview_patches(setup: TrainingSetup, number: int = PATCHES) -> AugmentedPatches:
    """Draw and vary patches as the first steps of a run would.

    Parameters
    ----------
    setup : TrainingSetup
        Its own random numbers are left alone.
    number : int
        Most patches to draw.
    """
    voxels = math.prod(setup.plan.patch_size)
    number = max(1, min(number, LARGEST_PREVIEW // voxels))
    generator = torch.Generator().manual_seed(setup.config.seed)
    trainer = setup.trainer
    batch = trainer.sampler.draw(number, generator)
    batch = trainer.augmentation(batch, generator)
    values = None
    if batch.values is not None:
        known = (batch.index >= 0).numpy()
        values = np.where(known, batch.values[:, 0].numpy(), np.float32(np.nan))
    return AugmentedPatches(
        batch.image.numpy(), batch.index.numpy().astype(np.int16), values
    )


def grid(patches: NDArray[np.float32], fill: float) -> NDArray[np.float32]:
    """Patches ``N … Y X`` side by side: ``… Y X``, with gaps of `fill` between."""
    n, *leading, height, width = patches.shape
    columns = min(MAX_COLUMNS, math.ceil(math.sqrt(n)))
    rows = math.ceil(n / columns)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP)
    out = np.full((*leading, *shape), fill, np.float32)
    for number, patch in enumerate(patches):
        y, x = (k * (s + GAP) for k, s in zip(
            divmod(number, columns), (height, width), strict=True
        ))  # fmt: skip
        out[..., y : y + height, x : x + width] = patch
    return out


def write_preview(path: Path, patches: AugmentedPatches) -> None:
    """Draw patches as a PNG: the images above, the annotation over them below.

    The middle plane of volumes is drawn.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    from PIL import Image

    above = _grey(patches)
    picture = np.concatenate([above, _coloured(above, patches)])
    pixels = (picture.clip(0, 1) * 255).round().astype(np.uint8)
    try:
        with atomic_file(path) as file:
            Image.fromarray(pixels).save(file, format="PNG")
    except OSError as error:
        raise DataError(
            f"The picture could not be written to {path}: {error.strerror or error}. "
            "Choose another folder."
        ) from error


def _grey(patches: AugmentedPatches) -> NDArray[np.float32]:
    """The images as a grid ``Y X RGB``, with a line below."""
    image = patches.image[:, :3]
    if image.shape[1] == 2:
        image = image[:, :1]
    if image.ndim == 5:
        image = image[:, :, image.shape[2] // 2]
    flat = grid(image, 1.0)
    flat = np.repeat(flat, 3, axis=0) if len(flat) == 1 else flat
    line = np.ones((3, 4 * GAP, flat.shape[-1]), np.float32)
    return np.concatenate([flat, line], axis=1).transpose(1, 2, 0)


def _coloured(
    grey: NDArray[np.float32], patches: AugmentedPatches
) -> NDArray[np.float32]:
    """The same picture with the annotation in colours."""
    shown = patches.index.astype(np.float32)
    if patches.values is not None:
        low, high = np.nanmin(patches.values), np.nanmax(patches.values)
        shown = (patches.values - low) / max(float(high - low), 1e-9)
    if shown.ndim == 4:
        shown = shown[:, shown.shape[1] // 2]
    flat = grid(shown, np.nan if patches.values is not None else -1)
    out = grey.copy()
    part = out[: flat.shape[0]]
    if patches.values is not None:
        known = np.isfinite(flat)
        level = np.nan_to_num(flat)[..., np.newaxis]
        warm = np.array([1.0, 0.8, 0.2], np.float32) * level
        part[known] = warm[known]
        return out
    # Channel by channel half grey, half the colour of the class.
    for position in range(int(flat.max()) + 1):
        color = PALETTE[position % len(PALETTE)].lstrip("#")
        rgb = [int(color[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        where = flat == position
        part[where] = 0.55 * part[where] + 0.45 * np.array(rgb, np.float32)
    return out
