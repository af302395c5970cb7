"""Steps a second of a plain MONAI pipeline and of nnU-Net, on patches of the same size.

Used by ``gpu.py --peers``; what is not installed is left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.device import autocast

if TYPE_CHECKING:
    from gpu import Bench

IMAGES = 8
STEPS_OF_NNUNET = 250
"""Of one of its epochs."""


def measure(bench: Bench, ours: float) -> dict[str, Any]:
    """Steps a second of others, and ours over them."""
    found: dict[str, Any] = {}
    for name, work in (("monai", monai), ("nnunet", nnunet)):
        steps = work(bench)
        found[f"{name}_steps_per_s"] = "not installed" if steps is None else steps
        if steps:
            found[f"times_{name}"] = round(ours / steps, 2)
    return found


def monai(bench: Bench) -> float | None:
    """As in its tutorials: cached images, workers, crops, affine, noise, AdamW.

    Without blur, which ours has: its smoothing fails on planes in MONAI 1.6.
    """
    if not find_spec("monai"):
        return None
    from monai import transforms as mt
    from monai.data import CacheDataset, DataLoader
    from monai.losses import DiceCELoss
    from monai.networks.nets import BasicUNet

    plan, both = bench.plan, ["image", "label"]
    size = tuple(plan.patch_size)
    turn: dict[str, Any] = {
        "rotate_range": 0.3,
        "scale_range": 0.2,
        "padding_mode": "reflection",
    }
    turn |= {"prob": 0.5, "spatial_size": size, "mode": ("bilinear", "nearest")}
    transform = mt.Compose(
        [
            mt.EnsureChannelFirstd(both, channel_dim="no_channel"),
            mt.ScaleIntensityRangePercentilesd("image", 1, 99.8, 0, 1),
            mt.RandCropByLabelClassesd(
                both, "label", size, num_classes=2, num_samples=plan.batch_size
            ),
            mt.RandFlipd(both, 0.5, spatial_axis=0),
            mt.RandRotate90d(both, 0.5, spatial_axes=(-2, -1)),
            mt.RandAffined(both, **turn),
            mt.RandGaussianNoised("image", 0.3, std=0.1),
            mt.RandAdjustContrastd("image", 0.3),
        ]
    )
    pixels = bench.pixels.astype(np.float32)
    images = [{"image": pixels, "label": bench.labels} for _ in range(IMAGES)]
    data = CacheDataset(images, transform, progress=False)
    workers = 0 if bench.device.type == "cpu" else min(IMAGES, os.cpu_count() or 1)
    loader = DataLoader(
        data, batch_size=1, num_workers=workers, persistent_workers=workers > 0
    )
    widths = bench.trainer.plan.network.arguments["channels"]
    widths = [*widths, *[widths[-1]] * 5][:5]
    network = BasicUNet(bench.ndim, 1, 2, (*widths, widths[0])).to(bench.device)
    loss = DiceCELoss(to_onehot_y=True, softmax=True)
    optimizer = torch.optim.AdamW(network.parameters())
    steps, begun = 0, 0.0
    while steps < 3 or time.perf_counter() - begun < bench.seconds:
        for batch in loader:
            if steps == 2:  # workers have started, algorithms are chosen
                bench.wait()
                begun = time.perf_counter()
            image, label = (batch[k].to(bench.device) for k in both)
            optimizer.zero_grad(set_to_none=True)
            with autocast(bench.device, bench.precision):
                logits = network(image)
            torch.autograd.backward(loss(logits.float(), label))
            optimizer.step()
            steps += 1
    bench.wait()
    return round((steps - 2) / (time.perf_counter() - begun), 3)


def nnunet(bench: Bench) -> float | None:
    """Its own benchmark of five epochs, with our patch and batch in its plan."""
    if not find_spec("nnunetv2") or bench.device.type != "cuda":
        return None
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        places = {
            f"nnUNet_{n}": str(root / n) for n in ("raw", "preprocessed", "results")
        }
        for place in places.values():
            Path(place).mkdir()
        environment = {**os.environ, **places}
        _write_dataset(root / "raw" / "Dataset001_Blobs", bench)
        _call(["nnUNetv2_plan_and_preprocess", "-d", "1"], environment)
        kind = "2d" if bench.ndim == 2 else "3d_fullres"
        plans = root / "preprocessed" / "Dataset001_Blobs" / "nnUNetPlans.json"
        plan = json.loads(plans.read_text())
        plan["configurations"][kind] |= {
            "patch_size": list(bench.plan.patch_size),
            "batch_size": bench.plan.batch_size,
        }
        plans.write_text(json.dumps(plan))
        trainer = "nnUNetTrainerBenchmark_5epochs"
        _call(["nnUNetv2_train", "1", kind, "0", "-tr", trainer], environment)
        (result,) = (root / "results").rglob("benchmark_result.json")
        epochs = [
            one["fastest_epoch"] for one in json.loads(result.read_text()).values()
        ]
        return round(STEPS_OF_NNUNET / min(epochs), 3)


def _write_dataset(folder: Path, bench: Bench) -> None:
    import tifffile

    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    spacing = json.dumps({"spacing": [1.0] * bench.ndim})
    for n in range(IMAGES):
        image = folder / "imagesTr" / f"blobs_{n}_0000.tif"
        tifffile.imwrite(image, bench.pixels)
        tifffile.imwrite(folder / "labelsTr" / f"blobs_{n}.tif", bench.labels)
        if bench.ndim == 3:
            image.with_name(f"blobs_{n}.json").write_text(spacing)
            (folder / "labelsTr" / f"blobs_{n}.json").write_text(spacing)
    about = {
        "channel_names": {"0": "blobs"},
        "labels": {"background": 0, "blob": 1},
        "numTraining": IMAGES,
        "file_ending": ".tif",
    }
    (folder / "dataset.json").write_text(json.dumps(about))


def _call(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, env=environment, check=True, capture_output=True)
