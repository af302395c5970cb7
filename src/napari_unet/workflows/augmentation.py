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
WARM = (1.0, 0.8, 0.2)
"""Colour of the highest value of a target."""
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


@dataclass(frozen=True)
class PatchGrids:
    """Patches side by side; of volumes the middle planes.

    Parameters
    ----------
    image : ndarray of float32, C Y X
    target : ndarray of float32, Y X
        Position of the class, or value; NaN where not annotated and in the gaps.
    n_classes : int
        0 where the target holds values.
    """

    image: NDArray[np.float32]
    target: NDArray[np.float32]
    n_classes: int


def patch_grids(patches: AugmentedPatches) -> PatchGrids:
    """Put patches into one picture, and their targets into another."""
    image = patches.image
    if image.ndim == 5:
        image = image[:, :, image.shape[2] // 2]
    target, n_classes = patches.values, 0
    if target is None:
        index = patches.index
        n_classes = int(index.max(initial=0)) + 1
        target = np.where(index >= 0, index, np.nan).astype(np.float32)
    if target.ndim == 4:
        target = target[:, target.shape[1] // 2]
    return PatchGrids(grid(image, 0.0), grid(target, np.nan), n_classes)


def write_preview(path: Path, patches: AugmentedPatches) -> None:
    """Draw patches as a PNG: the images above, the annotation over them below.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    from PIL import Image

    grids = patch_grids(patches)
    above = grids.image[:3] if len(grids.image) > 2 else grids.image[:1].repeat(3, 0)
    above = above.transpose(1, 2, 0).clip(0, 1)
    line = np.ones((4 * GAP, above.shape[1], 3), np.float32)
    picture = np.concatenate([above, line, _coloured(above, grids)])
    pixels = (picture * 255).round().astype(np.uint8)
    try:
        with atomic_file(path) as file:
            Image.fromarray(pixels).save(file, format="PNG")
    except OSError as error:
        raise DataError(
            f"The picture could not be written to {path}: {error.strerror or error}. "
            "Choose another folder."
        ) from error


def _coloured(picture: NDArray[np.float32], grids: PatchGrids) -> NDArray[np.float32]:
    """The same picture ``Y X RGB`` with the targets in colours."""
    out, target = picture.copy(), grids.target
    known = np.isfinite(target)
    if not grids.n_classes:
        low, high = np.nanmin(target), np.nanmax(target)
        level = (target - low) / max(float(high - low), 1e-9)
        out[known] = level[known, np.newaxis] * np.array(WARM, np.float32)
        return out
    for position in range(grids.n_classes):
        text = PALETTE[position % len(PALETTE)].lstrip("#")
        color = [int(text[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        where = target == position
        out[where] = 0.55 * out[where] + 0.45 * np.array(color, np.float32)
    return out
