"""What is annotated in one sample of a live run."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass
class SampleStrokes:
    """What is annotated in one sample; arrays are (Z) Y X."""

    index: NDArray[np.int16]
    """Position of the class in the network's output (task ``objects``: 0 background,
    1 object); -1 not annotated."""
    instances: NDArray[np.int32] | None
    """Ids of objects, 0 elsewhere; task ``objects`` alone."""
    stroke: NDArray[np.int32]
    """Number of the stroke that a voxel belongs to, 0 without; negative: held out. An
    erased voxel keeps its number: undone, it is what it was."""
    points: list[NDArray[np.int64]]
    """Per class: voxels that teach, or a draw of them, ``(n, (Z) Y X)``."""
    voxels: NDArray[np.int64]
    """Per class: how many voxels teach."""
    strokes: NDArray[np.int64]
    """Per class: how many strokes there are."""
    distance: NDArray[np.float32] | None = None
    teaching: NDArray[np.int16] | None = None
    """`index` without what is held out, made when it is needed."""
    held: list[tuple[int, NDArray[np.int64], int]] = field(default_factory=list)
    """Held-out strokes, oldest first: number, voxels ``(n, (Z) Y X)``, and class."""
    smallest: int | None = None
    """Voxels of the smallest object."""
