"""What a live run shows of the part that is looked at, strip by strip."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.data.source import Box
from napari_unet.device import is_out_of_memory, release_memory
from napari_unet.live.clock import Clock
from napari_unet.live.learner import LiveLearner
from napari_unet.live.messages import LabelsBox, LiveEvent, Preview, View
from napari_unet.live.preview import uncertainty
from napari_unet.live.result import smallest_object
from napari_unet.live.strokes import StrokeBook
from napari_unet.live.window import Window
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.training.events import Notice, TrainingEvent

SECONDS_BETWEEN_PREVIEWS = 1.0
PREVIEW_SHARE = 0.25
"""Share of the time that previews may take while nothing on screen changes."""
STRIP_VOXELS = {"cpu": 2**18, "gpu": 2**22}
"""Voxels of a preview that are computed at a time: the newest stroke wants to be seen,
and the person may look elsewhere."""
MIN_STRIP_SHARE = 2**-6
"""Of that, as little is tried where memory runs out."""

Event = LiveEvent | TrainingEvent
Meanwhile = Callable[[], Generator[Event, None, bool]]
"""Does what else waits between two strips; whether the rest is still wanted."""


@dataclass
class Shared:
    """Arrays that the viewer sees, too: see :mod:`napari_unet.live.messages`."""

    preview: NDArray[np.int32]
    map: NDArray[np.uint8]


class Screen:
    """Draws previews into shared memory.

    Parameters
    ----------
    book : StrokeBook
    shared : Shared
    device : torch.device
        Where previews are computed: how much at a time depends on it.
    """

    def __init__(self, book: StrokeBook, shared: Shared, device: torch.device) -> None:
        self.shared = shared
        self.view: View | None = None
        self.stale = True
        """Whether what is shown is no longer so."""
        self.stroke_row = 0
        """Along Y of the image: where the newest stroke is."""
        self._book, self._source, self._device = book, book.annotation.source, device
        self._shown: LabelsBox | None = None
        self._strip_share = 1.0
        self._preview_seconds = 0.0
        self._clock = Clock()

    @property
    def window(self) -> Window | None:
        """What the person looks at."""
        return None if self.view is None else Window(self._source, self.view.box)

    def look(self, view: View) -> None:
        """The person looks there from now on."""
        self.stale |= view != self.view
        self.view = view

    def due(self, *, learning: bool) -> bool:
        """Whether a new preview is wanted: now and then while it learns."""
        if self.view is None:
            return False
        rest = self._preview_seconds * (1 / PREVIEW_SHARE - 1)
        pause = max(SECONDS_BETWEEN_PREVIEWS, rest)
        return self.stale or (learning and self._clock.since("preview") >= pause)

    def draw(
        self, learner: LiveLearner, serial: int, meanwhile: Meanwhile
    ) -> Iterator[Event]:
        """Draw what is looked at; `serial` is of the last strokes that were learnt."""
        view = self.view
        if view is None:
            return
        begun = time.monotonic()
        self.stale = False
        try:
            yield from self._draw(learner, view, serial, meanwhile)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or self._strip_share <= MIN_STRIP_SHARE:
                raise
            release_memory(self._device)
            self._strip_share /= 2
            self.stale = True
            yield Notice("Memory ran out: previews come in smaller pieces.")
        self._clock.mark("preview")
        self._preview_seconds = time.monotonic() - begun

    def _draw(
        self, learner: LiveLearner, view: View, serial: int, meanwhile: Meanwhile
    ) -> Iterator[Event]:
        window = Window(self._source, view.box)
        previewer = learner.previewer()
        labels = window.arranged(self.shared.preview)
        shown = window.arranged(self.shared.map)
        if view.box != self._shown:
            # The viewer copies all of a new box, of which only a strip is there yet.
            labels[...], shown[...] = 0, 0
            self._shown = view.box
        tell = partial(
            Preview,
            box=view.box,
            serial=serial,
            step=learner.step_count,
            source="network" if learner.step_count else "first answer",
            show=view.show,
        )
        # Objects are told apart in the whole box, never in a strip of it.
        whole = self._book.task == "objects"
        for sample, position in window.samples():
            for rows in self._strips(window.spatial, whole=whole):
                first = window.spatial[-2][0]
                box = (
                    *window.spatial[:-2],
                    (first + rows[0], first + rows[1]),
                    window.spatial[-1],
                )
                maps = previewer.maps(learner.patches, sample, box)
                key: Any = (*position, ..., slice(*rows), slice(None))
                labels[key] = self._labels(maps, sample, box)
                if view.show:
                    shown[key] = self._map(maps, view)
                yield tell(rows=rows)
                # Whoever looks elsewhere by now need not see the rest.
                wanted = yield from meanwhile()
                if not wanted:
                    return

    def _strips(self, box: Box, *, whole: bool) -> Iterator[tuple[int, int]]:
        """Rows along Y, counted from the box, that are computed together.

        Those around the newest stroke come first: the person waits for them.
        """
        sizes = [b - a for a, b in box]
        kind = "cpu" if self._device.type == "cpu" else "gpu"
        row = math.prod(sizes) // sizes[-2]
        voxels = int(STRIP_VOXELS[kind] * self._strip_share)
        step = sizes[-2] if whole else max(64, voxels // max(1, row))
        middle = self.stroke_row - box[-2][0]
        starts = range(0, sizes[-2], step)
        for start in sorted(starts, key=lambda s: abs(s + step // 2 - middle)):
            yield start, min(sizes[-2], start + step)

    def _labels(
        self, maps: NDArray[np.float32], sample: int, box: Box
    ) -> NDArray[np.int32]:
        if self._book.task == "objects":
            decoder = DecoderInfo(min_size=smallest_object(self._book))
            return decode_objects(maps[0], maps[1], decoder)
        results = np.array([c.result_value for c in self._book.classes], np.int32)
        labels: NDArray[np.int32] = results[maps.argmax(axis=0)]
        known = self._book.samples.get(sample)
        if known is not None:
            # What a person painted is so, whatever the network says.
            painted = known.index[tuple(slice(*b) for b in box)]
            labels = np.where(painted >= 0, results[painted], labels)
        return labels

    def _map(self, maps: NDArray[np.float32], view: View) -> NDArray[np.uint8]:
        if view.show == "uncertainty":
            values = uncertainty(maps, self._book.task)
        else:
            values = maps[min(view.channel, len(maps) - 1)]
        found: NDArray[np.uint8] = np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)
        return found
