"""The engine's task of telling what a model looked at."""

from __future__ import annotations

from typing import Any

from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.engine.inputs import context_image, context_model
from napari_unet.stopping import Stopped
from napari_unet.workflows.sensitivity import sensitivity


def look_at(context: TaskContext) -> dict[str, Any]:
    """Which pixels the object or the piece of a class under a point hangs on.

    Parameters of the task: ``axes``, ``voxel_size``, ``unit``, ``name``, ``ndim``,
    ``model_path``, ``sample`` and ``point`` ((Z) Y X). Inputs: ``image0``, … The
    result has the ``map``, the ``box`` that it covers, and ``what`` it is about.
    """
    params = context.params
    try:
        found = sensitivity(
            context_model(context),
            context_image(context),
            params["point"],
            sample=params["sample"],
            device=params.get("device") or "auto",
            stop=context.stop_requested,
        )
    except Stopped:
        raise TaskStopped from None
    return {
        "map": found.map,
        "box": [list(bounds) for bounds in found.box],
        "what": found.what,
    }
