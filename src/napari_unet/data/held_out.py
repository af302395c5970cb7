"""Whether labels that were given for validation can measure what is learnt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.errors import AnnotationError

RULES = {
    "sparse": "0 is not annotated, 1 is background",
    "complete": "0 is background",
}
MOST_NAMED = 5
"""Most values that a sentence lists."""


def validation_notes(
    validation: Sequence[Annotation],
    classes: Sequence[ClassInfo],
    config: TrainingConfig,
) -> list[str]:
    """What the score will not tell, because the labels for validation lack it.

    Parameters
    ----------
    validation : sequence of Annotation
        Read by the same rule as the training labels.
    classes : sequence of ClassInfo
        What is learnt.

    Raises
    ------
    AnnotationError
        If nothing that is learnt is in `validation`: the score would always be 0, and
        the best weights could not be told.
    """
    counts: Counter[int] = Counter()
    for annotation in validation:
        counts.update(annotation.count_values())
    if config.task == "objects":
        _check_objects(counts, validation[0].background_value, config)
        return []
    wanted = {c.value for c in classes if not c.background}
    there, missing = wanted & counts.keys(), wanted - counts.keys()
    if not there:
        held = f"hold {_values(counts)}" if counts else "hold nothing"
        raise AnnotationError(
            f"The labels for validation {held}, but none of the classes that are "
            f"learnt ({_numbers(wanted)}): number them like the labels for training"
            f"{_rule(config)}."
        )
    notes = []
    if missing:
        one = len(missing) == 1
        names = ", ".join(f"{c.name!r}" for c in classes if c.value in missing)
        notes.append(
            f"The labels for validation have no pixel of {names}: the score says "
            f"nothing about {'it' if one else 'them'}."
        )
    unknown = counts.keys() - {c.value for c in classes}
    unknown -= {validation[0].background_value}
    if unknown:
        notes.append(
            f"The labels for validation hold {_values(unknown)}, which the labels for "
            "training do not: such pixels do not count in the score."
        )
    return notes


def _check_objects(
    counts: Iterable[int], background: int | None, config: TrainingConfig
) -> None:
    if not set(counts) - {background}:
        raise AnnotationError(
            "The labels for validation hold no object: choose images with objects, or "
            f"number them like the labels for training{_rule(config)}."
        )


def _rule(config: TrainingConfig) -> str:
    return f" ({RULES[config.annotation]})" if config.background else ""


def _values(values: Iterable[int]) -> str:
    found = set(values)
    return f"the value{'s' * (len(found) > 1)} {_numbers(found)}"


def _numbers(values: Iterable[int]) -> str:
    found = sorted(values)
    shown = [str(v) for v in found[:MOST_NAMED]] + ["…"] * (len(found) > MOST_NAMED)
    return ", ".join(shown)
