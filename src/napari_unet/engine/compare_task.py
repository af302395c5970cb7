"""Training several networks for the same time, for the *Train U-Net* widget."""

from __future__ import annotations

from typing import Any

from napari_unet.config import training_config
from napari_unet.data.classes import ClassInfo
from napari_unet.data.values import annotation_for
from napari_unet.engine.context import TaskContext
from napari_unet.engine.inputs import context_image
from napari_unet.training.events import as_message
from napari_unet.workflows import exhaust
from napari_unet.workflows.compare import CompareEvent, NetworkDone, compare


def compare_networks(context: TaskContext) -> dict[str, Any]:
    """Train each network in turn, and tell how it does.

    Parameters of the task: as for `train`, but for the model, with ``networks``, a
    list of names. The event ``NetworkDone`` and the result hold the fields of
    `NetworkResult`. Inputs: as for `train`.
    """
    params = context.params
    config = training_config(**params["config"])
    source = context_image(context)
    annotation = annotation_for(context.inputs["annotation"], source, config)
    classes = params.get("classes")

    def tell(event: CompareEvent) -> None:
        if isinstance(event, NetworkDone):
            # The models are not sent: whoever picks a network trains it for longer.
            result = event.result.as_dict()
            context.emit({"event": "NetworkDone", "result": result})
        else:
            context.emit(as_message(event))

    events = compare(
        [annotation],
        config,
        params["networks"],
        classes=[ClassInfo(**c) for c in classes] if classes else None,
        stop=context.stop_requested,
    )
    return {"networks": [r.as_dict() for r in exhaust(events, tell)]}
