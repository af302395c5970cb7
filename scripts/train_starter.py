"""Train the starter model that ships with the package.

    python scripts/train_starter.py --data DIR --minutes 15

`DIR` holds the CC0 sets nuclei2d_dsb2018, nuclei2d_dsb2018_more, nuclei2d_bbbc039 and
nuclei2d_bbbc039_more (images and labels of the split ``train``). Only those are used;
``val`` of the first set is scored at the end. The result is the U-Net of a live run
with two heads: one for two classes, one for objects.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from safetensors.torch import save
from torch import nn

from napari_unet.config import AugmentationConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.augmentation import Augmentation
from napari_unet.data.classes import object_classes
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.source import ImageSource
from napari_unet.device import autocast, pick_device, pick_precision
from napari_unet.files import atomic_file
from napari_unet.live.starters import STARTER_FOLDER, STARTER_NAME, starter_network
from napari_unet.losses.masked import classes_loss, objects_loss
from napari_unet.training.averaging import WeightAverage

SETS = (
    "nuclei2d_dsb2018",
    "nuclei2d_dsb2018_more",
    "nuclei2d_bbbc039",
    "nuclei2d_bbbc039_more",
)
PATCH, BATCH, RATE = (128, 128), 8, 2e-3


def regions(folder: Path) -> list[Region]:
    """Every image of a folder with ``images`` and ``labels``, completely annotated."""
    found = []
    for path in sorted((folder / "images").glob("*.tif")):
        pixels = tifffile.imread(path)
        labels = tifffile.imread(folder / "labels" / path.name).astype(np.int32)
        source = ImageSource((pixels,), "YX", name=path.stem)
        whole = tuple((0, n) for n in source.spatial_shape)
        intensity = measure_range(source, NormalizationInfo())
        found.append(Region(Annotation(labels, source), intensity, 0, whole))
    return found


class Starter(nn.Module):
    """Features, brought to the spread that a live run gives them, and a U-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.live = starter_network()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits ``N 4 Y X``: two classes, foreground, centre distance."""
        features = self.live.fine(image)
        std, mean = torch.std_mean(features, dim=(2, 3), keepdim=True)
        features = (features - mean) / std.clamp(min=1e-3)
        layout = torch.channels_last
        logits: torch.Tensor = self.live.unet(features.contiguous(memory_format=layout))
        return logits


def score(network: Any, regions: list[Region]) -> float:
    """Dice of the foreground over all images."""
    hits = total = 0
    for region in regions:
        source = region.annotation.source
        image = torch.from_numpy(region.intensity.normalize(source.read(0)))[None]
        height, width = image.shape[2:]
        pad = (0, -width % 16, 0, -height % 16)
        image = nn.functional.pad(image, pad, mode="reflect")
        with torch.inference_mode():
            found = network(image)[0, :, :height, :width]
        mask = (found[1] > found[0]).numpy()
        truth = region.annotation.read(0) > 0
        hits += 2 * int((mask & truth).sum())
        total += int(mask.sum() + truth.sum())
    return hits / total


def main() -> None:
    """Train and write the starter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    device = pick_device()
    precision = pick_precision(device)
    network: Any = Starter().to(device=device, memory_format=torch.channels_last)
    average = WeightAverage(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, fused=True)
    images = [r for name in SETS for r in regions(args.data / name / "train")]
    margin = (28, 28)
    sampler = PatchSampler(images, "objects", object_classes(0), PATCH, margin)
    # Wider than for one kind of image: a starter meets all kinds.
    config = AugmentationConfig(scaling=0.5, affine=0.8, intensity=0.8)
    augmentation = Augmentation(config, PATCH, (True, True))
    generator = torch.Generator().manual_seed(args.seed)
    begun, step, share = time.monotonic(), 0, 0.0
    while share < 1:
        share = (time.monotonic() - begun) / (60 * args.minutes)
        cosine = 0.5 * (1 + np.cos(np.pi * min(1.0, share)))
        for group in optimizer.param_groups:
            group["lr"] = RATE * max(0.01, cosine) * min(1.0, (step + 1) / 50)
        batch = augmentation(sampler.draw(BATCH, generator), generator)
        image, index = batch.image.to(device), batch.index.to(device)
        if torch.rand((), generator=generator) < 0.15:
            image = image.flip(0) * -1 + 1  # dark objects on bright ground
            index, distance = index.flip(0), batch.distance.flip(0)
        else:
            distance = batch.distance
        with autocast(device, precision):
            logits = network(image).float()
        loss = classes_loss(logits[:, :2], index) + objects_loss(
            logits[:, 2:], index, distance.to(device)
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        step += 1
        average.update(network, step)
        if step % 500 == 0:
            print(f"{share:4.0%} step {step} loss {loss.item():.3f}", flush=True)
    final: Any = average.network.cpu()
    dice = score(final, regions(args.data / SETS[0] / "val"))
    print(f"{step} steps on {len(images)} images, Dice on val {dice:.3f}")
    weights = {
        k: v.half().contiguous() if v.is_floating_point() else v.contiguous()
        for k, v in final.live.unet.state_dict().items()
    }
    STARTER_FOLDER.mkdir(exist_ok=True)
    about = {"sets": list(SETS), "steps": step, "dice_val": round(dice, 4)}
    with atomic_file(STARTER_FOLDER / STARTER_NAME) as file:
        file.write(save(weights, metadata={"about": json.dumps(about)}))


if __name__ == "__main__":
    main()
