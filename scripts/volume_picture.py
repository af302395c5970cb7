"""The picture of a volume that is learnt from three planes; no viewer is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PAINTED = (4, 12, 20)
SHOWN = (4, 8, 12, 16)
"""Every other one of them was not painted."""
STEPS = 220
"""About two minutes on one core."""
GAP = 6
CLASS, BACKGROUND = (84, 188, 232), (150, 106, 70)
Rgb = NDArray[np.uint8]


def picture(path: Path) -> None:
    """Planes with what was painted (above) and what was found (below)."""
    from napari_unet import predict, train
    from napari_unet.sample_data import nuclei_3d

    sample = nuclei_3d(task="classes")
    strokes = np.zeros_like(sample.annotation)
    strokes[list(PAINTED)] = sample.annotation[list(PAINTED)]
    model = train(
        sample.image,
        strokes,
        annotation="sparse",
        axes="ZYX",
        voxel_size=sample.voxel_size,
        ndim=2,
        max_steps=STEPS,
        seed=0,
    )
    found = predict(model, sample.image)
    low, high = np.percentile(sample.image, (0.5, 99.8))
    bright = np.clip((sample.image - low) / (high - low), 0, 1) ** 0.7
    rows = [
        _row([_painted(bright[z], strokes[z]) for z in SHOWN]),
        _row([_painted(bright[z], found[z]) for z in SHOWN]),
    ]
    gap = np.full((GAP, rows[0].shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate([rows[0], gap, rows[1]])).save(path, optimize=True)


def _painted(plane: NDArray[np.float64], labels: NDArray[np.int32]) -> Rgb:
    """A plane, Y X from 0 to 1, with its labels laid over it."""
    grey = np.repeat(plane[..., None] * 255, 3, axis=2)
    for value, color in ((1, BACKGROUND), (2, CLASS)):
        grey[labels == value] = 0.45 * grey[labels == value] + 0.55 * np.array(color)
    size = (plane.shape[1] * 3 // 2, plane.shape[0] * 3 // 2)
    shown = Image.fromarray(grey.astype(np.uint8)).resize(
        size, Image.Resampling.NEAREST
    )
    return np.asarray(shown)


def _row(pictures: list[Rgb]) -> Rgb:
    gap = np.full((pictures[0].shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([p for q in pictures for p in (q, gap)][:-1], axis=1)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
