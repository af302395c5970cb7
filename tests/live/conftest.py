"""Live runs without a viewer: tiny images, tiny networks, everything in one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.source import ImageSource
from napari_unet.live import classifier, plan, screen, session
from napari_unet.live.messages import Preview, Strokes, View, ViewerMessage
from napari_unet.live.screen import Shared
from napari_unet.live.session import LiveSession
from napari_unet.models.model import Model

E = TypeVar("E")

TINY = {
    "base_channels": 4,
    "levels": 2,
    "batch_size": 2,
    "device": "cpu",
    "precision": "float32",
}


def discs(*shape: int, seed: int = 0, radius: int = 9) -> tuple[Any, Any]:
    """Bright discs (balls) on noise, and which pixel belongs to which."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    grid = np.indices(shape)
    number = 0
    for centre in np.ndindex(*(max(1, n // 32) for n in shape)):
        middle = [
            n / 2 if n < 32 else 16 + 32 * c + rng.integers(-4, 5)
            for n, c in zip(shape, centre, strict=True)
        ]
        number += 1
        square = sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True))
        labels[square <= radius**2] = number
    image = (labels > 0) * 120 + rng.normal(80, 8, shape)
    return image.astype(np.uint8), labels


class Run:
    """A live run and the viewer that a test plays."""

    patience_seconds = 120.0
    """Against hangs only."""

    def __init__(
        self,
        image: NDArray[Any] | tuple[NDArray[Any], ...],
        axes: str = "",
        *,
        ndim: int = 0,
        voxel_size: tuple[float, ...] = (),
        task: Any = "classes",
        values: tuple[int, ...] = (1, 2),
        config: dict[str, Any] | None = None,
        labels: NDArray[Any] | None = None,
        **options: Any,
    ) -> None:
        arrays = image if isinstance(image, tuple) else (image,)
        axes = axes or "TZYX"[4 - arrays[0].ndim :]
        self.source = ImageSource(arrays, axes, voxel_size, ndim=ndim, name="cells")
        patch = (32, 32) if self.source.ndim == 2 else (16, 32, 32)
        wishes = {"task": task, "patch_size": patch, **TINY, **(config or {})}
        self.config = training_config(**wishes)
        self.labels = labels
        if self.labels is None:
            self.labels = np.zeros(self.source.labels_shape, np.uint8)
        size = self.labels.size
        self.shared = Shared(np.zeros(size + 5, np.int32), np.zeros(size + 5, np.uint8))
        self.events: list[Any] = []
        self.serial = 0
        self.model: Model | None = None
        self.ended = False
        self._inbox: list[ViewerMessage] = []
        self._stopping = False
        self._end = 0.0
        self.calls: list[Callable[[], None]] = []
        """Called one by one, each time the run looks for messages."""
        classes = object_classes(1) if task == "objects" else make_classes(values, 1)
        self.session = LiveSession(
            Annotation(self.labels, self.source, "sparse"),
            self.config,
            classes,
            self.shared,
            inbox=self._messages,
            stop=lambda: self._stopping,
            **{"starter": False, **options},
        )
        self._events = self.session.run()

    def _messages(self) -> list[ViewerMessage]:
        if time.monotonic() > self._end:
            raise TimeoutError("what the test waits for did not happen")
        if self.calls:
            self.calls.pop(0)()
        messages, self._inbox = self._inbox, []
        return messages

    # What a viewer does --------------------------------------------------------------

    def send(self, *messages: ViewerMessage) -> None:
        self._inbox += messages

    def paint(self, value: int, *key: Any) -> None:
        """Paint into the whole layer's array and tell the box."""
        assert self.labels is not None
        self.labels[key] = value
        box = []
        for k, n in zip(
            [*key, *[slice(None)] * (self.labels.ndim - len(key))],
            self.labels.shape,
            strict=True,
        ):
            box.append(k.indices(n)[:2] if isinstance(k, slice) else (k, k + 1))
        self.tell(tuple(box))

    def tell(self, box: Any = None) -> None:
        """Say that a box of the annotation changed, by default the whole of it."""
        self.serial += 1
        self.send(Strokes(box or self.whole, self.serial))

    def annotate(
        self, truth: NDArray[Any], *, every: int = 18, box: Any = None
    ) -> None:
        """Dotted rows of both classes in each plane of `truth`, or of a box of it."""
        assert self.labels is not None
        key = tuple(slice(*b) for b in box or self.whole)
        truth, out = truth[key], self.labels[key]
        rows = (..., slice(3, None, every), slice(None, None, 2))
        out[rows] = np.where(truth[rows] > 0, 2, 1)
        self.tell()

    @property
    def whole(self) -> Any:
        return tuple((0, n) for n in self.source.labels_shape)

    def look(self, box: Any = None, show: str = "", channel: int = 0) -> None:
        self.send(View(box or self.whole, show, channel))

    # What comes of it ----------------------------------------------------------------

    def until(
        self,
        kind: type[E],
        fits: Callable[[E], bool] = lambda _: True,
    ) -> E:
        """Let it run until it tells this."""
        self._end = time.monotonic() + self.patience_seconds
        for event in self._events:
            self.events.append(event)
            if isinstance(event, kind) and fits(event):
                return event
        raise AssertionError("the run ended")

    def until_shown(self, box: Any = None, steps: int = 0, **wanted: Any) -> Any:
        """The preview of a box (by default the whole layer), once it is complete."""
        box = box or self.whole
        axes = self.source.labels_axes
        last = box[axes.index("Y")][1] - box[axes.index("Y")][0]
        for _ in range(self._samples_in(box)):
            self.last = self.until(
                Preview,
                lambda p: (
                    p.box == box
                    and p.step >= steps
                    and p.rows[1] == last
                    and all(getattr(p, k) == v for k, v in wanted.items())
                ),
            )
        return self.shown(self.shared.preview, box)

    def _samples_in(self, box: Any) -> int:
        axes, source = self.source.labels_axes, self.source
        spans = [box[axes.index(a)] for a in source.sample_axes]
        return int(np.prod([b - a for a, b in spans], dtype=int))

    def shown(self, flat: NDArray[Any], box: Any = None) -> Any:
        sizes = [b - a for a, b in box or self.whole]
        return flat[: int(np.prod(sizes))].reshape(sizes).copy()

    def told(self, kind: type[E]) -> list[E]:
        return [e for e in self.events if isinstance(e, kind)]

    def stop(self) -> Model | None:
        """Ask it to stop and wait for the model."""
        self._stopping = True
        self._end = time.monotonic() + self.patience_seconds
        while True:
            try:
                self.events.append(next(self._events))
            except StopIteration as end:
                self.ended, self.model = True, end.value
                return self.model


def iou(found: NDArray[Any], truth: NDArray[Any]) -> float:
    a, b = found > 0, truth > 0
    return float((a & b).sum() / (a | b).sum())


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Starts live runs that do not wait for clocks."""
    monkeypatch.setattr(session, "IDLE_SECONDS", 0.001)
    monkeypatch.setattr(screen, "SECONDS_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(screen, "PREVIEW_SHARE", 0.9)
    monkeypatch.setattr(session, "SECONDS_BETWEEN_STEPS_TOLD", 0.0)
    monkeypatch.setattr(plan, "MEMBERS", 2)
    monkeypatch.setattr(plan, "HIDDEN", 8)
    monkeypatch.setattr(classifier, "STEPS", 80)
    return Run


@pytest.fixture
def make_discs() -> Callable[..., tuple[Any, Any]]:
    return discs


@pytest.fixture
def overlap() -> Callable[..., float]:
    """Intersection over union of foreground and foreground."""
    return iou
