"""The engine's task of following objects over time."""

from __future__ import annotations

from typing import Any

from napari_unet.config import TrackingConfig, checked
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.generators import exhaust
from napari_unet.stopping import Stopped
from napari_unet.tracking import Film, FrameDone, follow, relabel

ROWS_AT_ONCE = 20_000
"""Rows of tracks in one message."""


def track(context: TaskContext) -> dict[str, Any]:
    """Give the objects in ``labels`` ids that last, in the output ``labels``.

    Parameters of the task: ``axes``, ``voxel_size`` and ``config`` (fields of
    `TrackingConfig`). The tracks are sent in ``TrackRows`` events.
    """
    params = context.params
    film = Film(context.inputs["labels"], params["axes"], params["voxel_size"])
    stop = context.stop_requested

    def tell(event: FrameDone) -> None:
        context.emit(
            {
                "event": "FrameDone",
                "done": event.done,
                "total": event.total,
                "doing": event.doing,
            }
        )

    try:
        config = checked(TrackingConfig, params["config"])
        tracks = exhaust(follow(film, config, stop=stop), tell)
        exhaust(relabel(film, tracks, context.outputs["labels"], stop=stop), tell)
    except Stopped:
        raise TaskStopped from None
    for first in range(0, len(tracks.data), ROWS_AT_ONCE):
        rows = tracks.data[first : first + ROWS_AT_ONCE]
        context.emit({"event": "TrackRows", "rows": rows.tolist()})
    return {
        "tracks": tracks.count,
        "divisions": tracks.divisions,
        "max_distance": tracks.max_distance,
        # Keys of JSON are text: pairs stay numbers.
        "graph": [[daughter, *mothers] for daughter, mothers in tracks.graph.items()],
    }
