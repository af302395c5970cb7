"""What a model looked at, as the *Predict U-Net* widget asks for it. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.widgets.placement import shifted
from napari_unet.widgets.prediction_run import PredictionRequest
from napari_unet.widgets.runs import EngineRun

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


@dataclass(frozen=True)
class SensitivityMap:
    """A map, where it lies, and what it is about."""

    map: NDArray[np.float32]
    """Along the labels axes of the image."""
    placement: Mapping[str, Any]
    name: str


class SensitivityRun(EngineRun):
    """Asks the engine what a model looked at."""

    task = "look_at"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.result: SensitivityMap | None = None
        self._request: PredictionRequest | None = None
        self._point: tuple[int, ...] = ()

    def start(self, request: PredictionRequest, point: Sequence[int]) -> None:
        """Send a question about a voxel, along the labels axes of the image."""
        source = request.image.source
        self.result = None
        self._request, self._point = request, tuple(int(p) for p in point)
        at = dict(zip(source.labels_axes, self._point, strict=True))
        sample = 0
        if source.sample_axes:
            index = [at[letter] for letter in source.sample_axes]
            sample = int(np.ravel_multi_index(index, source.sample_shape))
        self._submit(
            {
                **request.params(),
                "sample": sample,
                "point": [at[letter] for letter in source.spatial],
            },
            request.image.inputs(),
            {},
        )
        self.message = "Looking…"
        self.changed.emit()

    def _on_task_event(self, event: dict[str, Any]) -> None:
        """It tells nothing while it runs."""

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        request = self._request
        if stopped or request is None:
            return "Stopped: no map was made."
        source = request.image.source
        box = dict(zip(source.spatial, result["box"], strict=True))
        at = dict(zip(source.labels_axes, self._point, strict=True))
        # Samples become axes of one plane, so that the map lies in the stack.
        written = source.sample_axes + source.spatial
        found = np.asarray(result["map"], np.float32)
        found = found.reshape((1,) * len(source.sample_axes) + found.shape)
        found = found.transpose([written.index(a) for a in source.labels_axes])
        offset = [box[a][0] if a in box else at[a] for a in source.labels_axes]
        where = ", ".join(str(at[a]) for a in source.labels_axes)
        self.result = SensitivityMap(
            found,
            shifted(request.image.placement, offset),
            f"looked at for {result['what']} ({where})",
        )
        return f"Bright pixels are what {result['what']!r} hangs on there."
