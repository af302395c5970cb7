"""Following objects as *Track over time* shows it. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.runs import EngineRun

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

STEPS = {
    "looking": ("Looking at frame", 0.0, 0.15),
    "linking": ("Linking frame", 0.15, 0.9),
    "writing": ("Numbering frame", 0.9, 1.0),
}
"""What is said of each step, and the part of the bar that it takes."""


@dataclass(frozen=True)
class TrackRequest:
    """A layer of labels, and how its objects are followed."""

    layer: ImageSnapshot
    config: Mapping[str, Any]
    """Fields of `TrackingConfig`."""
    with_tracks: bool


@dataclass(frozen=True)
class TrackedLabels:
    """Labels with ids that last, and the ways of the objects."""

    labels: NDArray[np.int32]
    tracks: NDArray[np.float64]
    """Rows of track, frame, (z), y, x in voxels."""
    graph: dict[int, list[int]]
    name: str
    placement: Mapping[str, Any]
    with_tracks: bool


class TrackRun(EngineRun):
    """Follows the objects of one layer in the engine."""

    task = "track"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.result: TrackedLabels | None = None
        self._request: TrackRequest | None = None
        self._rows: list[list[float]] = []

    def start(self, request: TrackRequest) -> None:
        """Send a request to the engine; returns at once."""
        self.result = None
        self._request = request
        self._rows = []
        self._submit(
            {**request.layer.params(), "config": dict(request.config)},
            {"labels": request.layer.arrays[0]},
            {"labels": (request.layer.source.labels_shape, "int32")},
        )

    def _on_task_event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "TrackRows":
            self._rows += event["rows"]
        elif kind == "FrameDone":
            done, total = int(event["done"]), max(int(event["total"]), 1)
            words, begin, end = STEPS[event["doing"]]
            self.progress = begin + (end - begin) * done / total
            if self.state == "running":
                joining = event["doing"] == "linking" and done == total
                self.message = (
                    "Looking for divisions…"
                    if joining
                    else f"{words} {done:,} of {total:,}"
                )

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, job = self._request, self._job
        if request is None or job is None or stopped:
            return "Stopped: no layer was made."
        columns = 1 + len(request.layer.source.labels_axes)
        self.result = TrackedLabels(
            labels=np.array(job.outputs["labels"]),
            tracks=np.array(self._rows, np.float64).reshape(-1, columns),
            graph={d: list(mothers) for d, *mothers in result["graph"]},
            name=request.layer.name,
            placement=request.layer.placement,
            with_tracks=request.with_tracks,
        )
        unit = request.layer.unit
        word = "" if unit == "pixel" else f" {unit}"
        return (
            f"{_count(result['tracks'], 'track')} and "
            f"{_count(result['divisions'], 'division')}, up to "
            f"{result['max_distance']:.3g}{word or ' pixels'} from frame to frame."
        )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
