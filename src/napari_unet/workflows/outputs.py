"""Where a prediction is written, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import Box, ImageSource, sample_index
from napari_unet.models.info import ModelInfo
from napari_unet.prediction.predictor import TileMaps
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.stopping import Stop, unless_stopped


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
    """

    def __init__(
        self,
        source: ImageSource,
        samples: Sequence[int] | None,
        region: Box | None,
        n_maps: int,
        labels: NDArray[np.int32] | None,
        maps: NDArray[np.float16] | None,
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
        self.labels = np.zeros(shape, np.int32) if labels is None else labels
        self.maps = maps
        if n_maps and maps is None:
            self.maps = np.zeros((n_maps, *shape), np.float16)

    def writer(self, position: int, info: ModelInfo) -> SampleWriter:
        """What writes one of :attr:`samples`."""
        labels = self._sample(self.labels, position)
        maps = [
            self._sample(m, position) for m in ([] if self.maps is None else self.maps)
        ]
        if info.task == "objects":
            return ObjectsWriter(labels, maps, info.decoder or DecoderInfo())
        return ClassesWriter(labels, maps, [c.result_value for c in info.classes])

    def _sample(self, array: NDArray[Any], position: int) -> NDArray[Any]:
        """A view of one sample, (Z) Y X."""
        if self._order is not None:
            array = array.transpose(self._order)
        view: NDArray[Any] = array[sample_index(self._sample_shape, position)]
        return view


class SampleWriter:
    """Takes the tiles of one sample; `labels` and `maps` are views, (Z) Y X."""

    def __init__(
        self, labels: NDArray[np.int32], maps: Sequence[NDArray[np.float16]]
    ) -> None:
        self.labels, self.maps = labels, maps

    def write(self, part: TileMaps) -> None:
        """Take one tile."""
        for kept, found in zip(self.maps, part.maps, strict=False):
            kept[part.tile.target] = found

    def finish(self, stop: Stop) -> None:
        """Do what needs all tiles.

        Raises
        ------
        Stopped
            If `stop` said so; labels that are missing stay 0.
        """


class ClassesWriter(SampleWriter):
    """Classes are decided tile by tile."""

    def __init__(
        self,
        labels: NDArray[np.int32],
        maps: Sequence[NDArray[np.float16]],
        values: Sequence[int],
    ) -> None:
        super().__init__(labels, maps)
        self._values = np.array(values, np.int32)

    def write(self, part: TileMaps) -> None:
        super().write(part)
        self.labels[part.tile.target] = self._values[part.maps.argmax(axis=0)]


class ObjectsWriter(SampleWriter):
    """Objects are cut from the maps of the whole sample."""

    def __init__(
        self,
        labels: NDArray[np.int32],
        maps: Sequence[NDArray[np.float16]],
        decoder: DecoderInfo,
    ) -> None:
        super().__init__(labels, maps)
        self._decoder = decoder
        self._held = np.zeros((2, *labels.shape), np.float32)

    def write(self, part: TileMaps) -> None:
        super().write(part)
        self._held[(slice(None), *part.tile.target)] = part.maps

    def finish(self, stop: Stop) -> None:
        foreground, distance = self._held
        self.labels[...] = unless_stopped(
            lambda: decode_objects(foreground, distance, self._decoder), stop
        )
