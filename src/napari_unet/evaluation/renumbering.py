"""One class that has another number in the prediction than in the reference.

A model that learnt from strokes writes its only class as 2, and the masks of most data
sets write it as 1. Taken at their word, the two have not a pixel in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.evaluation.pairs import Pair


@dataclass(frozen=True)
class Renumbered:
    """Labels in which one value is read as another; nothing is copied before."""

    array: ArrayLike
    old: int
    new: int

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.result_type(self.array.dtype, np.min_scalar_type(self.new))

    def __getitem__(self, key: Any, /) -> Any:
        found = np.asarray(self.array[key]).astype(self.dtype)
        found[found == self.old] = self.new
        return found


def with_numbers_of(pair: Pair, values: Sequence[int]) -> tuple[Pair, str]:
    """The pair with the prediction's classes numbered as in the reference.

    That is known only where both have one class beside background.

    Parameters
    ----------
    pair : Pair
        Of task ``classes``, with 0 as background.
    values : sequence of int
        Label values of the reference's classes, background among them.

    Returns
    -------
    Pair
    str
        What was done, or what nobody but the user can do; empty where the numbers
        have something in common.
    """
    true = {v for v in values if v > 0}
    predicted = _predicted(pair)
    if not true or not predicted or true & predicted:
        return pair, ""
    if len(true) == len(predicted) == 1:
        (new,), (old,) = true, predicted
        changed = replace(pair, prediction=Renumbered(pair.prediction, old, new))
        return changed, (
            f"The only class is {old} in the prediction and {new} in the reference: "
            "they were taken for the same."
        )
    return pair, (
        f"No class has the same number in both: the prediction has {_words(predicted)},"
        f" the reference {_words(true)}. Number them alike, or every pixel of them "
        "counts as wrong."
    )


def _predicted(pair: Pair) -> set[int]:
    source = ImageSource((pair.prediction,), pair.truth.axes, ndim=pair.truth.ndim)
    found: set[int] = set()
    for sample in range(source.n_samples):
        labels = source.read(sample)[0]
        found |= {int(v) for v in np.unique(labels[labels != 0])}
    return found


def _words(values: set[int]) -> str:
    numbers = [str(v) for v in sorted(values)]
    shown = numbers[:4] + ["…"] * (len(numbers) > 4)
    return ", ".join(shown)
