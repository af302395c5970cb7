"""Maps that are at hand already: objects are cut from them anew, without the network.

They depend on image and model alone. Whoever changes how objects are told apart, or
where they may lie, need not wait for the network again.
"""

from __future__ import annotations

import hashlib
import math
from typing import Protocol

import numpy as np
import psutil
from numpy.typing import NDArray

from napari_unet.data.source import ImageSource, sample_index
from napari_unet.image_io.label_store import LabelStore
from napari_unet.models.model import Model
from napari_unet.prediction.blocks import Block, BlockGrid
from napari_unet.workflows.fingerprints import maps_fingerprint
from napari_unet.workflows.preparation import Options

MOST_VOXELS = 2**25
"""Maps of more voxels are not kept in memory."""
SHARE = 0.125
"""… nor those that take more than this part of what is free."""


class KnownMaps(Protocol):
    """Where maps may be found, and kept."""

    def has(self, block: Block) -> bool:
        """Whether all that a block looks at is known."""
        ...

    def read(self, block: Block) -> NDArray[np.float32]:
        """Maps K (Z) Y X of all that a block looks at."""
        ...

    def keep(self, block: Block, maps: NDArray[np.float32]) -> None:
        """Remember what the network said about a block."""
        ...


class StoredMaps:
    """Maps that an earlier run has written, all of them."""

    def __init__(self, store: LabelStore, sample_shape: tuple[int, ...]) -> None:
        self._store, self._sample_shape = store, sample_shape

    def has(self, block: Block) -> bool:
        return True

    def read(self, block: Block) -> NDArray[np.float32]:
        index = sample_index(self._sample_shape, block.sample)
        return self._store.read(index, block.outer).astype(np.float32)

    def keep(self, block: Block, maps: NDArray[np.float32]) -> None:
        """Nothing: they are there."""


class MapMemory:
    """Maps of the last image, for as long as nobody asks about another one."""

    def __init__(self) -> None:
        self._key = ""
        self._maps: dict[int, NDArray[np.float32]] = {}

    def about(
        self, model: Model, image: ImageSource, options: Options, grid: BlockGrid
    ) -> MapMemory | None:
        """Forget what is about another image or model, and remember this one.

        None where an image is too large to be kept, or is cut into blocks.
        """
        voxels = image.n_samples * math.prod(image.spatial_shape)
        n_maps = len(model.info.maps) + options.views
        free = SHARE * psutil.virtual_memory().available
        if (
            model.info.task != "objects"
            or grid.per_sample > 1
            or voxels * image.n_channels > MOST_VOXELS
        ):
            return None
        key = _key(model, image, options, grid)
        if key != self._key:
            self._key, self._maps = key, {}
            if 4 * n_maps * voxels > free:
                self._key = ""
                return None
        return self

    def has(self, block: Block) -> bool:
        return block.sample in self._maps

    def read(self, block: Block) -> NDArray[np.float32]:
        return self._maps[block.sample]

    def keep(self, block: Block, maps: NDArray[np.float32]) -> None:
        self._maps[block.sample] = maps


def _key(model: Model, image: ImageSource, options: Options, grid: BlockGrid) -> str:
    """What has to be the same for maps to be used again: here every pixel counts."""
    digest = hashlib.sha256(maps_fingerprint(model, image, options).encode())
    digest.update(repr((options.device, options.precision, grid.box)).encode())
    whole = tuple((0, n) for n in image.spatial_shape)
    for sample in range(image.n_samples):
        digest.update(np.ascontiguousarray(image.read(sample, whole)).data)
    return digest.hexdigest()
