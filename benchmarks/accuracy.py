"""Train on a labelled set for a given time and score its test images.

    python benchmarks/accuracy.py --data DIR --set NAME --minutes M --json FILE

DIR/NAME holds ``train``, ``val`` (optional) and ``test`` folders, each with ``images``
and ``labels``. ``train`` teaches, ``val`` selects, ``test`` is scored once, at the end.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_unet.api import evaluate, exhaust
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.image_io import pair_folders, read_image, read_labels, write_labels
from napari_unet.training.events import Finished, Started, Validated
from napari_unet.workflows import predict, train

OBJECTS = "nuclei", "cells", "timelapse"
"""Beginnings of the names of sets whose labels are objects."""
VOID = ("road_camvid",)
"""Sets without background, whose label 0 is not annotated."""


def main() -> None:
    """Run one set and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--output", type=Path, help="folder for the model and labels")
    options, rest = parser.parse_known_args()
    folder = options.data / options.set
    task = "objects" if options.set.startswith(OBJECTS) else "classes"
    wishes = dict(
        zip([r.removeprefix("--") for r in rest[::2]], rest[1::2], strict=True)
    )
    config = training_config(
        task=task,
        annotation="complete",
        background=options.set not in VOID,
        minutes=options.minutes,
        seed=options.seed,
        **{k.replace("-", "_"): v for k, v in wishes.items()},
    )
    begun = time.monotonic()
    model = exhaust(
        train(
            read_split(folder / "train", config.background),
            config,
            validation=read_split(folder / "val", config.background),
            name=options.set,
        ),
        lambda event: show(event, begun),
    )
    output = options.output or Path("benchmark-output") / options.set
    path = model.save(output / f"{options.set}.bioimage.io.zip")
    predictions, truths, seconds = [], [], 0.0
    for annotation in read_split(folder / "test", config.background):
        started = time.monotonic()
        labels = exhaust(predict(model, annotation.source)).labels
        seconds += time.monotonic() - started
        source = annotation.source
        write_labels(
            output / "test" / Path(source.name).with_suffix(".tif").name,
            labels,
            source.labels_axes,
        )
        predictions.append(labels)
        truth = np.asarray(annotation.labels[...]).astype(np.int32)
        truths.append(truth if config.background else np.where(truth == 0, -1, truth))
    scores = evaluate(predictions, truths, task=task)
    result = {
        "set": options.set,
        "task": task,
        "minutes": options.minutes,
        "seed": options.seed,
        "model": str(path),
        "training": model.info.training.model_dump(),
        "decoder": model.info.decoder.model_dump() if model.info.decoder else None,
        "seconds_to_predict": round(seconds, 1),
        "test": scores,
    }
    print(summary(options.set, scores, task))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


def read_split(folder: Path, background: bool) -> list[Annotation]:
    """Annotated images of one split; none where the folder is missing."""
    if not folder.is_dir():
        return []
    pairs = []
    for image, labels in pair_folders(folder / "images", folder / "labels"):
        source = read_image(image)
        array = np.asarray(read_labels(labels, source)[...]).astype(np.int32)
        pairs.append(Annotation(array, source, "complete", background))
    return pairs


def show(event: Any, begun: float) -> None:
    """Print what matters of a run."""
    clock = f"{time.monotonic() - begun:6.0f} s"
    if isinstance(event, Started):
        network = event.plan["network"]["arguments"]
        print(clock, event.device, event.plan["patch_size"], network["channels"])
    elif isinstance(event, Validated):
        print(clock, f"step {event.step}: {event.score:.4f}, loss {event.loss:.3f}")
    elif isinstance(event, Finished):
        print(clock, event.reason, f"after {event.step} steps, score {event.score}")


def summary(name: str, scores: dict[str, Any], task: str) -> str:
    """The figures that the field quotes."""
    if task == "objects":
        ap = {t: scores[t]["ap"] for t in ("0.50", "0.75", "0.90")}
        figures = ", ".join(f"AP@{t} {v:.3f}" for t, v in ap.items())
        return f"{name}: {figures}, F1@0.50 {scores['0.50']['f1']:.3f}"
    return (
        f"{name}: mean Dice {scores['mean_dice']:.4f} (per image "
        f"{scores['mean_image_dice']:.4f}), pixel error {scores['pixel_error']:.4f}"
    )


if __name__ == "__main__":
    main()
