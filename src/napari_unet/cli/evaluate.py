"""``napari-unet evaluate``."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet import __version__
from napari_unet.cli.common import say, table
from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.image_io import pair_folders, read_image, read_labels
from napari_unet.metrics import (
    ClassScores,
    ObjectCounts,
    class_scores,
    confusion,
    match_objects,
    pool,
)

UNANNOTATED = -1


def run(options: argparse.Namespace) -> int:
    """Print a table and write all scores."""
    pairs = _pairs(options)
    if options.task == "objects":
        counts = pool(
            match_objects(truth, made) for truth, made in _read(pairs, options)
        )
        say(_objects_table(counts))
        scores: dict[str, Any] = {
            "mean_ap_0.50_0.90": counts.mean_ap(),
            "thresholds": counts.as_dict(),
        }
    else:
        found = _class_scores(pairs, options)
        say(_classes_table(found))
        scores = found.as_dict()
    say(f"{len(pairs)} image{'s' if len(pairs) > 1 else ''}")
    if options.json is not None:
        report = {
            "task": options.task,
            "annotation": options.annotation,
            "images": len(pairs),
            "version": __version__,
            **scores,
        }
        _write_json(options.json, report)
    return 0


def _pairs(options: argparse.Namespace) -> list[tuple[Path, Path]]:
    if options.predictions.is_file() and options.labels.is_file():
        return [(options.predictions, options.labels)]
    return pair_folders(options.predictions, options.labels, noun="prediction")


def _read(
    pairs: list[tuple[Path, Path]], options: argparse.Namespace
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Truth and prediction, with background 0 and unannotated pixels -1."""
    for made_path, true_path in pairs:
        truth = _truth(true_path, options)
        source = read_image(true_path)
        # Only pictures have colours here; read_labels has looked at them.
        fits = source.labels_shape == truth.shape
        made = np.asarray(read_labels(made_path, source if fits else None))
        if made.shape != truth.shape:
            raise DataError(
                f"The prediction {made_path.name} has the shape {made.shape}, but its "
                f"labels have {truth.shape}: compare labels of the same image."
            )
        yield truth, made


def _truth(path: Path, options: argparse.Namespace) -> NDArray[np.int64]:
    values = np.asarray(read_labels(path))
    truth = values.astype(np.int64)
    if options.annotation == "sparse" or options.no_background:
        truth[values == 0] = UNANNOTATED
    if options.annotation == "sparse" and not options.no_background:
        # Predictions write background as 0.
        truth[values == 1] = 0
    return truth


def _class_scores(
    pairs: list[tuple[Path, Path]], options: argparse.Namespace
) -> ClassScores:
    values: set[int] = set()
    for _, true_path in pairs:
        values |= set(np.unique(_truth(true_path, options)).tolist())
    known = sorted(v for v in values if v >= 0)
    if not known:
        raise DataError(
            f"No pixel of {options.labels} is annotated: nothing can be compared."
        )
    matrices = [confusion(t, made, known) for t, made in _read(pairs, options)]
    background = None if options.no_background else 0
    return class_scores(matrices, known, background)


def _classes_table(scores: ClassScores) -> str:
    rows = [["class", "Dice", "IoU", "Dice, mean over images"]]
    columns = zip(
        scores.values, scores.dice, scores.iou, scores.image_dice, strict=True
    )
    for value, *numbers in columns:
        name = f"{value}"
        if value == scores.background:
            name += " (background)"
        rows.append([name, *(_number(n) for n in numbers)])
    means = (scores.mean_dice, scores.mean_iou, scores.mean_image_dice)
    rows.append(["mean", *(_number(n) for n in means)])
    error = f"pixel error {_number(scores.pixel_error)} of {scores.pixels:,} pixels"
    return f"{table(rows)}\n{error}"


def _objects_table(counts: ObjectCounts) -> str:
    rows = [["IoU", "AP", "F1", "precision", "recall", "matched", "surplus", "missed"]]
    columns = zip(
        counts.thresholds,
        counts.ap,
        counts.f1,
        counts.precision,
        counts.recall,
        counts.true_positives,
        counts.false_positives,
        counts.false_negatives,
        strict=True,
    )
    for threshold, ap, f1, precision, recall, tp, fp, fn in columns:
        scores = [_number(n) for n in (ap, f1, precision, recall)]
        rows.append([f"{threshold:.2f}", *scores, f"{tp:,}", f"{fp:,}", f"{fn:,}"])
    return f"{table(rows)}\nmean AP at IoU 0.50 to 0.90: {_number(counts.mean_ap())}"


def _number(score: float) -> str:
    return "–" if math.isnan(score) else f"{score:.3f}"


def _write_json(path: Path, report: dict[str, Any]) -> None:
    text = json.dumps(report, indent=1, allow_nan=False)
    try:
        with atomic_file(path) as file:
            file.write(f"{text}\n".encode())
    except OSError as error:
        raise DataError(
            f"The scores could not be written to {path}: {error.strerror or error}."
        ) from error
