"""At which resolution the classes of an annotation can still be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.annotation import UNANNOTATED
from napari_unet.data.split import Part

LEAST_DICE = 0.92
"""Of every class with itself, drawn on a coarser grid; measured in docs/benchmarks.md.
The network draws finer than the grid: it learns what a cell looks like inside."""
LOOKED_AT = 24
"""Most images that are read."""


def keeps_classes(parts: Sequence[Part], step: int) -> bool:
    """Whether a grid of `step` pixels is fine enough for all classes.

    Each cell of the grid takes the class of most of its pixels. Lungs in an X-ray lose
    a pixel at their outline and no more; vessels would vanish.

    Parameters
    ----------
    parts : sequence of Part
        Boxes of annotated images, Y X.
    step : int
        Edge of a cell in pixels.
    """
    shared: Counter[int] = Counter()
    sizes: Counter[int] = Counter()
    for part in parts[:: -(-len(parts) // LOOKED_AT)]:
        labels = part.annotation.read(part.sample, part.box)
        known = labels != UNANNOTATED
        values = np.unique(labels[known])
        drawn = _on_grid(labels, values, step)
        for value in values.tolist():
            before, after = labels == value, (drawn == value) & known
            shared[value] += int((before & after).sum())
            sizes[value] += int(before.sum() + after.sum())
    return all(2 * shared[v] >= LEAST_DICE * sizes[v] for v in sizes)


def _on_grid(
    labels: NDArray[np.int32], values: NDArray[np.int32], step: int
) -> NDArray[np.int32]:
    """The commonest of `values` in each cell, at full size."""
    padded = np.pad(
        labels, [(0, -n % step) for n in labels.shape], constant_values=UNANNOTATED
    )
    rows, columns = (n // step for n in padded.shape)
    cells = padded.reshape(rows, step, columns, step)
    counts = np.stack([(cells == v).sum((1, 3)) for v in values])
    drawn: NDArray[np.int32] = values[counts.argmax(0)]
    drawn = drawn.repeat(step, 0).repeat(step, 1)
    return drawn[: labels.shape[0], : labels.shape[1]]
