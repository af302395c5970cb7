"""Test images of several sets: as they are, segmented by hand, segmented by the U-Net.

    python scripts/results_picture.py --data DIR --results RESULTS --output FILE SET …

RESULTS/SET is what ``benchmarks/accuracy.py --output`` wrote for a set. Of stacks and
time-lapses the middle plane is shown, and of several channels the first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

HEIGHT = 220
GAP = 6
CLASSES = ((0.9, 0.6, 0), (0.34, 0.71, 0.91), (0, 0.62, 0.45), (0.94, 0.89, 0.26))
"""Of the palette of Okabe and Ito, which colour-blind people can tell apart."""


def main() -> None:
    """Draw a row of two sets, three pictures each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("sets", nargs="+", metavar="SET[:IMAGE]")
    options = parser.parse_args()
    strips = []
    for chosen in options.sets:
        name, _, image = chosen.partition(":")
        strips.append(strip(options.data / name, options.results / name, image))
    Image.fromarray(two_columns(strips)).save(options.output, optimize=True)


def strip(folder: Path, results: Path, wanted: str) -> NDArray[np.uint8]:
    """Image, reference and result beside each other."""
    files = sorted((folder / "test" / "images").iterdir())
    file = next(f for f in files if f.stem.startswith(wanted))
    with tifffile.TiffFile(file) as tiff:
        axes, image = tiff.series[0].axes, tiff.asarray()
    objects = folder.name.startswith(("nuclei", "cells", "timelapse"))
    picture = plane(image, axes)
    row = [picture]
    for path in (folder / "test" / "labels" / file.name, results / "test" / file.name):
        labels = plane(tifffile.imread(path), axes.replace("C", "").replace("S", ""))
        row.append(coloured(labels, picture, objects))
    return beside([scaled(p) for p in row])


def plane(array: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """``Y X`` or ``Y X S`` of the middle of all else."""
    for axis in "CTZ":
        if axis in axes and array.ndim > 2:
            at = axes.index(axis)
            middle = 0 if axis == "C" else array.shape[at] // 2
            array, axes = array.take(middle, axis=at), axes.replace(axis, "")
    return array


def grey(image: NDArray[np.generic]) -> NDArray[np.float64]:
    """0 to 1 between two percentiles, ``Y X S``."""
    low, high = np.percentile(image, (0.5, 99.8))
    image = np.clip((image - low) / max(high - low, 1e-9), 0, 1)
    return image if image.ndim == 3 else np.stack([image] * 3, axis=-1)


def coloured(
    labels: NDArray[np.generic], image: NDArray[np.generic], objects: bool
) -> NDArray[np.float64]:
    """Labels in colours over a pale image; objects that touch in different ones."""
    back = grey(image)
    if not objects:
        colours = np.array([(0, 0, 0), *CLASSES])
    else:
        rng = np.random.default_rng(1)
        colours = 0.25 + 0.75 * rng.random((int(labels.max()) + 1, 3))
    shown = 0.45 * back + 0.55 * colours[labels.astype(np.int64)]
    return np.where((labels > 0)[..., None], shown, back)


def scaled(image: NDArray[np.generic]) -> NDArray[np.uint8]:
    """All pictures equally high."""
    shown = Image.fromarray((grey(image) * 255).astype(np.uint8))
    width = round(shown.width * HEIGHT / shown.height)
    return np.asarray(shown.resize((width, HEIGHT), Image.Resampling.BICUBIC))


def beside(pictures: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One row with white gaps."""
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)]
    return np.concatenate(parts[:-1], axis=1)


def two_columns(strips: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Strips in two columns, each as wide as its widest strip."""
    columns = []
    for half in (strips[::2], strips[1::2]):
        width = max(s.shape[1] for s in half)
        padded = [
            np.pad(s, ((0, GAP), (0, width - s.shape[1]), (0, 0)), constant_values=255)
            for s in half
        ]
        columns.append(np.concatenate(padded))
    height = max(len(c) for c in columns)
    columns = [
        np.pad(c, ((0, height - len(c)), (0, 4 * GAP), (0, 0)), constant_values=255)
        for c in columns
    ]
    return np.concatenate(columns, axis=1)[:-GAP, : -4 * GAP]


if __name__ == "__main__":
    main()
