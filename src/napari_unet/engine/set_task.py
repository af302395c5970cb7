"""Train on all images of a training set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet.config import training_config
from napari_unet.engine.context import TaskContext
from napari_unet.training.events import as_message
from napari_unet.training_set import TrainingSet
from napari_unet.workflows import exhaust
from napari_unet.workflows import train as train_events


def train_set(context: TaskContext) -> dict[str, Any]:
    """Train on a folder, and save the model.

    Parameters of the task: ``folder``, ``config`` (fields of `TrainingConfig`, but
    what the set knows), ``model_path``, ``model_name``.
    """
    params = context.params
    images = TrainingSet(Path(params["folder"]))
    config = training_config(**images.config(params["config"]))
    pairs, classes = images.pairs(config)
    path = Path(params["model_path"])
    events = train_events(
        pairs,
        config,
        classes=classes,
        name=params["model_name"],
        autosave=path,
        stop=context.stop_requested,
    )
    model = exhaust(events, lambda event: context.emit(as_message(event)))
    model.save(path)
    return {"model_path": str(path)}
