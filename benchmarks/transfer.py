"""What starting from a model is worth, after a few steps on other images.

    python benchmarks/transfer.py --source data/nuclei2d --target data/nuclei3d

Each folder holds ``train/images`` and ``train/labels``, and ``val/``. A model learns
from the source, or one that is there is taken (``--model``). On the target several ways
to begin get the same number of steps, and are scored on ``val``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet import workflows
from napari_unet.config import TrainingConfig, training_config
from napari_unet.data.annotation import Annotation
from napari_unet.image_io import pair_folders, read_image, read_labels
from napari_unet.models.model import Model
from napari_unet.training.transfer import Transfer, transfer_model

WAYS = ("default", "scratch", "start", "centre", "spread", "frozen")


def pairs(folder: Path, most: int) -> list[Annotation]:
    """Annotated images of a folder, at most so many."""
    found = []
    for image, labels in pair_folders(folder / "images", folder / "labels")[:most]:
        source = read_image(image)
        found.append(Annotation(read_labels(labels, source), source, "complete"))
    return found


@contextmanager
def beginning(way: str) -> Iterator[None]:
    """Weights are taken in this way."""
    module: Any = workflows.training
    before = module.transfer_model
    if way in ("centre", "spread"):
        module.transfer_model = partial(transfer_model, inflation=way)
    elif way == "scratch":
        # The same network, but nothing of what it has learnt.
        module.transfer_model = lambda *_, **__: Transfer()
    try:
        yield
    finally:
        module.transfer_model = before


def score(
    way: str, start: Model, config: TrainingConfig, train: Any, val: Any
) -> float:
    """Score on `val` after the steps of `config`."""
    config = config.model_copy(update={"freeze_encoder": way == "frozen"})
    with beginning(way):
        model = workflows.exhaust(
            workflows.train(
                train,
                config,
                validation=val,
                start=None if way == "default" else start,
            )
        )
    return float(model.info.training.score or 0)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="not needed with a --model")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--task", default="objects")
    parser.add_argument("--source-steps", type=int, default=400)
    parser.add_argument("--source-images", type=int, default=40)
    parser.add_argument("--steps", type=int, nargs="+", default=[30, 60])
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--model", type=Path, help="kept between calls")
    options = parser.parse_args()
    wishes: dict[str, Any] = {"task": options.task, "annotation": "complete"}
    if options.model and options.model.exists():
        start = Model.load(options.model)
    elif not options.source:
        parser.error("give a --source, or a --model that is there")
    else:
        config = training_config(**wishes, max_steps=options.source_steps)
        learn = pairs(options.source / "train", options.source_images)
        start = workflows.exhaust(workflows.train(learn, config, name="source"))
        if options.model:
            start.save(options.model)
    train = pairs(options.target / "train", options.images)
    val = pairs(options.target / "val", 20)
    print(f"| steps | {' | '.join(options.ways)} |", flush=True)
    print("|---" * (len(options.ways) + 1) + "|")
    for steps in options.steps:
        cells = []
        for way in options.ways:
            found = []
            for seed in range(options.seeds):
                config = training_config(**wishes, max_steps=steps, seed=seed)
                found.append(score(way, start, config, train, val))
            cells.append(f"{np.mean(found):.3f} ({np.ptp(found):.3f})")
        print(f"| {steps} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
