"""The layer in which a prediction appears while it is computed."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_unet.widgets.annotation_layer import class_colors, class_features
from napari_unet.widgets.prediction_run import (
    PredictionResult,
    PredictionRun,
    StoredResult,
)

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels

    from napari_unet.models.info import ModelInfo

REFRESH_S = 0.7
"""A layer is drawn anew at most so often: that reads from a disk."""
SHARE = 0.05
"""… and for at most this share of the time."""
STORE = "napari_unet_store"
"""Key in a layer's metadata: folder of the labels that it shows."""
RESULT = "napari_unet_result"
"""… and where they are once they are finished."""


def look_of(info: ModelInfo) -> dict[str, Any]:
    """Colours and names of classes, for a layer of labels."""
    if info.task != "classes":
        return {}
    classes = [c for c in info.classes if c.result_value]
    return {
        "colormap": class_colors(classes),
        "features": class_features({c.result_value: c.name for c in classes}),
    }


class PredictionStream:
    """Shows what a run has written until now, and draws it anew as it grows.

    Parameters
    ----------
    viewer : napari.Viewer
    run : PredictionRun
    parent : QWidget
        Whose end is the end of this, too.
    """

    def __init__(
        self, viewer: napari.Viewer, run: PredictionRun, parent: QWidget
    ) -> None:
        self._viewer, self._run = viewer, run
        self._layer: Labels | None = None
        self._next = 0.0
        self._shown = False
        self._later = QTimer(parent)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self.follow)

    @property
    def layer(self) -> Labels | None:
        """The layer, as long as the user keeps it."""
        if self._layer is not None and self._layer not in self._viewer.layers:
            self._layer = None
        return self._layer

    def show_store(self) -> None:
        """Show the store of the run, or the one that takes its place."""
        stored = self._run.stored
        if stored is None:
            return
        for layer in list(self._viewer.layers):
            if layer.metadata.get(RESULT) != str(stored.result):
                continue
            if layer.metadata.get(STORE) == str(stored.path):
                # From a run that was stopped: it goes on in the same layer.
                self._layer = layer
                return
            self._viewer.layers.remove(layer)
        self._add(store_layer(stored))

    def follow(self) -> None:
        """Draw what is new; called as often as one likes."""
        begun = time.monotonic()
        if not self._run.active:
            self._shown = False
            return
        if begun < self._next:
            if math.isfinite(self._next) and not self._later.isActive():
                self._later.start(round((self._next - begun) * 1000) + 1)
            return
        self._next = math.inf  # what is done here may lead back to here
        try:
            self._draw()
        finally:
            now = time.monotonic()
            pause = 0.0 if self._layer is None else REFRESH_S
            self._next = now + max(pause, (now - begun) / SHARE)

    def _draw(self) -> None:
        if self._run.progress is not None and not self._shown:
            self._shown = True  # once: who takes the layer away does not want it
            made = self._run.so_far()
            if made is not None and made.info.task == "classes":
                self._add(memory_layer(made))
        if self.layer is not None:
            draw_anew(self.layer)

    def end(self) -> None:
        """The run is over: a result in memory gets a layer of its own."""
        self._shown, self._next = False, 0.0
        layer = self.layer
        if layer is None:
            self._layer = None
        elif STORE in layer.metadata:
            draw_anew(layer)
            self._layer = None
        else:
            self.remove()

    def remove(self) -> None:
        """Take the layer away."""
        layer = self.layer
        if layer is not None:
            self._viewer.layers.remove(layer)
        self._layer = None

    def _add(self, layer: Labels | Image) -> None:
        chosen = list(self._viewer.layers.selection)
        self._viewer.add_layer(layer)
        self._layer = layer
        # Who was about to do something with another layer goes on with that.
        self._viewer.layers.selection = [c for c in chosen if c in self._viewer.layers]


def draw_anew(layer: Labels) -> None:
    """Show what has changed behind a layer's back."""
    if layer.multiscale:
        # napari keeps the coarsest level in memory until the data is set. For everybody
        # else it is the same data.
        levels = layer.data
        with layer.events.data.blocker():
            try:
                layer.data = list(layer.data)
            except AttributeError:
                # napari 0.6 fails at new levels of labels, and leaves them half set.
                layer._data = levels
                layer.refresh(extent=False)
        layer.editable = False
    else:
        layer.refresh(extent=False)


def memory_layer(made: PredictionResult) -> Labels:
    """Labels that fill in, as a layer that nobody can change."""
    from napari.layers import Labels

    layer = Labels(
        made.labels, name=f"{made.name} …", **made.placement, **look_of(made.info)
    )
    layer.editable = False
    return layer


def store_layer(stored: StoredResult) -> Labels | Image:
    """Labels on disk as a layer; large ones have smaller copies for the overview."""
    import zarr
    from napari.layers import Image, Labels

    group = zarr.open_group(str(stored.path), mode="r")
    levels = [group[name] for name in sorted(group.array_keys(), key=int)]
    if stored.info.task == "regression":
        return Image(
            levels if len(levels) > 1 else levels[0],
            name=stored.name,
            multiscale=len(levels) > 1,
            colormap="inferno",
            contrast_limits=_limits(levels[-1]),
            metadata={STORE: str(stored.path), RESULT: str(stored.result)},
            **stored.placement,
        )
    layer = Labels(
        levels if len(levels) > 1 else levels[0],
        name=stored.name,
        multiscale=len(levels) > 1,
        metadata={STORE: str(stored.path), RESULT: str(stored.result)},
        **stored.placement,
        **look_of(stored.info),
    )
    layer.editable = False
    return layer


def _limits(values: Any) -> tuple[float, float]:
    """Least and largest value of the middle plane, which may still be empty: NaN."""
    known = np.asarray(values[tuple(n // 2 for n in values.shape[:-2])])
    known = known[np.isfinite(known)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return low, high if high > low else low + 1.0
