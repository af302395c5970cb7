"""Where the blocks of a prediction go: arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import Box, ImageSource, sample_index
from napari_unet.prediction.blocks import Block, inside
from napari_unet.segmentation.stitching import FinalLabels, Found

Views = dict[tuple[int, int], NDArray[np.int32]]
"""What a block saw where a neighbour looked, too: by axis, and 0 before or 1 after."""


class Sink(Protocol):
    """Takes finished blocks, each as a whole."""

    def is_done(self, block: Block) -> bool:
        """Whether a block was made before, and need not be made again."""
        ...

    def put(
        self,
        block: Block,
        labels: NDArray[Any],
        maps: NDArray[np.float16] | None,
    ) -> None:
        """Keep the inner part of a block: labels (Z) Y X, maps K (Z) Y X."""
        ...

    def put_partial(self, block: Block, labels: NDArray[Any]) -> None:
        """Keep what there is of a block that was stopped, if that is worth having."""
        ...

    def put_objects(
        self,
        block: Block,
        labels: NDArray[np.int32],
        maps: NDArray[np.float16] | None,
        found: Found,
        views: Views,
    ) -> None:
        """Keep a block whose labels count from 1 on, and what stitching needs."""
        ...

    def found(self, block: Block) -> Found: ...
    def view(self, block: Block, axis: int, side: int) -> NDArray[np.int32]: ...
    def relabel(self, block: Block, table: FinalLabels) -> None:
        """Write the final labels of a block; may be done twice."""
        ...


class Outputs:
    """Labels and, where wanted, maps of an image, or of some samples or a region.

    Parameters
    ----------
    source : ImageSource
    samples : sequence of int or None
        Positions along S; all by default.
    region : Box or None
        Part of the image, (Z) Y X; the whole of it by default.
    n_maps : int
        Number of maps to keep; 0 for none.
    labels, maps : ndarray or None
        Where to write: along the image's labels axes, or ``S (Z) Y X`` where `samples`
        or `region` is given; `maps` after a first axis K. Made here by default.
    dtype : type
        Of the labels that are made here; values are float32.
    """

    def __init__(
        self,
        source: ImageSource,
        samples: Sequence[int] | None,
        region: Box | None,
        n_maps: int,
        labels: NDArray[np.int32] | None,
        maps: NDArray[Any] | None,
        dtype: type[np.int32] | type[np.float32] = np.int32,
    ) -> None:
        self.samples = range(source.n_samples) if samples is None else samples
        self.box = region or tuple((0, n) for n in source.spatial_shape)
        self._sample_shape: tuple[int, ...] = (len(self.samples),)
        self._order: list[int] | None = None
        if samples is not None or region is not None:
            self.axes = "S" + source.spatial
            shape = (*self._sample_shape, *(b - a for a, b in self.box))
        else:
            self.axes, shape = source.labels_axes, source.labels_shape
            # Samples come first inside; the image's own order is a view of that.
            self._sample_shape = source.sample_shape
            letters = source.sample_axes + source.spatial
            self._order = [self.axes.index(a) for a in letters]
        self.labels: NDArray[Any] = np.zeros(shape, dtype) if labels is None else labels
        self.maps = maps
        if n_maps and maps is None:
            self.maps = np.zeros((n_maps, *shape), np.float16)
        self._found: dict[int, Found] = {}
        self._views: dict[int, Views] = {}

    def is_done(self, block: Block) -> bool:
        return block.number in self._found

    def put(
        self,
        block: Block,
        labels: NDArray[Any],
        maps: NDArray[np.float16] | None,
    ) -> None:
        where = inside(block.inner, self.box)
        self._sample(self.labels, block.position)[where] = labels
        if self.maps is not None and maps is not None:
            for kept, given in zip(self.maps, maps, strict=False):
                self._sample(kept, block.position)[where] = given

    def put_partial(self, block: Block, labels: NDArray[Any]) -> None:
        """Keep what there is of a block that was stopped."""
        self.put(block, labels, None)

    def put_objects(
        self,
        block: Block,
        labels: NDArray[np.int32],
        maps: NDArray[np.float16] | None,
        found: Found,
        views: Views,
    ) -> None:
        self.put(block, labels, maps)
        self._found[block.number] = found
        self._views[block.number] = views

    def found(self, block: Block) -> Found:
        # After a stop, blocks may be missing: nothing is in them.
        nothing = Found(np.zeros(1, np.int64), np.zeros(1, bool))
        return self._found.get(block.number, nothing)

    def view(self, block: Block, axis: int, side: int) -> NDArray[np.int32]:
        return self._views[block.number][axis, side]

    def relabel(self, block: Block, table: FinalLabels) -> None:
        part = self._sample(self.labels, block.position)[inside(block.inner, self.box)]
        part[...] = table(part)

    def _sample(self, array: NDArray[Any], position: int) -> NDArray[Any]:
        """A view of one sample, (Z) Y X."""
        if self._order is not None:
            array = array.transpose(self._order)
        view: NDArray[Any] = array[sample_index(self._sample_shape, position)]
        return view
