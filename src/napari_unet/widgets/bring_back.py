"""Fills *Train U-Net* in as it was when a project was saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.widgets.annotation_layer import classes_of
from napari_unet.widgets.project_layers import Restored, restore
from napari_unet.widgets.project_view import restore_view
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.training_run import TrainingRequest

if TYPE_CHECKING:
    from napari_unet.widgets.train import TrainWidget


def bring_back(widget: TrainWidget, folder: Path) -> TrainingRequest:
    """Bring layers and settings of a project back, and ask for the same run.

    Raises
    ------
    UserError
        If the project is damaged, or its image is missing or another one.
    """
    found = restore(widget.viewer, folder)
    _choose(widget, found)
    return _same_classes(widget.request(), found)


def _choose(widget: TrainWidget, found: Restored) -> None:
    info = found.info
    widget.live.by_itself.value = False  # the first run must be this one
    widget.learn.value = True
    widget.annotation.task.value = info.task
    widget.image.set_layers(found.images)
    widget.image.read_as(Reading(info.axes, info.ndim))
    widget.annotation.choose(found.annotation)
    widget.annotation.rule.value = "sparse"
    widget.preset.value = info.config.get("preset", widget.preset.value)
    widget.advanced.fill(info.config)
    widget.name.value = info.model_name
    widget.check()  # it is known then what can be limited
    if info.limit is not None:
        widget.annotation.limit.mark(info.limit)
    if info.view is not None:
        restore_view(widget.viewer, info.view)
    widget.viewer.layers.selection.active = found.annotation
    found.annotation.mode = "paint"
    widget.check()


def _same_classes(request: TrainingRequest, found: Restored) -> TrainingRequest:
    """`request` with all classes of the project, whether or not painted by now."""
    if request.classes is None or found.info.classes is None:
        return request
    values = [c.value for c in found.info.classes]
    values += [c.value for c in request.classes if c.value not in values]
    background = next((c.value for c in request.classes if c.background), None)
    classes = classes_of(found.annotation, values, background)
    return replace(request, classes=classes)
