"""Comparing labels in the engine: torch is not needed, but the viewer stays free."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from napari_unet.data.source import ImageSource
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.evaluation import tables
from napari_unet.evaluation.pairs import Pair, find_pairs, make_pair, open_pair
from napari_unet.evaluation.renumbering import (
    class_numbers,
    predicted_file_values,
    predicted_values,
    with_numbers,
)
from napari_unet.evaluation.report import PICTURES, report_html
from napari_unet.evaluation.results import Evaluation
from napari_unet.evaluation.run import (
    ImageScored,
    evaluate_pairs,
    file_values,
    known_values,
)
from napari_unet.evaluation.settings import EvaluationSettings, evaluation_settings
from napari_unet.evaluation.writing import write_text
from napari_unet.stopping import Stopped

MOST_LISTED = 2_000
"""Most errors that are sent to the viewer, the largest ones."""


def evaluate(context: TaskContext) -> dict[str, Any]:
    """Compare two layers, or the files of two folders.

    Parameters of the task: ``settings`` (fields of `EvaluationSettings`), ``report``
    (a file to write, or None) and ``title``. Of layers also ``axes`` (of the labels),
    ``voxel_size``, ``unit``, ``name`` and ``image_axes``; inputs ``truth``,
    ``prediction`` and perhaps ``image``; output ``errors`` where it is wanted. Of
    folders ``predictions``, ``labels`` and perhaps ``images``.
    """
    params = context.params
    settings = evaluation_settings(**params["settings"])
    report = params.get("report")
    source = _from_folders if params.get("labels") else _from_layers
    pairs, count, values, predicted = source(context, settings)
    numbers, said = class_numbers(values, predicted, settings)
    made = _followed(
        evaluate_pairs(
            (with_numbers(pair, numbers) for pair in pairs),
            count,
            settings,
            values,
            errors_out=context.outputs.get("errors"),
            pictures=PICTURES if report else 0,
            stop=context.stop_requested,
        ),
        context,
    )
    if said:
        made.notices.insert(0, said)
    if report:
        write_text(Path(report), report_html(made, params["title"]))
    return {
        "scores": [
            [tables.label(s, made), tables.number(s.value), tables.between(s)]
            for s in tables.in_brief(made)
        ],
        "level": settings.level,
        "counts": tables.error_counts(made),
        "mistakes": [
            {**m.as_dict(), "sentence": m.sentence} for m in made.mistakes[:MOST_LISTED]
        ],
        "csv": tables.csv_text(made),
        "notices": made.notices,
        "images": count,
        "report": report,
    }


def _from_layers(
    context: TaskContext, settings: EvaluationSettings
) -> tuple[Iterator[Pair], int, Sequence[int], Set[int]]:
    params = context.params
    image = None
    if "image" in context.inputs:
        image = ImageSource(
            (context.inputs["image"],),
            params["image_axes"],
            name=params["name"],
            ndim=params["ndim"],
        )
    pair = make_pair(
        context.inputs["truth"],
        context.inputs["prediction"],
        params["axes"],
        name=params["name"],
        voxel_size=tuple(params["voxel_size"]),
        unit=params["unit"],
        ndim=params["ndim"],
        image=image,
    )
    if settings.task == "objects":
        return iter([pair]), 1, [], set()
    values = known_values([pair.truth], settings)
    return iter([pair]), 1, values, predicted_values(pair)


def _from_folders(
    context: TaskContext, settings: EvaluationSettings
) -> tuple[Iterator[Pair], int, Sequence[int], Set[int]]:
    params = context.params
    images = params.get("images")
    files = find_pairs(
        Path(params["labels"]),
        predictions=Path(params["predictions"]),
        images=Path(images) if images else None,
    )
    pairs = (open_pair(one, settings) for one in files)
    if settings.task == "objects":
        return pairs, len(files), [], set()
    values = file_values(files, settings)
    return pairs, len(files), values, predicted_file_values(files)


def _followed(
    events: Generator[ImageScored, None, Evaluation], context: TaskContext
) -> Evaluation:
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            made: Evaluation = end.value
            return made
        except Stopped as error:
            raise TaskStopped from error
        context.emit({"event": "ImageScored", "done": event.done, "total": event.total})
