"""What several tasks read from what the viewer sends."""

from __future__ import annotations

from typing import Any

from napari_unet.data.source import Box, ImageSource
from napari_unet.engine.context import TaskContext
from napari_unet.models.model import Model


def context_image(context: TaskContext) -> ImageSource:
    """The image of a task: inputs ``image0``, ``image1``, … are its channels."""
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


def context_mask(context: TaskContext, image: ImageSource) -> ImageSource | None:
    """The input ``mask``, along the axes of the image's labels, if there is one."""
    if "mask" not in context.inputs:
        return None
    return ImageSource(
        (context.inputs["mask"],), image.labels_axes, name="mask", ndim=image.ndim
    )


def context_box(context: TaskContext, name: str = "region") -> Box | None:
    """A box (Z) Y X among the parameters."""
    box = context.params.get(name)
    return tuple((int(a), int(b)) for a, b in box) if box else None


def context_model(context: TaskContext) -> Model:
    """The model of a task: ``model_path``.

    Code that comes with it runs only if the person allowed it: ``allow_code``.
    """
    params = context.params
    return Model.load(params["model_path"], allow_code=params.get("allow_code") is True)


def start_model(params: dict[str, Any]) -> Model | None:
    """The model that learning begins with: ``start`` with the kind ``"model"``."""
    start = params.get("start") or {}
    return Model.load(start["path"]) if start.get("kind") == "model" else None
