"""Blocks of a prediction, made while the network goes on with the next ones."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.prediction.allocator import empty_apart
from napari_unet.prediction.blocks import Block
from napari_unet.prediction.predictor import MemoryNote, TileMaps, Work
from napari_unet.stopping import ASK_EVERY_S, Stop, Stopped, in_background, never
from napari_unet.training.events import Notice
from napari_unet.workflows.block_job import BlockJob, seams_of


@dataclass(frozen=True, slots=True)
class TileDone:
    """One more tile of a prediction is done."""

    done: int
    total: int


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
    missing = [n for n in candidates if not job.sink.is_done(job.grid[n])]
    known = [n for n in missing if job.known and job.known.has(job.grid[n])]
    todo = sorted(set(missing) - set(known))
    total, done = _count_tiles(job, todo) + len(known), 0
    makers: dict[int, _Maker] = {}
    ending: deque[_Ending] = deque()
    parts = job.predictor.run_all(
        job.source,
        job.intensity,
        _work(job, todo, makers),
        wanted="maps" if job.needs_maps else "classes",
        stop=stop,
    )
    try:
        for number in known:
            ending.append(_end(_Maker(job, job.grid[number], known=True)))
            _take_in_most(ending, stop)
            done += 1
            yield TileDone(done, total)
        for part in parts:
            if isinstance(part, MemoryNote):
                yield Notice(part.text)
                continue
            maker = makers[part.work.block]
            maker.add(part)
            done += 1
            if maker.complete:
                del makers[part.work.block]
                ending.append(_end(maker))
            _take_in_most(ending, stop)
            yield TileDone(min(done, total), total)
        while ending:
            _take_in(ending, stop)
    except Stopped:
        while ending and ending[0].done():
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


_Ending = Future[Callable[[], None]]
"""A block that becomes labels; what it gives puts them into the sink."""


def _end(maker: _Maker) -> _Ending:
    return in_background(maker.finish)


def _take_in_most(ending: deque[_Ending], stop: Stop) -> None:
    """Put blocks into the sink until at most one still becomes labels."""
    while len(ending) > 1 or (ending and ending[0].done()):
        _take_in(ending, stop)


def _take_in(ending: deque[_Ending], stop: Stop) -> None:
    """Wait for the oldest block, and put it into the sink."""
    future = ending[0]
    while not wait([future], timeout=ASK_EVERY_S).done:
        if stop():
            raise Stopped
    ending.popleft()
    future.result()()


class _Maker:
    """Puts the tiles of one block together and makes labels of them.

    With `known`, its maps are at hand.
    """

    def __init__(self, job: BlockJob, block: Block, *, known: bool = False) -> None:
        self._job, self._block, self._known = job, block, known
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
        self._complete_maps()
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
            seams_of(labels, block, job.grid),
        )

    def _complete_maps(self) -> None:
        """Bring maps onto the grid of the result, or fetch those that are known."""
        job, block = self._job, self._block
        if self._known and job.known is not None:
            self._maps = job.known.read(block)
            return
        if job.resampling is not None and self._maps is not None:
            self._maps = job.resampling.back(self._maps, self._seen, block.outer)
        if job.known is not None and self._maps is not None:
            job.known.keep(block, self._maps)

    def _kept_maps(self) -> NDArray[Any] | None:
        if self._maps is None or not self._job.keep_maps:
            return None
        inner = self._maps[(slice(None), *self._block.crop)]
        return inner.astype(self._job.maps_dtype)
