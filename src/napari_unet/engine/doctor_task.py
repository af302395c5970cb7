"""The engine's task of looking at this computer."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from napari_unet.doctor import report
from napari_unet.engine.context import TaskContext, TaskStopped
from napari_unet.stopping import Stopped


def examine(context: TaskContext) -> dict[str, Any]:
    """What `napari-unet doctor` finds.

    Parameter of the task: ``seconds`` for measuring the speed, 0 to leave it out. The
    result has the fields of each `Finding` as ``findings``.
    """
    seconds = float(context.params.get("seconds") or 0)
    try:
        found = report(seconds, stop=context.stop_requested)
    except Stopped:
        raise TaskStopped from None
    return {"findings": [asdict(finding) for finding in found]}
