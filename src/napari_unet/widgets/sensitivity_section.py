"""*What did it look at?*: a click on an object gives a map of what it hangs on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_unet.errors import UserError
from napari_unet.widgets.box_layer import PREVIEW_METADATA
from napari_unet.widgets.predict_level import on_level
from napari_unet.widgets.prediction_run import PredictionRequest
from napari_unet.widgets.readings import layer_shape
from napari_unet.widgets.sensitivity_run import SensitivityRun
from napari_unet.widgets.style import Colors, Message

if TYPE_CHECKING:
    import napari

CLICK = "Click on an object or a region in the image."
STILL = 4
"""Pixels of the canvas that the mouse may move in a click: more is a drag."""


class SensitivitySection(QWidget):
    """A button that waits for a click, and the layers that come of it.

    Parameters
    ----------
    viewer : napari.Viewer
    run : SensitivityRun
    request : callable
        What would be predicted; raises a `UserError` where something is missing.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        run: SensitivityRun,
        request: Callable[[], PredictionRequest],
    ) -> None:
        super().__init__()
        self._viewer, self.run, self._request = viewer, run, request
        self.button = QPushButton("What did it look at?")
        self.button.setCheckable(True)
        self.button.setToolTip(
            "Then click on an object: the pixels that it hangs on become a layer"
        )
        self.message = Message("quiet")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.button)
        column.addWidget(self.message)
        self.button.toggled.connect(self._on_toggled)
        run.changed.connect(self._say)
        run.ended.connect(self._on_ended)

    def close_run(self) -> None:
        """Let go of engine and viewer; the Qt objects may be gone already."""
        self._listen(on=False)
        self.run.changed.disconnect(self._say)
        self.run.ended.disconnect(self._on_ended)
        self.run.stop()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.message.set_colors(colors)

    def _listen(self, *, on: bool) -> None:
        callbacks = self._viewer.mouse_drag_callbacks
        there = [c for c in callbacks if c == self._on_mouse]
        if on and not there:
            callbacks.append(self._on_mouse)
        for callback in () if on else there:
            callbacks.remove(callback)

    def _on_toggled(self, on: bool) -> None:
        if on:
            try:
                self._request()
            except UserError as error:
                self.button.setChecked(False)
                self.message.say(str(error), "problem")
                return
        self._listen(on=on)
        self._say()

    def _on_mouse(self, viewer: Any, event: Any) -> Generator[None]:
        """A click, not a drag; the viewer may be moved meanwhile."""
        begun = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            yield
        if np.abs(np.asarray(event.pos) - begun).max() <= STILL:
            self.ask(event.position)

    def ask(self, position: Any) -> None:
        """Ask about a place in the world."""
        try:
            request = self._request()
        except UserError as error:
            self.message.say(str(error), "problem")
            return
        if self.run.active:
            return
        layer = request.shown_layer
        voxel = np.round(layer.world_to_data(position)).astype(int)
        shape = layer_shape(layer)
        if request.image.reading.axes[0] == "C":
            voxel, shape = voxel[1:], shape[1:]
        if not all(0 <= v < n for v, n in zip(voxel, shape, strict=True)):
            self.message.say("That is outside of the image: click inside it.")
            return
        box = on_level(tuple((int(v), int(v) + 1) for v in voxel), layer, request.image)
        self.run.start(request, [start for start, _ in box])

    def _on_ended(self) -> None:
        result = self.run.result
        if result is not None and self.run.state == "done":
            from napari.layers import Image

            layer = Image(
                result.map,
                name=result.name,
                colormap="inferno",
                blending="additive",
                contrast_limits=(0, 1),
                metadata=dict(PREVIEW_METADATA),
                **result.placement,
            )
            chosen = list(self._viewer.layers.selection)
            self._viewer.add_layer(layer)
            self._viewer.layers.selection = chosen
            self.button.setChecked(False)
        self._say()

    def _say(self) -> None:
        run = self.run
        if run.active:
            self.message.say(run.message, "quiet")
        elif run.state in ("failed", "crashed"):
            self.message.say(run.message, "problem")
        elif self.button.isChecked():
            self.message.say(CLICK, "plain")
        else:
            self.message.say(run.message, "quiet")
