"""Classes that have other numbers in the prediction than in the reference.

A model that learnt from strokes writes its only class as 2, and the masks of most data
sets write it as 1. Taken at their word, the two have not a pixel in common. One class
on either side is the same class; of several, only the user knows which belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.evaluation.pairs import Pair, PairFiles
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.image_io import read_image, read_labels

MOST_NAMED = 4
"""Most numbers that a sentence lists."""


@dataclass(frozen=True)
class Renumbered:
    """Labels in which values are read as others; nothing is copied before."""

    array: ArrayLike
    numbers: Mapping[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return _wide_enough(self.array.dtype, self.numbers)

    def __getitem__(self, key: Any, /) -> Any:
        return renumbered(self.array[key], self.numbers)


def _wide_enough(dtype: Any, numbers: Mapping[int, int]) -> np.dtype[Any]:
    most = max(numbers.values(), default=0)
    return np.result_type(dtype, np.min_scalar_type(most))


def renumbered(labels: Any, numbers: Mapping[int, int]) -> NDArray[Any]:
    """A copy of `labels` in which values are others, all at the same time."""
    found = np.asarray(labels)
    made = found.astype(_wide_enough(found.dtype, numbers))
    for old, new in numbers.items():
        made[found == old] = new
    return made


def with_numbers(pair: Pair, numbers: Mapping[int, int]) -> Pair:
    """The pair with the prediction's classes numbered as in the reference."""
    if not numbers:
        return pair
    return replace(
        pair,
        prediction=Renumbered(pair.prediction, numbers),
        map_values=tuple(numbers.get(v, v) for v in pair.map_values),
    )


def class_numbers(
    true: Iterable[int], predicted: Iterable[int], settings: EvaluationSettings
) -> tuple[dict[int, int], str]:
    """Which number of the prediction is which of the reference.

    Parameters
    ----------
    true, predicted : iterable of int
        Label values of the classes in all images, background among them or not.

    Returns
    -------
    dict
        What is to be read as something else.
    str
        What was done, or what nobody but the user can do; empty where there is nothing
        to say.
    """
    if settings.task != "classes":
        return {}, ""
    ours = {int(v) for v in predicted if v > 0}
    theirs = {int(v) for v in true if v > 0}
    if settings.renumber:
        return dict(settings.renumber), _unknown(settings.renumber, ours, theirs)
    if not settings.background or not ours - theirs or not theirs - ours:
        return {}, ""
    if len(ours) == len(theirs) == 1:
        (old,), (new,) = ours, theirs
        return {old: new}, (
            f"The only class is {old} in the prediction and {new} in the reference: "
            "they were taken for the same."
        )
    return {}, (
        "Classes are compared by their numbers, but the prediction has "
        f"{_words(ours)} and the reference {_words(theirs)}. If they mean the same, "
        f"say with Renumber which belong together, such as {_example(ours, theirs)}."
    )


def _unknown(numbers: Mapping[int, int], ours: set[int], theirs: set[int]) -> str:
    """What is wrong with the user's own numbers."""
    for wanted, there, what in (
        (set(numbers), ours, "prediction"),
        (set(numbers.values()), theirs, "reference"),
    ):
        missing = wanted - there - {0}
        if missing:
            has = f"it has {_words(there)}" if there else "it has none"
            return f"Renumber: the {what} has no class {_words(missing)}; {has}."
    return ""


def predicted_values(pair: Pair) -> set[int]:
    """Label values of a prediction."""
    source = ImageSource((pair.prediction,), pair.truth.axes, ndim=pair.truth.ndim)
    found: set[int] = set()
    for sample in range(source.n_samples):
        found |= {int(v) for v in np.unique(source.read(sample)[0])}
    return found


def predicted_file_values(files: Sequence[PairFiles]) -> set[int]:
    """As :func:`predicted_values`, of files, one after the other."""
    found: set[int] = set()
    for one in files:
        if one.prediction is None:
            continue
        labels = read_labels(one.prediction, read_image(one.prediction))
        found |= {int(v) for v in np.unique(np.asarray(labels[...]))}
    return found


def _example(ours: set[int], theirs: set[int]) -> str:
    pairs = zip(sorted(ours), sorted(theirs), strict=False)
    return ", ".join(f"{a}={b}" for a, b in list(pairs)[:MOST_NAMED])


def _words(values: set[int]) -> str:
    numbers = [str(v) for v in sorted(values)]
    shown = numbers[:MOST_NAMED] + ["…"] * (len(numbers) > MOST_NAMED)
    return ", ".join(shown)
