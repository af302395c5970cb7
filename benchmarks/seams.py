"""What tiles of a volume cost at their seams, where their context is cut short.

    python benchmarks/seams.py DIR [--model FILE] [--json FILE]

DIR holds ``nuclei3d_ovule_gonuclear``. A 3D U-Net learns from its training volume; that
and the validation volume are segmented as a whole and in tiles, with more and less
context. What counts is the difference to the whole, which has no seam. *Blended* tiles
reach 8 voxels into each other, where one fades into the next; of 16 voxels around a
tile that leaves 8 as context, so that both ways cost the same.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet import load_model, train
from napari_unet.data.normalization import IntensityRange, measure_range
from napari_unet.data.source import ImageSource
from napari_unet.device import pick_device
from napari_unet.image_io import read_image
from napari_unet.metrics.objects import match_objects
from napari_unet.models.model import Model
from napari_unet.prediction.predictor import MemoryNote, Predictor
from napari_unet.prediction.tiling import TileGrid
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo

Maps = NDArray[np.float32]
FADE = 8
"""Voxels by which blended tiles reach into their neighbours."""


def main() -> None:
    """Train or load, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, help="trained before")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = options.data / "nuclei3d_ovule_gonuclear"
    if options.model and options.model.exists():
        model = load_model(options.model)
    else:
        (image,) = (folder / "train" / "images").iterdir()
        model = train(
            image,
            folder / "train" / "labels" / image.name,
            task="objects",
            annotation="complete",
            max_steps=options.steps,
            base_channels=8,
            seed=0,
        )
        if options.model:
            model.save(options.model)
    figures = {}
    for split in ("train", "val"):
        (path,) = (folder / split / "images").iterdir()
        figures[split] = measure(model, read_image(path))
        for name, values in figures[split].items():
            words = "  ".join(f"{k} {v}" for k, v in values.items())
            print(f"{split:6} {name:24} {words}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def measure(model: Model, source: ImageSource) -> dict[str, dict[str, float]]:
    """Compare tiles with the whole."""
    intensity = measure_range(source, model.info.normalization)
    whole_size = source.spatial_shape
    whole = in_tiles(model, source, intensity, whole_size, 0)
    found = {}
    for edge in (32, 48):
        for halo in (0, 16, 32):
            maps = in_tiles(model, source, intensity, (edge,) * 3, halo)
            found[f"tile {edge}, context {halo}"] = compared(model, maps, whole)
        maps = blended(model, source, intensity, edge)
        found[f"tile {edge}, blended"] = compared(model, maps, whole)
    return found


def predictor(model: Model, tile: tuple[int, ...], halo: int) -> Predictor:
    """In float32: differences are those of the tiles alone."""
    import torch

    return Predictor(
        model.network,
        model.info.task,
        pick_device(),
        torch.float32,
        tile=tile,
        halo=(halo,) * 3,
    )


def in_tiles(
    model: Model,
    source: ImageSource,
    intensity: IntensityRange,
    tile: tuple[int, ...],
    halo: int,
    box: Any = None,
) -> Maps:
    """Maps K Z Y X of an image or a box of it."""
    box = box or tuple((0, n) for n in source.spatial_shape)
    maps = np.zeros((2, *(b - a for a, b in box)), np.float32)
    for part in predictor(model, tile, halo).run(source, intensity, 0, box):
        if not isinstance(part, MemoryNote):
            maps[(slice(None), *part.tile.target)] = part.maps
    return maps


def blended(
    model: Model, source: ImageSource, intensity: IntensityRange, edge: int
) -> Maps:
    """Maps of tiles that fade into each other; the same pixels are computed."""
    shape = source.spatial_shape
    total = np.zeros((2, *shape), np.float32)
    weights = np.zeros(shape, np.float32)
    divisor = predictor(model, (edge,) * 3, 0).divisor
    for tile in TileGrid(shape, (edge,) * 3, (0,) * 3, divisor):
        box = tuple(
            (max(0, a - FADE), min(n, b + FADE))
            for (a, b), n in zip(tile.inner, shape, strict=True)
        )
        maps = in_tiles(model, source, intensity, (2 * edge,) * 3, 0, box)
        ramps = [
            ramp(a, b, low, high)
            for (a, b), (low, high) in zip(tile.inner, box, strict=True)
        ]
        weight = functools.reduce(operator.mul, np.ix_(*ramps))
        where = tuple(slice(*span) for span in box)
        total[(slice(None), *where)] += maps * weight
        weights[where] += weight
    return total / weights


def ramp(start: int, stop: int, low: int, high: int) -> NDArray[np.float32]:
    """From 0 to 1 and back over the seams of an axis; 1 at the ends of the image."""
    place = np.arange(low, high, dtype=np.float32) + 0.5
    weight = np.ones(len(place), np.float32)
    if low < start:
        weight = np.minimum(weight, (place - (start - FADE)) / (2 * FADE))
    if high > stop:
        weight = np.minimum(weight, ((stop + FADE) - place) / (2 * FADE))
    return weight.clip(0, 1)


def compared(model: Model, maps: Maps, whole: Maps) -> dict[str, float]:
    """How far tiles are from the whole, and their objects from its objects."""
    settings = model.info.decoder or DecoderInfo()
    ours = decode_objects(maps[0], maps[1], settings)
    theirs = decode_objects(whole[0], whole[1], settings)
    scores = match_objects(theirs, ours, (0.5, 0.9))
    other = (maps[0] > 0.5) != (whole[0] > 0.5)
    share = other.sum() / max(1, int((whole[0] > 0.5).sum()))
    return {
        "foreground_changed_percent": round(100 * float(share), 3),
        "largest_difference": round(float(np.abs(maps - whole).max()), 4),
        **{
            f"ap_{t}": round(float(ap), 4)
            for t, ap in zip((0.5, 0.9), scores.ap, strict=True)
        },
    }


if __name__ == "__main__":
    main()
