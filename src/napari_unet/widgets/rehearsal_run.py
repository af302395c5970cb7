"""Asking the engine what a training run would do. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.runs import EngineRun, copied
from napari_unet.widgets.training_run import TrainingRequest, plain_classes

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

SIDE = 2048
"""Largest edge of the picture of patches, in pixels."""
MAX_CHANNELS = 4


@dataclass(frozen=True)
class PatchPicture:
    """Augmented patches side by side."""

    image: NDArray[np.float32]
    """C Y X, mostly 0 to 1."""
    target: NDArray[np.float32]
    """Y X: position of the class, or value; NaN where not annotated."""
    n_classes: int
    """0 where the target holds values."""
    request: TrainingRequest


class RehearsalRun(EngineRun):
    """Gets the recipe of a run and, where wanted, some augmented patches."""

    task = "rehearse"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.recipe: list[dict[str, str]] = []
        self.picture: PatchPicture | None = None
        self._request: TrainingRequest | None = None
        self._patches = False

    def start(self, request: TrainingRequest, *, patches: bool) -> None:
        """Send a request to the engine; returns at once."""
        self._request, self._patches = request, patches
        self.recipe, self.picture = [], None
        classes = request.classes
        outputs: dict[str, tuple[tuple[int, ...], str]] = {}
        if patches:
            channels = min(request.image.source.n_channels, MAX_CHANNELS)
            outputs = {
                "picture": ((channels, SIDE, SIDE), "float32"),
                "target": ((SIDE, SIDE), "float32"),
            }
        self._submit(
            {
                **request.image.params(),
                "config": request.config.model_dump(mode="json"),
                "classes": None if classes is None else plain_classes(classes),
                "start": request.start,
            },
            {**request.image.inputs(), "annotation": copied(request.annotation)},
            outputs,
        )

    def _on_task_event(self, event: dict[str, Any]) -> None:
        pass  # it is over in a moment and tells nothing meanwhile

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request, job = self._request, self._job
        if stopped or request is None or job is None:
            return "Stopped."
        self.recipe = list(result["recipe"])
        if not self._patches:
            return ""
        box = (slice(result["height"]), slice(result["width"]))
        image = np.array(job.outputs["picture"][(slice(result["channels"]), *box)])
        target = np.array(job.outputs["target"][box])
        self.picture = PatchPicture(image, target, result["n_classes"], request)
        return "These are patches as the network would see them."
