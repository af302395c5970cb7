"""What is wrong, in sentences, before Train or Predict is pressed.

Everything here is quick enough for the viewer's thread: of very large annotations only
a part is looked at, and what that part cannot prove is left for training to find.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import Task, TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ArrayLike, ImageSource

if TYPE_CHECKING:
    from napari_unet.models.info import ModelInfo

LOOKED_AT = 2**24
"""Most voxels of an annotation that are counted."""
PIECE = 2**20
"""Voxels that are counted at a time."""
MAX_CLASSES = 100
"""More labels than this are hardly classes."""
MOSTLY = 0.99
"""Share of background above which a complete annotation looks like a sparse one."""
SHOWN = 5
"""How many classes a summary lists."""


def training_problems(
    annotations: Sequence[Annotation], config: TrainingConfig
) -> list[str]:
    """Why nothing can be learnt from `annotations`; empty if something can.

    Parameters
    ----------
    annotations : sequence of Annotation
        What would be trained on, all with the rule and background of `config`.
    config : TrainingConfig
    """
    if not annotations:
        return ["No annotated image was chosen: choose at least one."]
    problems = _setting_problems(annotations[0], config)
    if config.task == "regression":
        return problems + _value_problems(annotations)
    counts: Counter[int] = Counter()
    everything = True
    for annotation in annotations:
        found, whole = count_quickly(annotation)
        counts += found
        everything &= whole
    if everything:
        background = annotations[0].background_value
        check = _object_problem if config.task == "objects" else _class_problem
        problem = check(counts, background)
        if problem:
            problems.append(problem)
    if config.task == "classes" and len(counts) > MAX_CLASSES:
        problems.append(
            f"The annotation holds {len(counts):,} different labels: choose the task "
            "objects if each marks an object, or give every class one label."
        )
    return problems


def _setting_problems(annotation: Annotation, config: TrainingConfig) -> list[str]:
    problems = []
    if config.task == "objects" and not config.background:
        problems.append(
            "Objects are told from background: switch “One class is background” on, "
            "or choose the task classes."
        )
    ndim = annotation.source.ndim
    if config.patch_size is not None and len(config.patch_size) != ndim:
        problems.append(
            f"The patch size has {len(config.patch_size)} numbers, but the image has "
            f"{ndim} spatial axes: give one number for each."
        )
    return problems


def _value_problems(annotations: Sequence[Annotation]) -> list[str]:
    """What is wrong with the target of a regression."""
    lowest, highest, everything = math.inf, -math.inf, True
    for annotation in annotations:
        pieces, whole = _pieces(annotation.labels)
        everything &= whole
        for piece in pieces:
            finite = piece[np.isfinite(piece)]
            if finite.size:
                lowest = min(lowest, float(finite.min()))
                highest = max(highest, float(finite.max()))
        if lowest < highest:
            return []
    if not everything:
        return []
    if lowest > highest:
        return [
            "The target holds no value: every pixel is NaN. Choose an image with "
            "values where they are known."
        ]
    return [
        f"The target is {lowest:g} everywhere: there is nothing to learn. Choose "
        "another image as target."
    ]


def _object_problem(counts: Counter[int], background: int | None) -> str | None:
    if not counts:
        return (
            "Nothing is annotated: paint some complete objects, each with a label of "
            f"its own, and some background with label {background}."
        )
    if not set(counts) - {background}:
        return (
            "Only background is annotated: paint some complete objects, each with a "
            "label of its own."
        )
    if background is not None and background not in counts:
        return (
            f"No background is annotated: paint some of it with label {background}, "
            "between and around the objects."
        )
    return None


def _class_problem(counts: Counter[int], background: int | None) -> str | None:
    if not counts:
        start = "a class of its own" if background is None else "background"
        return (
            "Nothing is annotated: paint some pixels of each class (label 1 is "
            f"{start})."
        )
    if len(counts) == 1:
        only = next(iter(counts))
        if only == background:
            return "Only background is annotated: paint some pixels of another class."
        return (
            f"Only label {only} is annotated: paint some pixels of at least one other "
            "class, such as background."
        )
    return None


def annotation_summary(annotation: Annotation, task: Task) -> str:
    """What the labels mean by the rule, such as "label 1 = background, 12,000 px"."""
    if task == "regression":
        return value_summary(annotation.labels)
    counts, whole = count_quickly(annotation)
    if not counts:
        return "nothing is annotated yet" if whole else "a large annotation"
    unit = "px" if annotation.source.ndim == 2 else "voxels"
    background = annotation.background_value
    parts = []
    if background is None:
        parts.append("no background")
    else:
        parts.append(f"label {background} = background, {counts[background]:,} {unit}")
    inside = {v: n for v, n in sorted(counts.items()) if v != background}
    if task == "objects":
        total = sum(inside.values())
        noun = "object" if len(inside) == 1 else "objects"
        parts.append(f"{len(inside):,} {noun}, {total:,} {unit}")
    else:
        noun = "class" if len(inside) == 1 else "classes"
        each = [f"label {v}, {n:,} {unit}" for v, n in list(inside.items())[:SHOWN]]
        each += ["…"] if len(inside) > SHOWN else []
        listed = f" ({'; '.join(each)})" if each else ""
        parts.append(f"{len(inside)} {noun}{listed}")
    text = "; ".join(parts)
    if not whole:
        text += "; counted on a part of it"
    total = sum(counts.values())
    if annotation.rule == "complete" and background is not None and inside:
        share = counts[background] / total
        if share > MOSTLY:
            text += (
                f"; {math.floor(share * 1000) / 10} % is background: choose sparse if "
                "most of it was just not annotated"
            )
    return text


def value_summary(values: ArrayLike) -> str:
    """Where the values of a target lie, such as "0 to 12.5; 3 % is not annotated"."""
    pieces, whole = _pieces(values)
    lowest, highest, known, total = math.inf, -math.inf, 0, 0
    for piece in pieces:
        finite = piece[np.isfinite(piece)]
        known, total = known + finite.size, total + piece.size
        if finite.size:
            lowest = min(lowest, float(finite.min()))
            highest = max(highest, float(finite.max()))
    if not known:
        return "no value" if whole else "a large target"
    text = f"values from {lowest:.4g} to {highest:.4g}"
    if known < total:
        text += f"; {1 - known / total:.0%} is NaN and not annotated"
    return text


def count_quickly(annotation: Annotation) -> tuple[Counter[int], bool]:
    """Annotated voxels by value, and whether all were looked at."""
    counts: Counter[int] = Counter()
    pieces, whole = _pieces(annotation.labels)
    for piece in pieces:
        counts += _count(piece)
    if annotation.unannotated_value is not None:
        del counts[annotation.unannotated_value]
    return counts, whole


def _pieces(labels: ArrayLike) -> tuple[Iterator[NDArray[Any]], bool]:
    """The array in pieces; of a large one, some that are spread evenly."""
    shape = tuple(labels.shape)
    rows = max(1, PIECE // max(1, shape[-1]))
    blocks = math.ceil(shape[-2] / rows)
    leading = shape[:-2]
    n_pieces = math.prod(leading) * blocks
    voxels = math.prod(shape)
    step = max(1, math.ceil(voxels / LOOKED_AT))

    def read() -> Iterator[NDArray[Any]]:
        for number in range(0, n_pieces, step):
            plane, block = divmod(number, blocks)
            index = tuple(int(i) for i in np.unravel_index(plane, leading or (1,)))
            key = (*(index if leading else ()), slice(block * rows, (block + 1) * rows))
            yield np.asarray(labels[key])

    return read(), step == 1


def _count(piece: NDArray[Any]) -> Counter[int]:
    if piece.dtype == bool:
        piece = piece.view(np.uint8)
    lowest, highest = int(piece.min()), int(piece.max())
    if lowest == highest:
        return Counter({lowest: piece.size})
    if lowest >= 0 and highest < PIECE:
        numbers = np.bincount(piece.ravel().astype(np.intp, copy=False))
        values = np.flatnonzero(numbers)
        numbers = numbers[values]
    else:
        values, numbers = np.unique(piece, return_counts=True)
    return Counter(dict(zip(values.tolist(), numbers.tolist(), strict=True)))


def model_problem(info: ModelInfo, source: ImageSource) -> str | None:
    """Why a model cannot be run on an image; ``None`` if it can."""
    if info.ndim == 3 and "Z" not in source.axes:
        return (
            f"The model {info.name!r} works on volumes, but the image {source.name!r} "
            f"has no Z axis (axes {source.axes}): choose a 2D model."
        )
    if info.ndim != source.ndim:
        reads = "planes" if info.ndim == 2 else "volumes"
        other = "volumes" if info.ndim == 2 else "planes"
        return (
            f"The model {info.name!r} works on {reads}, but the image {source.name!r} "
            f"is read as {other}: choose a {source.ndim}D model or read the image as "
            f"{reads}."
        )
    if info.n_channels != source.n_channels:
        return (
            f"The model {info.name!r} was trained on {_channels(info.n_channels)}, but "
            f"the image {source.name!r} has {_channels(source.n_channels)}: choose the "
            "same channels as in training."
        )
    return None


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
