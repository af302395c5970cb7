"""Training inside a box only: what of image and annotation is handed over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ArrayLike, Box
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.placement import shifted


@dataclass(frozen=True)
class Window:
    """A box of an array that is read when it is asked for."""

    array: ArrayLike
    key: tuple[slice, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        lengths = zip(self.key, self.array.shape, strict=True)
        return tuple(len(range(*part.indices(n))) for part, n in lengths)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.array.dtype)

    def __getitem__(self, key: Any, /) -> Any:
        # The box is read first: engines ask for regions, and boxes are small.
        return np.asarray(self.array[self.key])[key]


def inside(
    image: ImageSnapshot, annotation: Annotation, box: Box | None
) -> tuple[ImageSnapshot, Annotation]:
    """What is left of an image and its annotation inside a box.

    Where 0 means not annotated, the annotation outside is left out and the image stays
    whole, so that intensities and the surroundings of the box stay what they are. In a
    complete annotation 0 is background; there both are cut to the box.

    Parameters
    ----------
    image : ImageSnapshot
    annotation : Annotation
    box : Box or None
        Start and stop along every labels axis, in voxels; ``None``: no limit.
    """
    if box is None:
        return image, annotation
    letters = annotation.source.labels_axes
    parts = {letter: slice(*part) for letter, part in zip(letters, box, strict=True)}
    key = tuple(parts[letter] for letter in letters)
    if annotation.unannotated_value is not None:
        kept = np.zeros(annotation.labels.shape, annotation.labels.dtype)
        kept[key] = np.asarray(annotation.labels[key])
        return image, replace(annotation, labels=kept)
    whole = image.source.axes
    image_key = tuple(parts.get(letter, slice(None)) for letter in whole)
    cut = replace(
        image,
        arrays=tuple(_cut(array, image_key) for array in image.arrays),
        placement=shifted(image.placement, [start for start, _ in box]),
    )
    labels = _cut(annotation.labels, key)
    return cut, replace(annotation, labels=labels, source=cut.source)


def _cut(array: Any, key: tuple[slice, ...]) -> Any:
    if isinstance(array, np.ndarray):
        return np.asarray(array[key])  # a piece of a memory map is no file by itself
    if type(array).__module__.startswith("dask"):
        return array[key]
    return Window(array, key)
