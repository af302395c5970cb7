"""Train on a labelled set for a given time and score its test images.

    python benchmarks/accuracy.py --data DIR --set NAME --minutes M --json FILE

DIR/NAME holds ``train``, ``val`` (optional) and ``test`` folders, each with ``images``
and ``labels``; where there is a folder ``fov``, only pixels inside it count. ``train``
teaches, with that of every ``--also NAME``; ``val`` selects; ``test`` is scored once,
at the end, or ``train`` in a set without it. Further options are settings of the
training: ``--loss focal``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from pieces import score_pieces

from napari_unet.api import exhaust
from napari_unet.config import Task, TrainingConfig, training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.evaluation.pairs import Pair
from napari_unet.evaluation.report import report_html
from napari_unet.evaluation.results import Evaluation
from napari_unet.evaluation.run import evaluate_pairs, known_values
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.evaluation.tables import as_dict, pooled_objects
from napari_unet.image_io import pair_folders, read_image, read_labels, write_labels
from napari_unet.models.model import Model
from napari_unet.models.model_file import SUFFIX
from napari_unet.training.events import Finished, Started, Validated
from napari_unet.workflows import predict, train

OBJECTS = "nuclei", "cells", "timelapse"
"""Beginnings of the names of sets whose labels are objects."""
VOID = ("road_camvid",)
"""Sets without background, whose label 0 is not annotated."""
PIECES = ("em_membranes_isbi2012",)
"""Sets whose connected pieces are compared, too."""
OUTSIDE = -1
"""Label of pixels outside the field of view."""


def main() -> None:
    """Run one set and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--also", action="append", default=[], help="teaches, too")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="test", help="what is scored")
    parser.add_argument("--model", type=Path, help="scored instead of a new one")
    parser.add_argument(
        "--views", action="store_true", help="average over flips and turns"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--output", type=Path, help="folder for the model and labels")
    options, rest = parser.parse_known_args()
    wishes = dict(
        zip([r.removeprefix("--") for r in rest[::2]], rest[1::2], strict=True)
    )
    config = training_config(
        task=task_of(options.set),
        annotation="complete",
        background=options.set not in VOID,
        minutes=options.minutes,
        seed=options.seed,
        **{k.replace("-", "_"): v for k, v in wishes.items()},
    )
    output = options.output or Path("benchmark-output") / options.set
    folder = options.data / options.set
    if options.model:
        path, model = options.model, Model.load(options.model)
    else:
        others = [options.data / name for name in options.also]
        model = learn([folder, *others], config, options.set)
        path = model.save(output / f"{options.set}{SUFFIX}")
    split = options.split
    if not (folder / split).is_dir():
        print(f"{options.set} has no {split} images: what it learnt from is scored")
        split = "train"
    begun = time.monotonic()
    made = score(model, folder / split, config.background, output, options.views)
    seconds = time.monotonic() - begun
    result = {
        "set": options.set,
        "task": config.task,
        "minutes": options.minutes,
        "seed": options.seed,
        "views": options.views,
        "model": str(path),
        "training": model.info.training.model_dump(),
        "decoder": model.info.decoder.model_dump() if model.info.decoder else None,
        "seconds_to_predict_and_score": round(seconds, 1),
        split: as_dict(made),
    }
    print(f"{options.set}:", summary(made))
    if options.set in PIECES:
        chosen, scored = (
            read_split(folder / part, config.background) for part in ("val", split)
        )
        result["pieces"] = score_pieces(model, chosen, scored)
        print("    pieces, each way chosen on val:", result["pieces"])
    (output / "report.html").write_text(report_html(made, options.set), "utf-8")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))


def task_of(name: str) -> Task:
    """What the labels of a set are."""
    return "objects" if name.startswith(OBJECTS) else "classes"


def learn(folders: list[Path], config: TrainingConfig, name: str) -> Model:
    """Train on ``train`` of all folders; ``val`` of the first one selects."""
    begun = time.monotonic()
    teaching = [a for f in folders for a in read_split(f / "train", config.background)]
    run = train(
        teaching,
        config,
        validation=read_split(folders[0] / "val", config.background),
        name=name,
    )
    return exhaust(run, lambda event: show(event, begun))


def score(
    model: Model, split: Path, background: bool, output: Path, views: bool = False
) -> Evaluation:
    """Segment the images of a split, keep the labels, and compare them."""
    name = split.parent.name
    settings = EvaluationSettings(
        task="objects" if task_of(name) == "objects" else "classes",
        background=background,
        pieces=name in PIECES,
    )
    annotations = read_split(split, background)

    def pairs() -> Iterator[Pair]:
        for annotation in annotations:
            source = annotation.source
            labels = exhaust(predict(model, source, views=views)).labels
            file = Path(source.name).with_suffix(".tif").name
            write_labels(output / split.name / file, labels, source.labels_axes)
            yield Pair(source.name, truth_of(annotation), labels, source)

    values: list[int] = []
    if settings.task == "classes":
        values = known_values(map(truth_of, annotations), settings)
    return exhaust(
        evaluate_pairs(pairs(), len(annotations), settings, values, pictures=12)
    )


def truth_of(annotation: Annotation) -> ImageSource:
    """The labels of an annotated image."""
    of = annotation.source
    return ImageSource(
        (annotation.labels,), of.labels_axes, of.voxel_size, of.unit, of.name
    )


def read_split(folder: Path, background: bool) -> list[Annotation]:
    """Annotated images of one split; none where the folder is missing."""
    if not folder.is_dir():
        return []
    pairs = []
    for image, labels in pair_folders(folder / "images", folder / "labels"):
        source = read_image(image)
        array = np.asarray(read_labels(labels, source)[...]).astype(np.int32)
        view = folder / "fov" / labels.name
        if view.exists():
            array[tifffile.imread(view) == 0] = OUTSIDE
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


def summary(made: Evaluation) -> str:
    """The figures that the field quotes, with 95 % intervals."""
    quoted = ["Dice", "mean Dice", "pixel error", "V_Rand", "V_Info"]
    figures = []
    if made.settings.task == "objects":
        quoted = ["AP", "F1"]
        mean = pooled_objects(made).mean_ap(0.5, 0.95)
        figures.append(f"mean AP at IoU 0.50 to 0.95 {mean:.4f}")
    figures += [
        f"{s.name} {s.of} {s.value:.4f} ({s.low:.3f} to {s.high:.3f}, "
        f"mean of images {s.image_mean:.4f})"
        for s in made.scores
        if s.name in quoted and (s.name != "F1" or s.of.endswith("0.50"))
    ]
    return "\n    ".join(figures)


if __name__ == "__main__":
    main()
