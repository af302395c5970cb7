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
    what_matters,
)
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo, object_classes
from napari_unet.data.values import annotation_for
from napari_unet.engine import rehearsal
from napari_unet.engine.compare_task import compare_networks
from napari_unet.engine.context import TaskContext
from napari_unet.engine.doctor_task import examine
from napari_unet.engine.evaluation_task import evaluate
from napari_unet.engine.inputs import (
    context_box,
    context_image,
    context_mask,
    context_model,
    start_model,
)
from napari_unet.engine.object_tasks import boundaries, measure, superpixels
from napari_unet.engine.sensitivity_task import look_at
from napari_unet.engine.set_task import train_set
from napari_unet.engine.tracking_task import track
from napari_unet.engine.tuning_task import keep_settings, tune
from napari_unet.image_io.labels_group import image_group
from napari_unet.live.messages import from_plain
from napari_unet.live.project import Project
from napari_unet.live.screen import Shared
from napari_unet.live.session import LiveSession
from napari_unet.models.model import Model
from napari_unet.segmentation.settings import object_settings
from napari_unet.training.events import as_message
from napari_unet.workflows import exhaust, predict_to_store
from napari_unet.workflows import predict as predict_events
from napari_unet.workflows import train as train_events
from napari_unet.workflows.known_maps import MapMemory
from napari_unet.workflows.store_paths import layout_in_group, maps_path, resumable_path
from napari_unet.workflows.store_plan import Layout, maps_complete

__all__ = [
    "boundaries",
    "compare_networks",
    "evaluate",
    "examine",
    "keep_settings",
    "live",
    "look_at",
    "measure",
    "predict",
    "rehearse",
    "superpixels",
    "track",
    "train",
    "train_set",
    "tune",
]

_maps = MapMemory()
"""Of the last image whose objects were found: other settings need no network."""


def train(context: TaskContext) -> dict[str, Any]:
    """Train on one image and its annotation, and save the model.

    Parameters of the task: ``axes``, ``voxel_size``, ``unit``, ``name``, ``ndim``,
    ``config`` (fields of `TrainingConfig`), ``classes`` (fields of `ClassInfo`, or
    None), ``model_path``, ``start`` as for `live`. Inputs: ``image0``, ``image1``, …
    and ``annotation``.
    """
    params = context.params
    config = training_config(**params["config"])
    source = context_image(context)
    annotation = annotation_for(context.inputs["annotation"], source, config)
    classes = params.get("classes")
    path = Path(params["model_path"])
    events = train_events(
        [annotation],
        config,
        classes=[ClassInfo(**c) for c in classes] if classes else None,
        name=params.get("model_name") or params["name"],
        autosave=path,
        start=start_model(params),
        stop=context.stop_requested,
    )
    model: Model = _forward(events, context)
    model.save(path)
    return {"model_path": str(path)}


def rehearse(context: TaskContext) -> dict[str, Any]:
    """Say what `train` would do; see :mod:`napari_unet.engine.rehearsal`."""
    return rehearsal.rehearse(context, context_image(context))


def live(context: TaskContext) -> dict[str, Any]:
    """Learn from strokes while they are painted, and show what comes of it.

    Parameters of the task: as for `train`, with ``start`` (``{"kind": "auto"}``,
    ``"scratch"``, or ``"model"`` with a ``path``) and ``project`` (a folder, or None).
    Inputs: ``image0``, … Outputs and messages: :mod:`napari_unet.live.messages`.
    """
    params = context.params
    config = training_config(**params["config"])
    annotation = Annotation(
        context.outputs["annotation"],
        context_image(context),
        "sparse",
        config.background,
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
        start=start_model(params),
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
    ``model_path``, ``allow_code`` (whether the model may run code that comes with it),
    ``samples``, ``region``, ``probabilities``, ``views``, ``resample``, ``device``;
    ``objects`` (fields of `ObjectSettings`); for a result too large for memory
    ``store_folder``, ``store_name``, ``store_group`` (folder of an OME-Zarr image whose
    group gets the labels, or none) and ``label_name`` (of the labels in it).
    Inputs: ``image0``, … and, where given, ``mask``. Outputs: ``labels`` and, where
    asked for, ``probabilities``.
    """
    params = context.params
    if params.get("store_folder"):
        return _predict_to_store(context)
    begun = time.monotonic()
    labels, source = context.outputs["labels"], context_image(context)
    events = predict_events(
        context_model(context),
        source,
        samples=params.get("samples"),
        region=context_box(context),
        labels_out=labels,
        probabilities_out=context.outputs.get("probabilities"),
        views=bool(params.get("views")),
        resample=bool(params.get("resample")),
        device=params.get("device") or "auto",
        objects=params.get("objects"),
        mask=context_mask(context, source),
        memory=_maps,
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
    model, source = context_model(context), context_image(context)
    look = {name: bool(params.get(name)) for name in ("views", "resample")}
    same: dict[str, Any] = {
        "objects": params.get("objects"),
        "mask": context_mask(context, source),
        **look,
    }
    folder, name = Path(params["store_folder"]), params["store_name"]
    place = maps_path(folder, f"{name} probabilities", model, source, **look)
    # Those that are there serve to cut objects anew, also where nobody asks for them.
    wanted = params.get("probabilities") or maps_complete(Layout(place, place))
    maps = place if wanted else None
    group = (
        image_group(Path(params["store_group"])) if params.get("store_group") else None
    )
    if group is not None:
        label_name = params["label_name"]
        layout = layout_in_group(group, label_name, model, source, maps=maps, **same)
    else:
        layout = Layout(resumable_path(folder, name, model, source, **same), maps)
    events = predict_to_store(
        model,
        source,
        layout.path,
        maps=layout.maps,
        image=layout.image,
        zarr_format=layout.zarr_format,
        **same,
        device=params.get("device") or "auto",
        stop=context.stop_requested,
    )
    result = _forward(events, context)
    return {
        "complete": result.complete,
        "store": str(result.path),
        "maps": None if result.maps is None else str(result.maps),
        "objects": result.objects,
        "seconds": round(time.monotonic() - begun, 2),
    }


def batch(context: TaskContext) -> dict[str, Any]:
    """Segment the images of a folder or pattern into files.

    Parameters of the task: ``inputs``, ``output``, ``model_path``, ``model_name``,
    ``allow_code``, ``store``, ``separate``, ``probabilities``, ``views``, ``resample``,
    ``objects``, ``masks``, ``overwrite``.
    The result has the lines of the report as ``rows``.
    """
    params = context.params
    output, path = Path(params["output"]), Path(params["model_path"])
    objects = object_settings(params["objects"]) if params.get("objects") else None
    masks = Path(params["masks"]) if params.get("masks") else None
    fingerprint = model_fingerprint(path, *what_matters(objects, masks))
    model = context_model(context)
    store = bool(params.get("store"))
    separate = bool(params.get("separate")) or model.info.task == "regression"
    items = plan_batch(
        find_inputs([params["inputs"]]), output, store=store, separate=separate
    )
    overwrite = bool(params.get("overwrite"))
    done = [] if overwrite else finished(items, output, fingerprint)
    if not overwrite:
        refuse_to_replace(items, done, output)
    options = BatchOptions(
        store=store,
        name=params.get("model_name") or "labels",
        probabilities=bool(params.get("probabilities")),
        how={
            "views": bool(params.get("views")),
            "resample": bool(params.get("resample")),
            "objects": objects,
        },
        masks=masks,
        overwrite=overwrite,
    )
    events = run_batch(
        model,
        fingerprint,
        items,
        output,
        options,
        done=done,
        stop=context.stop_requested,
    )
    rows = _forward(events, context)
    return {"rows": [asdict(row) for row in rows], "total": len(items)}


def _forward(events: Any, context: TaskContext) -> Any:
    """Send every event to the viewer; return what the generator returns."""
    return exhaust(events, lambda event: context.emit(as_message(event)))
