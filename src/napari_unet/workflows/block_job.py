"""What is needed to make any block of a prediction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import Box, ImageSource
from napari_unet.models.info import ModelInfo
from napari_unet.prediction.blocks import Block, BlockGrid, inside
from napari_unet.prediction.predictor import Predictor
from napari_unet.prediction.resampling import Resampling
from napari_unet.prediction.tiling import TileGrid
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.pieces import Sides, find_pieces, number_pieces
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.segmentation.stitching import Found, look
from napari_unet.workflows.known_maps import KnownMaps
from napari_unet.workflows.outputs import Outputs, Sink, Views


@dataclass(frozen=True)
class BlockJob:
    """All that is needed to make any block of a prediction.

    Parameters
    ----------
    info, predictor, source, intensity
        What is segmented, and with what; the image as the network sees it.
    grid : BlockGrid
        Of the result.
    sink : Sink
    keep_maps : bool
        Whether the sink wants the network's maps, too.
    mask : ImageSource, optional
        Where it is 0, nothing is found; of the image's samples and size.
    maps_dtype : dtype
        Of the maps that the sink gets.
    known : KnownMaps, optional
        Where maps may be at hand already.
    resampling : Resampling, optional
        Between the image's grid, which is that of the result, and that of `source`.
    """

    info: ModelInfo
    predictor: Predictor
    source: ImageSource
    intensity: IntensityRange
    grid: BlockGrid
    sink: Sink
    keep_maps: bool = False
    mask: ImageSource | None = None
    resampling: Resampling | None = None
    maps_dtype: DTypeLike = np.float16
    known: KnownMaps | None = None

    @property
    def objects(self) -> bool:
        return self.info.task == "objects"

    @property
    def values(self) -> bool:
        return self.info.task == "regression"

    @property
    def needs_maps(self) -> bool:
        """Whether the most probable class of each voxel does not say enough."""
        resampled = self.resampling is not None
        return self.objects or self.values or self.keep_maps or resampled

    @property
    def stitches(self) -> bool:
        """Whether objects are found in pieces of a sample."""
        stored = not isinstance(self.sink, Outputs)
        return self.objects and (stored or self.grid.per_sample > 1)

    @property
    def settings(self) -> DecoderInfo:
        """How objects are cut from the maps."""
        return self.info.decoder or DecoderInfo()

    def decode(
        self, maps: NDArray[np.float32], block: Block, inside: NDArray[np.bool_] | None
    ) -> NDArray[np.int32]:
        """Objects 1, 2, … (Z) Y X in the maps ``K (Z) Y X`` of a block.

        Where they are stitched, what they must be like is judged afterwards.
        """
        settings = self.settings
        if self.stitches:
            settings = settings.unconstrained()
        return decode_objects(
            maps[0],
            maps[1],
            settings,
            inside=inside,
            border=ends(block.outer, self._image),
        )

    def inside(self, sample: int, box: Box) -> NDArray[np.bool_] | None:
        """The mask in a box (Z) Y X of a sample; None where there is no mask."""
        if self.mask is None:
            return None
        found: NDArray[np.bool_] = self.mask.read(sample, box)[0] != 0
        return found

    def look(
        self, labels: NDArray[np.int32], block: Block, inside: NDArray[np.bool_] | None
    ) -> Found:
        """What has to be known of the objects of a block to stitch them."""
        found = look(labels, block.crop, open_sides(block, self.grid))
        if not self.settings.needs_pieces:
            return found
        inner = labels[block.crop]
        pieces = find_pieces(
            inner,
            number_pieces(inner),
            ends=ends(block.inner, self.grid.box),
            border=ends(block.inner, self._image),
            inside=None if inside is None else inside[block.crop],
        )
        return replace(found, pieces=pieces)

    @property
    def _image(self) -> Box:
        if self.resampling is not None:
            return tuple((0, n) for n in self.resampling.shape)
        return tuple((0, n) for n in self.source.spatial_shape)

    def seen(self, block: Block) -> Box:
        """All that a block looks at, in the grid that the network sees."""
        if self.resampling is None:
            return block.outer
        return self.resampling.needed(block.outer)

    def tiles(self, block: Block) -> TileGrid:
        """Tiles of all that a block looks at."""
        return self.predictor.tiles(self.source, self.seen(block))


def ends(box: Box, whole: Box) -> Sides:
    """Where a box ends together with a larger one."""
    return tuple(
        (a == low, b == high) for (a, b), (low, high) in zip(box, whole, strict=True)
    )


def open_sides(block: Block, grid: BlockGrid) -> Sides:
    """At which sides a block ends where its sample goes on."""
    return tuple(
        (a > low, b < high)
        for (a, b), (low, high) in zip(block.outer, grid.box, strict=True)
    )


def seams_of(labels: NDArray[np.int32], block: Block, grid: BlockGrid) -> Views:
    """What a block saw where its neighbours looked, too."""
    views: Views = {}
    for axis, side, other in grid.around(block.number):
        both = grid.seen_by_both(block.number, other)
        views[axis, side] = labels[inside(both, block.outer)]
    return views
