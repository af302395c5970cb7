"""A continuous target for every pixel: a distance, a density, another stain.

To everything that counts, splits and samples, such an image is an annotation with one
class: 0 where there is a value, -1 where it is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import UNANNOTATED, Annotation
from napari_unet.data.source import ArrayLike, Box, ImageSource
from napari_unet.errors import AnnotationError

LOOKED_AT = 4_000_000
"""Most values that are read to measure how they spread."""


@dataclass(frozen=True)
class ValueAnnotation(Annotation):
    """Values that belong to one `ImageSource`; NaN and infinity are not annotated.

    Parameters
    ----------
    labels : array-like of number
        The values; axes as :attr:`ImageSource.labels_axes` of the image.
    source : ImageSource
        The image they belong to.

    Raises
    ------
    AnnotationError
        If shape or dtype do not fit the image.
    """

    def __post_init__(self) -> None:
        source = self.source
        if tuple(self.labels.shape) != source.labels_shape:
            raise AnnotationError(
                f"The target of {source.name!r} has the shape "
                f"{tuple(self.labels.shape)}, but the image needs "
                f"{source.labels_shape} ({source.labels_axes}): choose an image of "
                "values with the same size."
            )
        dtype = np.dtype(self.labels.dtype)
        if dtype.kind not in "buif":
            raise AnnotationError(
                f"The target of {source.name!r} holds {dtype} values: only whole "
                "numbers and decimals can be learnt."
            )

    @property
    def background_value(self) -> int | None:
        """No value means background."""
        return None

    @property
    def unannotated_value(self) -> int | None:
        """What :meth:`read` says where the value is NaN."""
        return UNANNOTATED

    def read(self, sample: int, box: Box | None = None) -> NDArray[np.int32]:
        """0 where there is a value and -1 where it is NaN, ``(Z) Y X``."""
        known = np.isfinite(self.read_values(sample, box))
        return np.where(known, 0, UNANNOTATED).astype(np.int32)

    def read_values(self, sample: int, box: Box | None = None) -> NDArray[np.float32]:
        """Values of one sample, ``(Z) Y X``, NaN where not annotated."""
        source = ImageSource(
            (self.labels,), self.source.labels_axes, ndim=self.source.ndim
        )
        found: NDArray[Any] = source.read(sample, box)[0]
        with np.errstate(over="ignore"):  # beyond float32 is infinite: not annotated
            values = found.astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        return values


def annotation_for(
    labels: ArrayLike, source: ImageSource, config: TrainingConfig
) -> Annotation:
    """The annotation of an image as the settings read it: labels, or values.

    Raises
    ------
    AnnotationError
        If shape or dtype do not fit the image.
    """
    if config.task == "regression":
        return ValueAnnotation(labels, source)
    return Annotation(labels, source, config.annotation, config.background)


@dataclass(frozen=True)
class Spread:
    """Where values lie: the network learns ``(value - offset) / scale``."""

    offset: float
    """Mean."""
    scale: float
    """Standard deviation; 1 where all values are equal."""
    low: float
    high: float


def measure_spread(parts: Sequence[tuple[ValueAnnotation, int, Box]]) -> Spread:
    """Mean, standard deviation and extremes of the values in boxes of samples.

    Raises
    ------
    AnnotationError
        If there is no value at all.
    """
    total = sum(math.prod(b - a for a, b in box) for _, _, box in parts)
    step = math.ceil(total / LOOKED_AT)
    found = []
    for annotation, sample, box in parts:
        some = annotation.read_values(sample, box).ravel()[::step]
        found.append(some[np.isfinite(some)])
    values = np.concatenate([np.empty(0, np.float64), *found])
    if not values.size:
        raise AnnotationError(
            "The target holds no value: every pixel is NaN. Choose an image with "
            "values where they are known."
        )
    scale = float(values.std())
    if not scale > 1e-6 * max(1.0, float(np.abs(values).max())):
        scale = 1.0
    return Spread(float(values.mean()), scale, float(values.min()), float(values.max()))
