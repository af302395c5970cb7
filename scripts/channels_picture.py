"""The picture of cells that two channels tell apart; no viewer is needed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

STEPS = 220
"""About two minutes on one core."""
GAP = 6
GREEN, MAGENTA = np.array((60, 255, 60)), np.array((255, 60, 255))
Rgb = NDArray[np.uint8]


def picture(path: Path) -> None:
    """Nuclei, membranes, both, and the cells that were found, in an unseen image."""
    from napari_unet import predict, train
    from napari_unet.sample_cells import cells_two_channels

    sample, test = cells_two_channels(seed=1), cells_two_channels(seed=2)
    model = train(
        sample.image,
        sample.annotation,
        annotation="sparse",
        task="objects",
        axes="CYX",
        max_steps=STEPS,
        seed=0,
    )
    found = predict(model, test.image, axes="CYX")
    nuclei, membranes = (
        _bright(channel)[..., None] * color
        for channel, color in zip(test.image, (GREEN, MAGENTA), strict=True)
    )
    both = np.minimum(nuclei + membranes, 255)
    parts = [part.astype(np.uint8) for part in (nuclei, membranes, _laid(both, found))]
    gap = np.full((parts[0].shape[0], GAP, 3), 255, np.uint8)
    row = np.concatenate([p for q in parts for p in (q, gap)][:-1], axis=1)
    Image.fromarray(row).quantize(128).save(path, optimize=True)


def _bright(channel: NDArray[np.generic]) -> NDArray[np.float64]:
    """Y X from 0 to 1."""
    pixels = np.asarray(channel, np.float64)
    low, high = np.percentile(pixels, (0.5, 99.8))
    return np.clip((pixels - low) / (high - low), 0, 1) ** 0.7


def _laid(picture: NDArray[np.float64], labels: NDArray[np.int32]) -> Rgb:
    """A picture with each object in a colour of its own, bright enough to be told."""
    colors = np.random.default_rng(3).integers(60, 256, (int(labels.max()) + 1, 3))
    shown = picture.copy()
    inside = labels > 0
    shown[inside] = 0.45 * shown[inside] + 0.55 * colors[labels[inside]]
    return shown.astype(np.uint8)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
