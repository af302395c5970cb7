"""Blocks of a prediction: made while the network goes on, and stitched at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import Box, ImageSource
from napari_unet.models.info import ModelInfo
from napari_unet.prediction.allocator import empty_apart
from napari_unet.prediction.blocks import Block, BlockGrid, inside
from napari_unet.prediction.predictor import MemoryNote, Predictor, TileMaps, Work
from napari_unet.prediction.resampling import Resampling
from napari_unet.prediction.tiling import TileGrid
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.pieces import Sides, find_pieces, number_pieces
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.segmentation.stitching import (
    FinalLabels,
    Found,
    Matches,
    look,
    match,
    stitch,
)
from napari_unet.stopping import ASK_EVERY_S, Stop, Stopped, in_background, never
from napari_unet.training.events import Notice
from napari_unet.workflows.outputs import Outputs, Sink, Views


@dataclass(frozen=True, slots=True)
class TileDone:
    """One more tile of a prediction is done."""

    done: int
    total: int


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
            border=_ends(block.outer, self._image),
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
        found = look(labels, block.crop, _open_sides(block, self.grid))
        if not self.settings.needs_pieces:
            return found
        inner = labels[block.crop]
        pieces = find_pieces(
            inner,
            number_pieces(inner),
            ends=_ends(block.inner, self.grid.box),
            border=_ends(block.inner, self._image),
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


def make_blocks(
    job: BlockJob, numbers: Iterable[int] | None = None, stop: Stop = never
) -> Generator[TileDone | Notice, None, None]:
    """Make the blocks that are missing, and put them into the sink.

    Objects of a block are found in a thread while the network looks at the next one.

    Parameters
    ----------
    job : BlockJob
    numbers : iterable of int
        Only these blocks; all by default.

    Raises
    ------
    Stopped
        If `stop` said so; blocks in the sink are good.
    """
    candidates = range(len(job.grid)) if numbers is None else numbers
    todo = [n for n in candidates if not job.sink.is_done(job.grid[n])]
    total, done = _count_tiles(job, todo), 0
    makers: dict[int, _Maker] = {}
    ending: deque[tuple[_Maker, Future[Callable[[], None]]]] = deque()
    parts = job.predictor.run_all(
        job.source,
        job.intensity,
        _work(job, todo, makers),
        wanted="maps" if job.needs_maps else "classes",
        stop=stop,
    )
    try:
        for part in parts:
            if isinstance(part, MemoryNote):
                yield Notice(part.text)
                continue
            maker = makers[part.work.block]
            maker.add(part)
            done += 1
            if maker.complete:
                del makers[part.work.block]
                ending.append((maker, in_background(maker.finish)))
            while len(ending) > 1 or (ending and ending[0][1].done()):
                _take_in(ending, stop)
            yield TileDone(min(done, total), total)
        while ending:
            _take_in(ending, stop)
    except Stopped:
        while ending and ending[0][1].done():
            _take_in(ending, never)
        for maker in makers.values():
            maker.keep_what_is_there()
        raise


def _work(
    job: BlockJob, numbers: Sequence[int], makers: dict[int, _Maker]
) -> Iterator[Work]:
    for number in numbers:
        block = job.grid[number]
        tiles = job.tiles(block)
        makers[number] = _Maker(job, block)
        for tile in tiles:
            yield Work(tile, block.sample, number)


def _count_tiles(job: BlockJob, numbers: Sequence[int]) -> int:
    """Tiles of some blocks; most blocks are alike."""
    known: dict[tuple[tuple[int, int], ...], int] = {}
    total = 0
    for number in numbers:
        box = job.seen(job.grid[number])
        key = tuple(
            (a % d, b - a) for (a, b), d in zip(box, job.predictor.divisor, strict=True)
        )
        if key not in known:
            known[key] = len(job.tiles(job.grid[number]))
        total += known[key]
    return total


def _take_in(
    ending: deque[tuple[_Maker, Future[Callable[[], None]]]], stop: Stop
) -> None:
    """Wait for the oldest block, and put it into the sink."""
    future = ending[0][1]
    while not wait([future], timeout=ASK_EVERY_S).done:
        if stop():
            raise Stopped
    ending.popleft()
    future.result()()


class _Maker:
    """Puts the tiles of one block together and makes labels of them."""

    def __init__(self, job: BlockJob, block: Block) -> None:
        self._job, self._block = job, block
        self._seen = job.seen(block)
        self._shape = tuple(b - a for a, b in self._seen)
        self._missing = int(np.prod(self._shape))
        self._maps: NDArray[np.float32] | None = None
        self._labels: NDArray[Any] | None = None
        values = [c.result_value for c in job.info.classes]
        lowest, highest = min(values, default=0), max(values, default=0)
        small = lowest >= 0 and highest <= np.iinfo(np.uint8).max
        self._values = np.array(values, np.uint8 if small else np.int32)

    @property
    def complete(self) -> bool:
        return self._missing == 0

    def add(self, part: TileMaps) -> None:
        """Take one tile."""
        target = part.tile.target
        if part.classes is not None:
            if self._labels is None:
                self._labels = empty_apart(self._shape, self._values.dtype)
                self._labels.fill(0)
            self._labels[target] = self._values[part.classes]
        else:
            if self._maps is None:
                shape = (len(part.maps), *self._shape)
                self._maps = empty_apart(shape, np.float32)  # tiles cover all of it
            self._maps[(slice(None), *target)] = part.maps
        self._missing -= int(np.prod([s.stop - s.start for s in target]))

    def keep_what_is_there(self) -> None:
        """Of a block that will not be finished."""
        if self._labels is not None:
            self._job.sink.put_partial(self._block, self._labels)

    def finish(self) -> Callable[[], None]:
        """Make labels; what is returned puts them into the sink."""
        job, block = self._job, self._block
        if job.resampling is not None and self._maps is not None:
            self._maps = job.resampling.back(self._maps, self._seen, block.outer)
        maps = self._kept_maps()
        inside = job.inside(block.sample, block.outer)
        if not job.objects:
            labels = self._labels
            if labels is None and self._maps is not None and len(self._values):
                n_classes = len(self._values)
                labels = self._values[self._maps[:n_classes].argmax(axis=0)]
            if self._job.values and self._maps is not None:
                labels = self._maps[0]  # values take the place of labels
            if labels is None:
                raise ValueError("a block without tiles cannot be finished")
            if inside is not None:
                labels[~inside] = np.nan if job.values else 0
            return partial(job.sink.put, block, labels, maps)
        if self._maps is None:
            raise ValueError("a block without tiles cannot be finished")
        labels = job.decode(self._maps, block, inside)
        if not job.stitches:
            return partial(job.sink.put, block, labels, maps)
        found = job.look(labels, block, inside)
        return partial(
            job.sink.put_objects,
            block,
            labels[block.crop],
            maps,
            found,
            _views(labels, block, job.grid),
        )

    def _kept_maps(self) -> NDArray[Any] | None:
        if self._maps is None or not self._job.keep_maps:
            return None
        inner = self._maps[(slice(None), *self._block.crop)]
        return inner.astype(self._job.maps_dtype)


def _ends(box: Box, whole: Box) -> Sides:
    """Where a box ends together with a larger one."""
    return tuple(
        (a == low, b == high) for (a, b), (low, high) in zip(box, whole, strict=True)
    )


def _open_sides(block: Block, grid: BlockGrid) -> tuple[tuple[bool, bool], ...]:
    return tuple(
        (a > low, b < high)
        for (a, b), (low, high) in zip(block.outer, grid.box, strict=True)
    )


def _views(labels: NDArray[np.int32], block: Block, grid: BlockGrid) -> Views:
    views: Views = {}
    for axis, side, other in grid.around(block.number):
        both = grid.seen_by_both(block.number, other)
        views[axis, side] = labels[inside(both, block.outer)]
    return views


def match_blocks(job: BlockJob, axis: int, first: int, second: int) -> Matches:
    """Compare two neighbours."""
    one, other = job.grid[first], job.grid[second]
    found = match(job.sink.view(one, axis, 1), job.sink.view(other, axis, 0))
    return found.linked(job.sink.found(one), job.sink.found(other), axis)


def stitch_blocks(job: BlockJob, stop: Stop = never) -> int:
    """Put the objects of all blocks together, sample by sample.

    Returns
    -------
    int
        The largest number of objects in a sample.

    Raises
    ------
    Stopped
        If `stop` said so; going on later does the rest.
    """
    most = 0
    for position in range(len(job.grid.samples)):
        numbers = range(
            position * job.grid.per_sample, (position + 1) * job.grid.per_sample
        )
        matches = {}
        for axis, a, b in job.grid.pairs(numbers):
            if stop():
                raise Stopped
            # After a stop, blocks in memory may be missing.
            if job.sink.is_done(job.grid[a]) and job.sink.is_done(job.grid[b]):
                found = match_blocks(job, axis, a, b)
                matches[a - numbers.start, b - numbers.start] = found
        tables, count = final_tables(job, numbers, matches)
        most = max(most, count)
        for number, table in zip(numbers, tables, strict=True):
            if stop():
                raise Stopped
            job.sink.relabel(job.grid[number], table)
    return most


def final_tables(
    job: BlockJob, numbers: Sequence[int], matches: dict[tuple[int, int], Matches]
) -> tuple[list[FinalLabels], int]:
    """Final labels of the blocks of one sample, and how many objects it has."""
    blocks: list[Found] = [job.sink.found(job.grid[n]) for n in numbers]
    stitched = stitch(blocks, matches, job.settings)
    return stitched.tables, stitched.count
