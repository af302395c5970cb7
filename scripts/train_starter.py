"""Train the starter model that ships with the package.

    python scripts/train_starter.py --data DIR --minutes 15

`DIR` holds the CC0 sets nuclei2d_dsb2018, nuclei2d_dsb2018_more, nuclei2d_bbbc039 and
nuclei2d_bbbc039_more (images and labels of the split ``train``). Only those teach;
``val`` of the first and of the third set chooses the thresholds and is scored. The
result is a model file: the U-Net of a live run, for objects, with a classifier that
has no say.
"""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from safetensors.torch import save
from torch import Tensor, nn

from napari_unet.config import AugmentationConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.augmentation import Augmentation
from napari_unet.data.classes import object_classes
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.source import ImageSource
from napari_unet.device import (
    autocast,
    describe,
    pick_device,
    pick_precision,
    versions,
)
from napari_unet.files import atomic_file
from napari_unet.live.starters import STARTER
from napari_unet.losses.masked import objects_loss
from napari_unet.models.info import ModelCard, ModelInfo, TrainingSummary
from napari_unet.models.library import model_name
from napari_unet.models.model_file import OLD_INFO_NAME, OLD_WEIGHTS_NAME
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.registry import build_network
from napari_unet.training.averaging import WeightAverage
from napari_unet.training.validation import Validation

SETS = (
    "nuclei2d_dsb2018",
    "nuclei2d_dsb2018_more",
    "nuclei2d_bbbc039",
    "nuclei2d_bbbc039_more",
)
CHOSEN_ON = (SETS[0], SETS[2])
"""Whose ``val`` chooses thresholds."""
PATCH, BATCH, RATE = (128, 128), 8, 2e-3
LOOKED_AT = 60
"""Images whose features are measured."""
INVERTED = 0.15
"""Share of the batches in which objects are dark on bright ground."""

NETWORK = NetworkInfo(
    name="pixel_unet",
    arguments={
        "n_in": 1,
        "n_out": 2,
        "objects": True,
        "spacing": [1.0, 1.0],
        "members": 1,
        "hidden": 1,
        # As a live run on a CPU designs it.
        "unet": {
            "channels": [16, 32, 64, 128],
            "strides": [(2, 2)] * 3,
            "kernels": [(3, 3)] * 4,
            "convolutions": [1, 2, 2, 2],
            "stem": (2, 2),
        },
    },
)


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


def spread(network: PixelUNet, regions: list[Region]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every feature, averaged over images."""
    means, spreads = [], []
    for region in regions[:: max(1, len(regions) // LOOKED_AT)]:
        pixels = region.intensity.normalize(region.annotation.source.read(0))
        with torch.inference_mode():
            features = network.scale_space(torch.from_numpy(pixels)[None])[0].flatten(1)
        means.append(features.mean(1))
        spreads.append(features.std(1))
    return torch.stack(means).mean(0), torch.stack(spreads).mean(0)


class Starter(nn.Module):
    """The U-Net within a `PixelUNet`, and features whose spread varies.

    A live run standardises features by the user's image, the model alone by what is
    usual: each training patch gets something between its own spread and the usual one.
    """

    def __init__(self) -> None:
        super().__init__()
        network: Any = build_network(NETWORK)
        self.live: PixelUNet = network
        self.live.trust.fill_(1.0)

    def forward(self, image: Tensor, own: Tensor) -> Tensor:
        """Logits ``N 2 Y X``; `own` is the share of the patch's own spread, N."""
        features = self.live.fine(image)
        n = self.live.n_unet
        own = own.to(features).reshape(-1, 1, 1, 1)
        std, mean = torch.std_mean(features, dim=(2, 3), keepdim=True)
        usual_mean = self.live.pixels.mean[:n].reshape(1, -1, 1, 1)
        usual_std = self.live.pixels.std[:n].reshape(1, -1, 1, 1)
        mean = own * mean + (1 - own) * usual_mean
        # A patch without any object must not be blown up to what has some.
        std = own * torch.maximum(std, 0.1 * usual_std) + (1 - own) * usual_std
        features = ((features - mean) / std).contiguous(
            memory_format=torch.channels_last
        )
        logits: Tensor = self.live.unet(features)
        return logits


def train(
    images: list[Region], minutes: float, seed: int, device: torch.device
) -> tuple[PixelUNet, int]:
    """A starter and the steps that it took."""
    torch.manual_seed(seed)
    precision = pick_precision(device)
    starter: Any = Starter()
    starter.live.standardise(*spread(starter.live, images))
    starter.to(device=device, memory_format=torch.channels_last)
    average = WeightAverage(starter)
    optimizer = torch.optim.AdamW(starter.live.unet.parameters(), lr=RATE, fused=True)
    sampler = PatchSampler(images, "objects", object_classes(0), PATCH, (28, 28))
    # Wider than for one kind of image: a starter meets all kinds.
    config = AugmentationConfig(scaling=0.5, affine=0.8, intensity=0.8)
    augmentation = Augmentation(config, PATCH, (True, True))
    generator = torch.Generator().manual_seed(seed)
    begun, step, share = time.monotonic(), 0, 0.0
    while share < 1:
        share = (time.monotonic() - begun) / (60 * minutes)
        cosine = 0.5 * (1 + np.cos(np.pi * min(1.0, share)))
        for group in optimizer.param_groups:
            group["lr"] = RATE * max(0.01, cosine) * min(1.0, (step + 1) / 50)
        batch = augmentation(sampler.draw(BATCH, generator), generator)
        image = batch.image.to(device)
        if torch.rand((), generator=generator) < INVERTED:
            image = 1 - image
        own = torch.rand(len(image), generator=generator).to(device)
        with autocast(device, precision):
            logits = starter(image, own)
        loss = objects_loss(logits, batch.index.to(device), batch.distance.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(starter.live.unet.parameters(), 5.0)
        optimizer.step()
        step += 1
        average.update(starter, step)
        if step % 500 == 0:
            print(f"{share:4.0%} step {step} loss {loss.item():.3f}", flush=True)
    final: Any = average.network
    network: PixelUNet = final.live.cpu().eval()
    return network, step


def main() -> None:
    """Train and write the starter."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=STARTER)
    args = parser.parse_args()
    device = pick_device()
    images = [r for name in SETS for r in regions(args.data / name / "train")]
    network, steps = train(images, args.minutes, args.seed, device)
    held_out = [r for name in CHOSEN_ON for r in regions(args.data / name / "val")]
    measured = Validation(held_out, "objects", object_classes(0))
    precision = pick_precision(device)
    maps = measured.maps(network.to(device), device, precision)
    calibration = measured.calibrate(maps)
    decoder = measured.fit_decoder(maps)
    score = measured.score(maps, decoder)
    print(f"{steps} steps on {len(images)} images, mean AP on val {score:.3f}")
    info = ModelInfo(
        name=model_name(args.output),
        task="objects",
        spatial="YX",
        n_channels=1,
        classes=object_classes(0),
        network=NETWORK,
        decoder=decoder,
        calibration=calibration,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        training=TrainingSummary(
            images=[f"{name}/train" for name in SETS],
            n_images=len(images),
            steps=steps,
            seconds=60 * args.minutes,
            score=round(score, 4),
            score_name="mean AP@0.5:0.9",
            seed=args.seed,
            device=describe(device, precision),
            versions=versions(),
        ),
        card=ModelCard(
            description="Nuclei in fluorescence, bright on dark ground, as objects. "
            "Comes with napari-unet-live, also as a beginning for other images.",
            license="CC0-1.0",
            cite=[
                "https://bbbc.broadinstitute.org/BBBC038",
                "https://bbbc.broadinstitute.org/BBBC039",
            ],
            limits="Nuclei of about 10 to 60 pixels in 2D; no stained tissue.",
            tags=["nuclei", "fluorescence"],
        ),
    )
    weights = {k: v.contiguous() for k, v in network.cpu().state_dict().items()}
    for name, tensor in weights.items():
        if name.startswith("unet.") and tensor.is_floating_point():
            weights[name] = tensor.half()
    # Half precision is enough for a starter, and keeps the package small.
    with atomic_file(args.output) as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr(OLD_INFO_NAME, json.dumps(info.model_dump(mode="json")))
        archive.writestr(OLD_WEIGHTS_NAME, save(weights))


if __name__ == "__main__":
    main()
