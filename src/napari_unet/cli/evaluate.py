"""``napari-unet evaluate``."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.cli.common import (
    UsageError,
    check_free,
    find_model,
    given,
    note,
    say,
    table,
)
from napari_unet.config import DeviceName
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.evaluation import tables
from napari_unet.evaluation.numbers import parse_numbers
from napari_unet.evaluation.pairs import Pair, PairFiles, find_pairs, open_pair
from napari_unet.evaluation.renumbering import (
    class_numbers,
    predicted_file_values,
    with_numbers,
)
from napari_unet.evaluation.report import PICTURES, report_html
from napari_unet.evaluation.results import Evaluation, Perturbed
from napari_unet.evaluation.robustness import CHANGES, perturbed
from napari_unet.evaluation.run import ImageScored, evaluate_pairs, file_values
from napari_unet.evaluation.settings import EvaluationSettings, evaluation_settings
from napari_unet.evaluation.tallies import Key
from napari_unet.evaluation.writing import write_text
from napari_unet.generators import exhaust
from napari_unet.image_io import read_image


def run(options: argparse.Namespace) -> int:
    """Print a table and write what was asked for."""
    _check(options)
    model = _Model(options) if options.model else None
    settings = _settings(options, model)
    files = find_pairs(
        options.labels,
        predictions=options.predictions,
        images=options.images,
        probabilities=options.probabilities,
    )
    values, numbers, said = _numbers(files, settings, model)
    pictures = PICTURES if options.report is not None else 0
    how = (files, settings, values, numbers, options, model)
    made = _evaluate(*how, pictures=pictures)
    if said:
        made.notices.insert(0, said)
    if options.robustness and model is not None:
        made.robustness.extend(_robustness(made, how))
    say(_text(made))
    if options.json is not None:
        text = json.dumps(tables.as_dict(made), indent=1, allow_nan=False)
        write_text(options.json, f"{text}\n")
    if options.csv is not None:
        write_text(options.csv, tables.csv_text(made))
    if options.report is not None:
        write_text(options.report, report_html(made, _title(options)))
    return 0


def _check(options: argparse.Namespace) -> None:
    if options.model and options.predictions:
        raise UsageError("Give either --predictions or --model, not both.")
    if not options.model and not options.predictions:
        raise UsageError(
            "There is nothing to compare: give --predictions, or --model and --images."
        )
    if options.model and not options.images:
        raise UsageError("--model needs --images: the images that it segments.")
    if options.robustness and not options.model:
        raise UsageError(
            "--robustness segments images again: give --model and --images."
        )
    if options.task is None and not options.model:
        raise UsageError("--task is needed: classes or objects.")
    for option in ("json", "csv", "report"):
        path = getattr(options, option)
        if path is not None:
            check_free(f"--{option}", path, options)


def _numbers(
    files: list[PairFiles], settings: EvaluationSettings, model: _Model | None
) -> tuple[list[int], dict[int, int], str]:
    """Values of the reference's classes, what is read as what, and a word on it."""
    if settings.task != "classes":
        return [], {}, ""
    values = file_values(files, settings)
    predicted = predicted_file_values(files) if model is None else model.values
    return values, *class_numbers(values, predicted, settings)


def _settings(options: argparse.Namespace, model: _Model | None) -> EvaluationSettings:
    wishes: dict[str, Any] = {
        "task": options.task or (model.task if model else None),
        "annotation": options.annotation,
        "background": not options.no_background,
        "pieces": options.pieces,
    }
    wishes |= given(
        thresholds=options.thresholds and tuple(options.thresholds),
        tolerance=options.tolerance,
        resamples=options.resamples,
        ndim=2 if options.planes else None,
        renumber=options.renumber and parse_numbers(" ".join(options.renumber)),
    )
    if wishes.get("thresholds"):
        wishes["error_iou"] = min(wishes["thresholds"])
    return evaluation_settings(**wishes)


def _title(options: argparse.Namespace) -> str:
    made = options.model or options.predictions
    return f"{Path(made).name} against {Path(options.labels).name}"


class _Model:
    """A model that segments the images to be compared."""

    def __init__(self, options: argparse.Namespace) -> None:
        # torch is only loaded where a model has to run.
        from napari_unet.models.model import Model

        self._model = Model.load(find_model(options.model))
        if self._model.info.task == "regression":
            raise DataError(
                "This model predicts values, not labels: evaluate compares labels."
            )
        self._device: DeviceName = options.device or "auto"

    @property
    def task(self) -> str:
        return self._model.info.task

    @property
    def values(self) -> set[int]:
        """Label values that it writes."""
        return {c.result_value for c in self._model.info.classes}

    def open(
        self,
        files: PairFiles,
        settings: EvaluationSettings,
        voxel_size: tuple[float, ...] | None,
        change: str = "",
    ) -> Pair:
        """A pair with labels that were made just now."""
        if files.image is None:
            raise UsageError("--model needs --images: the images that it segments.")
        source = read_image(files.image, ndim=self._model.info.ndim)
        labels, maps = self._segment(perturbed(source, change) if change else source)
        pair = open_pair(files, settings, prediction=labels, voxel_size=voxel_size)
        if change:
            return pair
        values = tuple(c.result_value for c in self._model.info.classes)
        temperature = self._model.info.calibration.temperature
        return replace(
            pair, probabilities=maps, map_values=values, temperature=temperature
        )

    def _segment(
        self, source: ImageSource
    ) -> tuple[NDArray[np.int32], NDArray[np.float16] | None]:
        from napari_unet.workflows import predict

        made = exhaust(
            predict(self._model, source, probabilities=True, device=self._device)
        )
        return made.labels, made.probabilities


def _evaluate(
    files: list[PairFiles],
    settings: EvaluationSettings,
    values: list[int],
    numbers: Mapping[int, int],
    options: argparse.Namespace,
    model: _Model | None,
    *,
    pictures: int = 0,
    change: str = "",
) -> Evaluation:
    size = tuple(options.voxel_size) if options.voxel_size else None

    def pairs() -> Iterator[Pair]:
        for one in files:
            if model is not None:
                pair = model.open(one, settings, size, change)
            else:
                pair = open_pair(one, settings, voxel_size=size)
            yield with_numbers(pair, numbers)

    events = evaluate_pairs(pairs(), len(files), settings, values, pictures=pictures)
    return _followed(events, change)


def _followed(
    events: Generator[ImageScored, None, Evaluation], change: str
) -> Evaluation:
    """Run to the end, with a line for each tenth of many images."""

    def show(event: ImageScored) -> None:
        step = max(event.total // 10, 1)
        if event.total >= 20 and event.done % step == 0:
            what = f" ({change})" if change else ""
            note(f"{event.done} of {event.total} images compared{what}")

    return exhaust(events, show)


def _robustness(made: Evaluation, how: tuple[Any, ...]) -> Iterator[Perturbed]:
    """Scores of images made worse, compared as `made` was."""
    plain = made.get(made.main)
    if plain is not None:
        yield Perturbed("as they are", plain)
    for change in CHANGES:
        again = _evaluate(*how, change=change)
        score = again.get(made.main)
        if score is not None:
            yield Perturbed(change, score)


def _text(made: Evaluation) -> str:
    """What is printed: scores, errors, and how sure the scores are."""
    parts = []
    objects = made.settings.task == "objects"
    parts.append(_objects_table(made) if objects else _classes_table(made))
    level = f"{100 * made.settings.level:g} % interval"
    rows = [["", "value", level, "mean of images"]]
    rows += [
        [
            tables.label(s, made),
            tables.number(s.value),
            tables.between(s),
            tables.number(s.image_mean),
        ]
        for s in tables.in_brief(made)
    ]
    parts.append(table(rows))
    counts = tables.error_counts(made)
    parts.append("errors: " + ", ".join(f"{n:,} {kind}" for kind, n in counts.items()))
    if made.reliability is not None:
        ece = tables.number(made.reliability.ece)
        before = made.reliability.before
        was = (
            f" ({tables.number(before.ece)} without the temperature)" if before else ""
        )
        parts.append(f"expected calibration error {ece}{was}")
    if made.robustness:
        title = tables.label(made.robustness[0].score, made)
        rows = [[title, "value", level]]
        rows += [
            [p.name, tables.number(p.score.value), tables.between(p.score)]
            for p in made.robustness
        ]
        parts.append(table(rows))
    parts += made.notices
    count = len(made.images)
    parts.append(f"{count} image{'s' if count > 1 else ''}")
    return "\n\n".join(parts)


def _classes_table(made: Evaluation) -> str:
    names = ("Dice", "IoU", "precision", "recall")
    rows = [["class", *names]]
    for value in made.values:
        title = f"{value}"
        if value == 0 and made.settings.background:
            title += " (background)"
        found = [made.get(Key(name, str(value))) for name in names]
        rows.append(
            [title, *(tables.number(math.nan if s is None else s.value) for s in found)]
        )
    return table(rows)


def _objects_table(made: Evaluation) -> str:
    rows = [["IoU", "AP", "F1", "precision", "recall", "matched", "surplus", "missed"]]
    for threshold, scores in tables.pooled_objects(made).as_dict().items():
        names = ("ap", "f1", "precision", "recall")
        counts = ("true_positives", "false_positives", "false_negatives")
        rows.append(
            [
                threshold,
                *(tables.number(scores[n]) for n in names),
                *(f"{scores[n]:,}" for n in counts),
            ]
        )
    return table(rows)
