"""What a person painted, and what it means.

*Sparse*: 0 is not annotated, 1 is background, 2, 3, … are classes (task ``classes``) or
one id per complete object (task ``objects``). *Complete*: 0 is background, 1, 2, … are
classes or objects. With ``background=False`` no class is background: 0 is not annotated
and every other value is a class, in either rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import AnnotationRule
from napari_unet.data.source import ArrayLike, Box, ImageSource
from napari_unet.errors import AnnotationError

UNANNOTATED = -1
"""Value of pixels that nobody annotated, in every array that this module returns."""


@dataclass(frozen=True)
class Annotation:
    """The annotation of one `ImageSource`.

    Parameters
    ----------
    labels : array-like of int
        Axes as :attr:`ImageSource.labels_axes` of the image.
    source : ImageSource
        The image it belongs to.
    rule : {"sparse", "complete"}
    background : bool
        Whether one class is background; see the module's text.

    Raises
    ------
    AnnotationError
        If shape or dtype do not fit the image.
    """

    labels: ArrayLike
    source: ImageSource
    rule: AnnotationRule = "complete"
    background: bool = True

    def __post_init__(self) -> None:
        source = self.source
        if tuple(self.labels.shape) != source.labels_shape:
            raise AnnotationError(
                f"The annotation of {source.name!r} has the shape "
                f"{tuple(self.labels.shape)}, but the image needs "
                f"{source.labels_shape} ({source.labels_axes}): "
                "make an annotation layer for this image."
            )
        dtype = np.dtype(self.labels.dtype)
        if dtype.kind not in "bui":
            raise AnnotationError(
                f"The annotation of {source.name!r} holds {dtype} values, "
                "but labels are whole numbers: convert it to an integer type."
            )

    @property
    def background_value(self) -> int | None:
        """Annotation value that means background."""
        if not self.background:
            return None
        return 1 if self.rule == "sparse" else 0

    @property
    def unannotated_value(self) -> int | None:
        """Annotation value that means "nobody looked here"."""
        return 0 if self.rule == "sparse" or not self.background else None

    def read(self, sample: int, box: Box | None = None) -> NDArray[np.int32]:
        """Labels of one sample, ``(Z) Y X``, with unannotated pixels -1."""
        source = ImageSource(
            (self.labels,), self.source.labels_axes, ndim=self.source.ndim
        )
        values: NDArray[Any] = source.read(sample, box)[0]
        labels = values.astype(np.int32)
        if self.unannotated_value is not None:
            labels[values == self.unannotated_value] = UNANNOTATED
        return labels

    def annotated_samples(self) -> list[int]:
        """Indices along S where at least one pixel is annotated."""
        return [
            s
            for s in range(self.source.n_samples)
            if self.unannotated_value is None or bool((self.read(s) >= 0).any())
        ]

    def count_values(self) -> dict[int, int]:
        """Number of annotated pixels of each annotation value."""
        counts: dict[int, int] = {}
        for s in range(self.source.n_samples):
            values, numbers = np.unique(self.read(s), return_counts=True)
            for value, number in zip(values.tolist(), numbers.tolist(), strict=True):
                counts[value] = counts.get(value, 0) + number
        counts.pop(UNANNOTATED, None)
        return dict(sorted(counts.items()))
