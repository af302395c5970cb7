"""What a training run would do: its recipe, and some augmented patches to look at."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.config import training_config
from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import ImageSource
from napari_unet.data.values import annotation_for
from napari_unet.engine.context import TaskContext
from napari_unet.engine.inputs import start_model
from napari_unet.workflows.augmentation import patch_grids, preview_patches
from napari_unet.workflows.training import TrainingSetup


def rehearse(context: TaskContext, source: ImageSource) -> dict[str, Any]:
    """Choose everything as `train` would, and draw patches; train nothing.

    Parameters of the task: ``config`` and ``classes`` as for `train`. Inputs: as for
    `train`. Outputs, where patches are wanted: ``picture``, C Y X, and ``target``, Y X,
    both float32, larger than needed; the result tells ``height``, ``width`` and
    ``channels`` of what is used. The target is NaN where nothing is annotated.
    """
    params = context.params
    config = training_config(**params["config"])
    annotation = annotation_for(context.inputs["annotation"], source, config)
    classes = params.get("classes")
    setup = TrainingSetup.prepare(
        [annotation],
        config,
        (),
        [ClassInfo(**c) for c in classes] if classes else None,
        params["name"],
        start_model(params),
    )
    result: dict[str, Any] = {"recipe": [asdict(c) for c in setup.recipe()]}
    picture = context.outputs.get("picture")
    if picture is not None:
        found = patch_grids(preview_patches(setup))
        image = found.image[: len(picture)]
        result |= {
            "height": _write(picture[: len(image)], image)[0],
            "width": _write(context.outputs["target"], found.target)[1],
            "channels": len(image),
            "n_classes": found.n_classes,
        }
    return result


def _write(out: NDArray[Any], made: NDArray[np.float32]) -> tuple[int, int]:
    """Write as much as fits; tell how much, Y X."""
    height, width = (
        min(a, b) for a, b in zip(out.shape[-2:], made.shape[-2:], strict=True)
    )
    out[..., :height, :width] = made[..., :height, :width]
    return height, width
