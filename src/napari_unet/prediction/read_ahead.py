"""Reading the next tiles while the device computes."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace

from torch import Tensor

from napari_unet.prediction.batches import Work
from napari_unet.stopping import ASK_EVERY_S, Stop, Stopped

AHEAD = 2
"""Batches that are read before they are needed."""


class ReadAhead:
    """Work that is left, in order, and a thread that reads the next pixels.

    Tiles are halved until they are small enough, and equal ones put together.
    """

    def __init__(
        self,
        work: Iterable[Work],
        read: Callable[[list[Work]], tuple[Tensor, bool]],
    ) -> None:
        self._rest = iter(work)
        self._read = read
        self._next: deque[Work] = deque()
        self._reading: deque[tuple[list[Work], Future[tuple[Tensor, bool]]]] = deque()
        self._thread = ThreadPoolExecutor(1, "unet-read")
        self.largest = math.inf
        """Voxels in the core of the largest tile that may be computed."""

    def front(
        self, max_voxels: int, stop: Stop
    ) -> tuple[list[Work], tuple[Tensor, bool]] | None:
        """The next tiles and their pixels; None when all is done.

        Raises
        ------
        Stopped
            If `stop` said so: a network drive may be slow.
        """
        while len(self._reading) < AHEAD and (batch := self._batch(max_voxels)):
            self._reading.append((batch, self._thread.submit(self._read, batch)))
        if not self._reading:
            return None
        batch, pixels = self._reading[0]
        while True:
            if stop():
                raise Stopped
            if wait([pixels], timeout=ASK_EVERY_S).done:
                return batch, pixels.result()

    def advance(self) -> None:
        """What was in front is done."""
        self._reading.popleft()

    def begin_again(self) -> None:
        """Forget what was read: it is needed in other pieces."""
        self._next.extendleft(
            reversed([w for works, _ in self._reading for w in works])
        )
        self._reading.clear()

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _batch(self, max_voxels: int) -> list[Work]:
        """The longest run of equal tiles that may be computed together."""
        batch: list[Work] = []
        while (work := self._peek()) is not None:
            size = work.tile.outer_size
            if batch and (
                size != batch[0].tile.outer_size
                or (len(batch) + 1) * math.prod(size) > max_voxels
            ):
                break
            batch.append(self._next.popleft())
        return batch

    def _peek(self) -> Work | None:
        if not self._next:
            self._next.extend(itertools.islice(self._rest, 1))
        while self._next and math.prod(self._next[0].tile.size) > self.largest:
            work = self._next.popleft()
            halves = work.tile.halves()
            self._next.extendleft(replace(work, tile=h) for h in reversed(halves))
            if halves == [work.tile]:
                break
        return self._next[0] if self._next else None
