"""Do time-lapses gain when the maps of neighbouring frames are averaged?

    python benchmarks/flicker.py --data DIR

The model that comes with the program segments three synthetic time-lapses, as they are
and with noise, and the training part of a real one; the maps of each frame are averaged
with those before and after it, by some weight. Told are AP at IoU 0.5 and what the
linking makes of the objects.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from tracking import Labels, linked, matches, score

from napari_unet.data.source import ImageSource
from napari_unet.models.library import BUILT_IN
from napari_unet.models.model import Model
from napari_unet.sample_timelapse import nuclei_timelapse
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.workflows import exhaust, predict

WEIGHTS = 0.0, 0.1, 0.2, 0.3
"""Of the frame before and of the one after, each."""

Case = tuple[NDArray[np.uint16], Labels, dict[int, int] | None]


def average_precision(truth: Labels, made: Labels) -> float:
    """TP / (TP + FP + FN) at IoU 0.5 over all frames ``T Y X``."""
    both = len(matches(truth, made))
    true, found = (
        sum(len(np.unique(frame[frame > 0])) for frame in labels)
        for labels in (truth, made)
    )
    return both / (true + found - both)


def averaged(maps: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """Maps ``T C Y X``, each with a share of its neighbours in time."""
    before = np.concatenate([maps[:1], maps[:-1]])
    after = np.concatenate([maps[1:], maps[-1:]])
    found: NDArray[np.float32] = (1 - 2 * weight) * maps + weight * (before + after)
    return found


def tell(name: str, model: Model, cases: Sequence[Case]) -> None:
    """Print a line for each weight."""
    settings = model.info.decoder or DecoderInfo()
    figures: dict[float, list[list[float]]] = {w: [] for w in WEIGHTS}
    for image, truth, graph in cases:
        run = predict(model, ImageSource((image,), "TYX"), probabilities=True)
        maps = np.asarray(exhaust(run).probabilities, np.float32)
        maps = maps if maps.shape[1] == 2 else np.moveaxis(maps, 0, 1)
        for weight, lines in figures.items():
            frames = averaged(maps, weight)
            made = np.stack([decode_objects(f[0], f[1], settings) for f in frames])
            counts = score(truth, made, linked(), graph)
            lines.append(
                [
                    average_precision(truth, made),
                    counts["links_right"] / counts["links"],
                    counts["links_right"] / max(counts["links_made"], 1),
                    counts["kept"] / max(counts["long"], 1),
                ]
            )
    for weight, lines in figures.items():
        cells = " | ".join(f"{value:.3f}" for value in np.mean(lines, 0))
        print(f"| {name} | {weight:g} | {cells} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    (starter,) = BUILT_IN.glob("*.zip")
    model = Model.load(starter)
    print("| time-lapse | weight | AP@0.5 | links found | links right | identity |")
    print("|---|---|---|---|---|---|")
    rng = np.random.default_rng(0)
    movies = [nuclei_timelapse(seed) for seed in range(3)]
    for noise in (0.0, 0.5, 1.0):
        cases: list[Case] = []
        for movie in movies:
            clean = movie.image.astype(float)
            loud = clean + rng.normal(0, noise * clean.std(), clean.shape)
            pixels = loud.clip(0, 65535).astype(np.uint16)
            cases.append((pixels, movie.labels, movie.graph))
        tell(f"synthetic, noise {noise:g} of its spread", model, cases)
    folder = options.data / "timelapse_nuclei_laptrack" / "train"
    image, truth = (
        tifffile.imread(next((folder / kind).glob("*.tif")))
        for kind in ("images", "labels")
    )
    tell("dense tissue", model, [(image, truth.astype(np.int32), None)])


if __name__ == "__main__":
    main()
