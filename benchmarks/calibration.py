"""Can the probabilities of a model be believed? A temperature from val, told on test.

    python benchmarks/calibration.py --data DIR --set NAME --model FILE

The temperature in the model file is not used: it is fitted here, on all of `val`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from napari_unet.data.normalization import measure_range
from napari_unet.image_io import read_image, read_labels
from napari_unet.metrics.calibration import (
    both,
    fit_temperature,
    reliability,
    tempered,
)
from napari_unet.models.model import Model
from napari_unet.prediction.predictor import Predictor, TileMaps

Pair = tuple[np.ndarray, np.ndarray]


def pairs_of(model: Model, folder: Path) -> list[Pair]:
    """Probabilities and true classes of the images of a split."""
    info = model.info
    predictor = Predictor(model.network, info.task, torch.device("cpu"), torch.float32)
    pairs = []
    for path in sorted((folder / "images").glob("*.tif")):
        source = read_image(path, ndim=info.ndim)
        truth = np.asarray(read_labels(folder / "labels" / path.name, source)[...])
        intensity = measure_range(source, info.normalization)
        n_maps = 2 if info.task == "objects" else len(info.classes)
        maps = np.zeros((n_maps, *source.spatial_shape), np.float32)
        for part in predictor.run(source, intensity, 0):
            if isinstance(part, TileMaps):
                maps[(slice(None), *part.tile.target)] = part.maps
        if info.task == "objects":
            pairs.append((both(maps[0]), (truth > 0).astype(int)))
            continue
        index = np.full(truth.shape, -1)
        for k, one in enumerate(info.classes):
            index[truth == one.result_value] = k
        pairs.append((maps, index))
    return pairs


def error(pairs: list[Pair], temperature: float) -> float:
    """Expected calibration error over all pixels."""
    found = [
        reliability(tempered(maps, temperature), index, tuple(range(len(maps))))
        for maps, index in pairs
    ]
    return sum(found[1:], found[0]).ece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args()
    model = Model.load(options.model)
    splits = {
        name: pairs_of(model, options.data / options.set / name)
        for name in ("val", "test")
    }
    temperature = fit_temperature(splits["val"])
    print(f"{options.set}: temperature {temperature:.2f}, fitted on val")
    for name, pairs in splits.items():
        before, after = error(pairs, 1.0), error(pairs, temperature)
        print(f"  {name}: {before:.4f} without it, {after:.4f} with it")


if __name__ == "__main__":
    main()
