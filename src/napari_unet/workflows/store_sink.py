"""Where the blocks of a prediction go: a store on disk, from which it can go on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import sample_index
from napari_unet.errors import DataError
from napari_unet.files import atomic_file
from napari_unet.image_io.label_store import LabelStore
from napari_unet.prediction.blocks import Block
from napari_unet.segmentation.stitching import FinalLabels, Found
from napari_unet.workflows.outputs import Views


def parts_folder(path: Path) -> Path:
    """Where objects of single blocks are kept until they are stitched."""
    return path.with_name(f".{path.name}.parts")


class StoreSink:
    """Blocks in a `LabelStore`; several processes may put different blocks.

    Objects first go, block by block, into a store of their own beside the result, each
    with a file that says what stitching needs; that file is written last, so that a
    block which has one is done.

    Parameters
    ----------
    store : LabelStore
        The result.
    sample_shape : tuple of int
        Lengths of its axes that are not spatial.
    parts : LabelStore, optional
        Labels of single blocks, where objects are to be stitched.
    maps : LabelStore, optional
        The network's maps. They are written before labels, so that a block which has
        labels has them.
    """

    def __init__(
        self,
        store: LabelStore,
        sample_shape: tuple[int, ...],
        parts: LabelStore | None = None,
        maps: LabelStore | None = None,
    ) -> None:
        self.store, self.parts, self.maps = store, parts, maps
        self._sample_shape = sample_shape

    def _index(self, block: Block) -> tuple[int, ...]:
        return sample_index(self._sample_shape, block.sample)

    def _seams(self, block: Block) -> Path:
        return parts_folder(self.store.path) / "seams" / f"{block.number}.npz"

    def is_done(self, block: Block) -> bool:
        # Maps may be wanted that were not when the labels were made.
        if self.maps and not self.maps.has(self._index(block), block.inner):
            return False
        if self.parts is not None and self._seams(block).is_file():
            return True
        return self.is_final(block)

    def is_final(self, block: Block) -> bool:
        """Whether the result holds all of a block."""
        return self.store.has(self._index(block), block.inner)

    def put(
        self, block: Block, labels: NDArray[Any], maps: NDArray[np.float16] | None
    ) -> None:
        self._put_maps(block, maps)
        self.store.write(self._index(block), block.inner, labels)

    def _put_maps(self, block: Block, maps: NDArray[np.float16] | None) -> None:
        if self.maps is not None and maps is not None:
            self.maps.write(self._index(block), block.inner, maps)

    def put_partial(self, block: Block, labels: NDArray[Any]) -> None:
        """Nothing: a block is there as a whole or not at all."""

    def put_objects(
        self,
        block: Block,
        labels: NDArray[np.int32],
        maps: NDArray[np.float16] | None,
        found: Found,
        views: Views,
    ) -> None:
        if self.parts is None:
            raise ValueError("a sink for classes got objects")
        self._put_maps(block, maps)
        self.parts.write(self._index(block), block.inner, labels)
        seen = {f"{axis}_{side}": view for (axis, side), view in views.items()}
        path = self._seams(block)
        try:
            with atomic_file(path) as file:
                np.savez_compressed(
                    file,
                    allow_pickle=False,
                    **found.arrays(),
                    **seen,
                )
        except OSError as error:
            raise DataError(
                f"{path} could not be written: {error.strerror or error}. "
                "Free some disk space; what is there is kept."
            ) from error

    def found(self, block: Block) -> Found:
        with np.load(self._seams(block), allow_pickle=False) as kept:
            return Found.from_arrays(kept)

    def view(self, block: Block, axis: int, side: int) -> NDArray[np.int32]:
        with np.load(self._seams(block), allow_pickle=False) as kept:
            view: NDArray[np.int32] = kept[f"{axis}_{side}"]
            return view

    def relabel(self, block: Block, table: FinalLabels) -> None:
        if self.parts is None:
            raise ValueError("classes have no labels of their own in each block")
        if self.is_final(block):
            return
        index = self._index(block)
        labels = self.parts.read(index, block.inner)
        self.store.write(index, block.inner, table(labels))

    def finish(self, **note: Any) -> None:
        """Say that the result is complete, and remove what only served to make it."""
        if self.maps is not None:
            self.maps.update_note(complete=True)
        self.store.update_note(complete=True, **note)
        shutil.rmtree(parts_folder(self.store.path), ignore_errors=True)
