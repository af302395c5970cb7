"""What the engine process can do: train and predict, told by plain parameters."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_unet.batch import (
    BatchOptions,
    find_inputs,
    finished,
    model_fingerprint,
    plan_batch,
    refuse_to_replace,
    run_batch,
)
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
from napari_unet.workflows import exhaust, predict_to_store
from napari_unet.workflows import predict as predict_events
from napari_unet.workflows import train as train_events
from napari_unet.workflows.stored import resumable_path

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
    """Segment one image into the shared output ``labels``, or into a store.

    Parameters of the task: ``axes``, ``voxel_size``, ``unit``, ``name``, ``ndim``,
    ``model_path``, ``samples``, ``region``, ``probabilities``, ``views``, ``device``;
    ``store_folder`` and ``store_name`` for a result too large for memory. Inputs:
    ``image0``, … Outputs: ``labels`` and, where asked for, ``probabilities``.
    """
    params = context.params
    if params.get("store_folder"):
        return _predict_to_store(context)
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
        views=bool(params.get("views")),
        device=params.get("device") or "auto",
        stop=context.stop_requested,
    )
    result = _forward(events, context)
    whole_numbers = labels.dtype.kind != "f"
    return {
        "complete": result.complete,
        "objects": int(labels.max(initial=0)) if whole_numbers else None,
        "seconds": round(time.monotonic() - begun, 2),
    }


def _predict_to_store(context: TaskContext) -> dict[str, Any]:
    params = context.params
    begun = time.monotonic()
    model, source = Model.load(params["model_path"]), _source(context)
    views = bool(params.get("views"))
    folder = Path(params["store_folder"])
    events = predict_to_store(
        model,
        source,
        resumable_path(folder, params["store_name"], model, source, views=views),
        views=views,
        device=params.get("device") or "auto",
        stop=context.stop_requested,
    )
    result = _forward(events, context)
    return {
        "complete": result.complete,
        "store": str(result.path),
        "objects": result.objects,
        "seconds": round(time.monotonic() - begun, 2),
    }


def batch(context: TaskContext) -> dict[str, Any]:
    """Segment the images of a folder or pattern into files.

    Parameters of the task: ``inputs``, ``output``, ``model_path``, ``store``,
    ``views``, ``overwrite``. The result has the lines of the report as ``rows``.
    """
    params = context.params
    output, path = Path(params["output"]), Path(params["model_path"])
    fingerprint = model_fingerprint(path)
    items = plan_batch(
        find_inputs([params["inputs"]]), output, store=bool(params.get("store"))
    )
    overwrite = bool(params.get("overwrite"))
    done = [] if overwrite else finished(items, output, fingerprint)
    if not overwrite:
        refuse_to_replace(items, done, output)
    options = BatchOptions(
        store=bool(params.get("store")),
        how={"views": bool(params.get("views"))},
        overwrite=overwrite,
    )
    events = run_batch(
        Model.load(path),
        fingerprint,
        items,
        output,
        options,
        done=done,
        stop=context.stop_requested,
    )
    rows = _forward(events, context)
    return {"rows": [asdict(row) for row in rows], "total": len(items)}


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
