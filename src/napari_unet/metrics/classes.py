"""Scores of semantic segmentations: Dice, IoU and pixel error.

Pixels that nobody annotated never count: those outside `mask`, and those whose truth
is none of the classes (-1 among them).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def confusion(
    truth: NDArray[Any],
    prediction: NDArray[Any],
    values: Sequence[int],
    mask: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Count annotated pixels by true and predicted class.

    Parameters
    ----------
    truth, prediction : array of int
        Labels of one shape.
    values : sequence of int
        Label values of the K classes. A pixel whose truth is not among them does not
        count.
    mask : array of bool, optional
        Pixels that count; all by default.

    Returns
    -------
    array of int64, shape (K, K + 1)
        Rows are true classes, columns predicted ones; the last column holds pixels
        predicted as something that is no class.

    Raises
    ------
    ValueError
        If the shapes differ or a value stands twice.
    """
    _check_shapes(truth, prediction, mask)
    known = np.asarray(values, np.int64)
    if len(set(known.tolist())) != len(known):
        raise ValueError(f"values must differ: {list(values)}")
    if mask is not None:
        truth, prediction = truth[mask], prediction[mask]
    count = len(known)
    true_class = _class_index(truth.ravel(), known)
    predicted_class = _class_index(prediction.ravel(), known)
    counts = np.zeros((count, count + 1), np.int64)
    for row in range(count):
        chosen = predicted_class[true_class == row]
        counts[row] = np.bincount(chosen, minlength=count + 1)
    return counts


def _check_shapes(
    truth: NDArray[Any], prediction: NDArray[Any], mask: NDArray[np.bool_] | None
) -> None:
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: {truth.shape} and {prediction.shape}")
    if mask is not None and mask.shape != truth.shape:
        raise ValueError(f"the mask has shape {mask.shape}, not {truth.shape}")


def _class_index(labels: NDArray[Any], values: NDArray[np.int64]) -> NDArray[np.intp]:
    """Position of each label in `values`; its length where it is not there."""
    index = np.full(labels.shape, len(values), np.uint16)
    for position, value in enumerate(values.tolist()):
        index[labels == value] = position
    return index.astype(np.intp, copy=False)


@dataclass(frozen=True)
class ClassScores:
    """Scores over a set of images.

    A class that is neither in the truth nor in the prediction has no score: NaN, left
    out of every mean.
    """

    values: tuple[int, ...]
    """Label values of the classes."""
    background: int | None
    """The value that the means leave out."""
    dice: tuple[float, ...]
    """Dice of each class over the pixels of all images together."""
    iou: tuple[float, ...]
    """Intersection over union of each class, likewise."""
    image_dice: tuple[float, ...]
    """Dice of each class in each image, averaged over images."""
    pixel_error: float
    """Share of annotated pixels that were given the wrong class."""
    pixels: int
    """Annotated pixels."""

    @property
    def mean_dice(self) -> float:
        """Mean of `dice` over the classes that are not background."""
        return self._mean(self.dice)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that are not background."""
        return self._mean(self.iou)

    @property
    def mean_image_dice(self) -> float:
        """Mean of `image_dice` over the classes that are not background."""
        return self._mean(self.image_dice)

    def _mean(self, scores: tuple[float, ...]) -> float:
        return _mean(
            [
                s
                for s, v in zip(scores, self.values, strict=True)
                if v != self.background
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a score that does not exist is ``None``."""
        return {
            "pixels": self.pixels,
            "pixel_error": _plain(self.pixel_error),
            "mean_dice": _plain(self.mean_dice),
            "mean_iou": _plain(self.mean_iou),
            "mean_image_dice": _plain(self.mean_image_dice),
            "background": self.background,
            "classes": {
                str(value): {
                    "dice": _plain(dice),
                    "iou": _plain(iou),
                    "image_dice": _plain(image_dice),
                }
                for value, dice, iou, image_dice in zip(
                    self.values, self.dice, self.iou, self.image_dice, strict=True
                )
            },
        }


def class_scores(
    matrices: Sequence[NDArray[np.int64]],
    values: Sequence[int],
    background: int | None = 0,
) -> ClassScores:
    """Scores from one confusion matrix an image.

    Parameters
    ----------
    matrices : sequence of array, shape (K, K + 1)
        From :func:`confusion`, all with the same `values`.
    values : sequence of int
        Label values of the K classes.
    background : int, optional
        Value that is left out of the means.
    """
    count = len(values)
    total = np.zeros((count, count + 1), np.int64)
    for matrix in matrices:
        total += matrix
    dice, iou = _dice_and_iou(total)
    by_image = [_dice_and_iou(matrix)[0] for matrix in matrices]
    pixels = int(total.sum())
    right = int(np.trace(total[:, :count]))
    return ClassScores(
        values=tuple(int(v) for v in values),
        background=background,
        dice=dice,
        iou=iou,
        image_dice=tuple(_mean([d[k] for d in by_image]) for k in range(count)),
        pixel_error=1.0 - right / pixels if pixels else math.nan,
        pixels=pixels,
    )


def _dice_and_iou(
    matrix: NDArray[np.int64],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    count = matrix.shape[0]
    hits = np.diagonal(matrix[:, :count]).tolist()
    sizes = (matrix.sum(axis=1) + matrix.sum(axis=0)[:count]).tolist()
    dice = [2 * h / n if n else math.nan for h, n in zip(hits, sizes, strict=True)]
    iou = [h / (n - h) if n else math.nan for h, n in zip(hits, sizes, strict=True)]
    return tuple(dice), tuple(iou)


def _mean(scores: Sequence[float]) -> float:
    existing = [s for s in scores if not math.isnan(s)]
    return sum(existing) / len(existing) if existing else math.nan


def _plain(score: float) -> float | None:
    return None if math.isnan(score) else score
