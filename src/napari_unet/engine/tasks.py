"""What the engine process can do: train and predict, told by plain parameters."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo, object_classes
from napari_unet.data.source import ImageSource
from napari_unet.data.values import annotation_for
from napari_unet.engine import rehearsal
from napari_unet.engine.context import TaskContext
from napari_unet.engine.evaluation_task import evaluate
from napari_unet.engine.object_tasks import boundaries, measure, superpixels
from napari_unet.engine.tracking_task import track
from napari_unet.live.messages import from_plain
from napari_unet.live.project import Project
from napari_unet.live.screen import Shared
from napari_unet.live.session import LiveSession
from napari_unet.models.model import Model
from napari_unet.training.events import as_message
from napari_unet.workflows import exhaust
from napari_unet.workflows import predict as predict_events
from napari_unet.workflows import train as train_events

__all__ = [
    "boundaries",
    "evaluate",
    "live",
    "measure",
    "predict",
    "rehearse",
    "superpixels",
    "track",
    "train",
]


def train(context: TaskContext) -> dict[str, Any]:
    """Train on one image and its annotation, and save the model.

    Parameters of the task: ``axes``, ``voxel_size``, ``unit``, ``name``, ``ndim``,
    ``config`` (fields of `TrainingConfig`), ``classes`` (fields of `ClassInfo`, or
    None), ``model_path``. Inputs: ``image0``, ``image1``, … and ``annotation``.
    """
    params = context.params
    config = training_config(**params["config"])
    source = _source(context)
    annotation = annotation_for(context.inputs["annotation"], source, config)
    classes = params.get("classes")
    path = Path(params["model_path"])
    events = train_events(
        [annotation],
        config,
        classes=[ClassInfo(**c) for c in classes] if classes else None,
        name=params.get("model_name") or params["name"],
        autosave=path,
        stop=context.stop_requested,
    )
    model: Model = _forward(events, context)
    model.save(path)
    return {"model_path": str(path)}


def rehearse(context: TaskContext) -> dict[str, Any]:
    """Say what `train` would do; see :mod:`napari_unet.engine.rehearsal`."""
    return rehearsal.rehearse(context, _source(context))


def live(context: TaskContext) -> dict[str, Any]:
    """Learn from strokes while they are painted, and show what comes of it.

    Parameters of the task: as for `train`, with ``start`` (``{"kind": "auto"}``,
    ``"scratch"``, or ``"model"`` with a ``path``) and ``project`` (a folder, or None).
    Inputs: ``image0``, … Outputs and messages: :mod:`napari_unet.live.messages`.
    """
    params = context.params
    config = training_config(**params["config"])
    annotation = Annotation(
        context.outputs["annotation"], _source(context), "sparse", config.background
    )
    given = params.get("classes")
    start = params.get("start") or {}
    project = params.get("project")
    path = Path(params["model_path"])
    session = LiveSession(
        annotation,
        config,
        [ClassInfo(**c) for c in given]
        if given
        else object_classes(annotation.background_value),
        Shared(context.outputs["preview"], context.outputs["map"]),
        name=params.get("model_name") or params["name"],
        inbox=lambda: [from_plain(m) for m in context.messages()],
        stop=context.stop_requested,
        autosave=path,
        project=Project(Path(project)) if project else None,
        start=Model.load(start["path"]) if start.get("kind") == "model" else None,
        starter=start.get("kind", "auto") == "auto",
    )
    context.on_exit = session.keep_annotation
    model: Model | None = _forward(session.run(), context)
    if model is None:
        return {}
    model.save(path)
    return {"model_path": str(path)}


def predict(context: TaskContext) -> dict[str, Any]:
    """Segment one image into the shared output ``labels``.

    Parameters of the task: ``axes``, ``voxel_size``, ``unit``, ``name``, ``ndim``,
    ``model_path``, ``samples``, ``region``, ``probabilities``, ``device``. Inputs:
    ``image0``, … Outputs: ``labels`` and, where asked for, ``probabilities``.
    """
    params = context.params
    begun = time.monotonic()
    region = params.get("region")
    labels = context.outputs["labels"]
    events = predict_events(
        Model.load(params["model_path"]),
        _source(context),
        samples=params.get("samples"),
        region=tuple((int(a), int(b)) for a, b in region) if region else None,
        labels_out=labels,
        probabilities_out=context.outputs.get("probabilities"),
        device=params.get("device") or "auto",
        stop=context.stop_requested,
    )
    result = _forward(events, context)
    return {
        "complete": result.complete,
        "objects": int(labels.max(initial=0)),
        "seconds": round(time.monotonic() - begun, 2),
    }


def _source(context: TaskContext) -> ImageSource:
    params = context.params
    names = sorted(
        (n for n in context.inputs if n.startswith("image")),
        key=lambda n: int(n.removeprefix("image")),
    )
    return ImageSource(
        tuple(context.inputs[n] for n in names),
        params["axes"],
        tuple(params.get("voxel_size") or ()),
        unit=params.get("unit") or "pixel",
        name=params["name"],
        ndim=params.get("ndim") or 0,
    )


def _forward(events: Any, context: TaskContext) -> Any:
    """Send every event to the viewer; return what the generator returns."""
    return exhaust(events, lambda event: context.emit(as_message(event)))
