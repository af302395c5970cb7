"""*Adjust objects*: move the settings, and see at once what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_unet.errors import UserError
from napari_unet.models.info import ModelInfo
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.widgets.box_layer import PREVIEW_METADATA
from napari_unet.widgets.dock import make_form
from napari_unet.widgets.navigation import camera_of
from napari_unet.widgets.object_controls import ObjectControls
from napari_unet.widgets.predict_level import seen_box
from napari_unet.widgets.prediction_run import Box, PredictionRequest
from napari_unet.widgets.style import Colors, Message, Tone
from napari_unet.widgets.tuning_run import KeepRun, TuningRun, view_request

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

NAME = "adjusted objects"
"""Of the layer."""
SETTLE_MS = 30
"""Pause in moving a slider after which the engine is asked."""
LOOK_MS = 600
"""Pause in panning and zooming after which the new view is looked at."""


class ObjectTuning(QWidget):
    """Settings of objects, a preview of the view, and what to do with them.

    Parameters
    ----------
    viewer : napari.Viewer
    run : TuningRun
    keeper : KeepRun
    request : callable
        What would be predicted; raises a `UserError` where something is missing.
    """

    apply_wanted = Signal()
    """*Apply to all* was pressed."""
    kept = Signal()
    """The model file has changed."""

    def __init__(
        self,
        viewer: napari.Viewer,
        run: TuningRun,
        keeper: KeepRun,
        request: Callable[[], PredictionRequest],
    ) -> None:
        super().__init__()
        self._viewer, self.run, self.keeper = viewer, run, keeper
        self._request = request
        self._layer: Labels | None = None
        self._again = False
        self._shown: tuple[Any, ...] | None = None
        self.preview = QPushButton("Preview in this view")
        self.preview.setCheckable(True)
        self.preview.setToolTip("Show the objects of what you see, and follow the view")
        self.apply = QPushButton("Apply to all")
        self.apply.setToolTip("Segment the whole image with these settings")
        self.keep = QPushButton("Keep as the model's settings")
        self.keep.setToolTip("Write these settings into the model file")
        self.reset = QPushButton("Reset")
        self.reset.setToolTip("Back to the settings of the model")
        self.message = Message("quiet")
        inside = QWidget()
        form = make_form()
        self.controls = ObjectControls(form)
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.preview)
        column.addLayout(form)
        column.addWidget(self.message)
        row = QHBoxLayout()
        row.addWidget(self.apply)
        row.addWidget(self.reset)
        column.addLayout(row)
        column.addWidget(self.keep)
        self.folded = QCollapsible(
            "Adjust objects", expandedIcon="▾", collapsedIcon="▸"
        )
        self.folded.toggleButton().setToolTip("Thresholds and sizes of objects")
        self.folded.addWidget(inside)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self.folded)
        self._settle = self._timer(SETTLE_MS, self._ask)
        self._look = self._timer(LOOK_MS, self._follow)
        self._connect()

    def _timer(self, interval: int, then: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(interval)
        timer.timeout.connect(then)
        return timer

    def _connect(self) -> None:
        self.preview.toggled.connect(self._on_toggled)
        self.controls.changed.connect(self._on_moved)
        self.apply.clicked.connect(lambda: self.apply_wanted.emit())
        self.keep.clicked.connect(self._on_keep)
        self.reset.clicked.connect(self._on_reset)
        self.run.changed.connect(self._say)
        self.run.decoded.connect(self._draw)
        self.run.ended.connect(self._on_ended)
        self.keeper.ended.connect(self._on_kept)
        for emitter in self._emitters():
            emitter.connect(self._on_view)
        self._viewer.layers.events.removed.connect(self._on_removed)

    def _emitters(self) -> list[Any]:
        camera = camera_of(self._viewer)
        return [
            camera.events.center,
            camera.events.zoom,
            self._viewer.dims.events.point,
            self._viewer.dims.events.ndisplay,
        ]

    def close_run(self) -> None:
        """Let go of engine and viewer; the Qt objects may be gone already."""
        self.run.changed.disconnect(self._say)
        self.run.decoded.disconnect(self._draw)
        self.run.ended.disconnect(self._on_ended)
        self.keeper.ended.disconnect(self._on_kept)
        for emitter in self._emitters():
            emitter.disconnect(self._on_view)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._end_run()
        self._remove_layer()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.message.set_colors(colors)

    def wishes(self) -> dict[str, Any]:
        """Fields of `ObjectSettings` that somebody changed."""
        return {} if self.isHidden() else self.controls.wishes()

    def set_model(self, info: ModelInfo | None) -> None:
        """Follow the chosen model: only objects can be adjusted."""
        objects = info is not None and info.task == "objects"
        self.setVisible(objects)
        shown = None if info is None else (info.name, info.created, info.decoder)
        if shown == self._shown:
            return
        self._shown = shown
        self.preview.setChecked(False)
        if info is not None and objects:
            self.controls.show(info.decoder or DecoderInfo())
            self._say()

    def set_request(self, request: PredictionRequest) -> None:
        """Follow the chosen image."""
        source = request.image.source
        self.controls.set_voxel(source.voxel_size, source.unit)
        running = self.run.request
        if self.run.active and running is not None and _differs(running, request):
            self._restart()

    def _on_toggled(self, on: bool) -> None:
        if on:
            self._start()
        else:
            self._again = False
            self._end_run()
            self._remove_layer()
            self._say()

    def _start(self) -> None:
        try:
            request = self._request()
            request = view_request(request, self._box(request))
        except UserError as error:
            self.preview.setChecked(False)
            self.message.say(str(error), "problem")
            return
        if self.run.active:
            self._again = True
            self._end_run()
            return
        self.run.start(request, self.controls.wishes())

    def _end_run(self) -> None:
        if self.run.state == "running":  # a second stop would end the engine
            self.run.stop()

    def _restart(self) -> None:
        if self.preview.isChecked():
            self._start()

    def _box(self, request: PredictionRequest) -> Box:
        layer = request.shown_layer
        if layer is None:
            raise RuntimeError("the request does not know its layer")
        return seen_box(layer, request.image, self._viewer.dims)

    def _on_moved(self) -> None:
        if not self.preview.isChecked():
            self.preview.setChecked(True)  # which begins with these settings
        self._settle.start()
        self._say()

    def _ask(self) -> None:
        if self.run.active:
            self.run.ask(self.controls.wishes())

    def _on_view(self, _: Any = None) -> None:
        if self.preview.isChecked():
            self._look.start()

    def _follow(self) -> None:
        """Look at what the canvas shows now, unless that is known already."""
        request = self.run.request
        if not self.preview.isChecked() or request is None or request.box is None:
            return
        try:
            wanted = view_request(request, self._box(request)).box
        except UserError as error:
            self.message.say(str(error), "problem")
            return
        if wanted is not None and not _covers(request.box, wanted):
            self._start()

    def _draw(self) -> None:
        from napari.layers import Labels

        view = self.run.view
        if view is None or not self.preview.isChecked():
            return
        layer = self._layer
        if layer is not None and layer.data.shape == view.labels.shape:
            layer.data = view.labels
            layer.editable = False
            place = view.placement["translate"]
            if not (layer.translate == place).all():
                layer.translate = place
            return
        self._remove_layer()
        layer = Labels(
            view.labels,
            name=NAME,
            opacity=0.5,
            metadata=dict(PREVIEW_METADATA),
            **view.placement,
        )
        chosen = list(self._viewer.layers.selection)
        self._viewer.add_layer(layer)
        layer.editable = False
        self._layer = layer
        self._viewer.layers.selection = [c for c in chosen if c in self._viewer.layers]

    def _remove_layer(self) -> None:
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _on_removed(self, event: Any) -> None:
        if self._layer is not None and event.value is self._layer:
            self._layer = None
            self.preview.setChecked(False)  # who takes it away does not want it

    def _on_ended(self) -> None:
        again, self._again = self._again, False
        if again and self.preview.isChecked():
            self._start()
            return
        if self.run.state in ("failed", "crashed"):
            self.preview.setChecked(False)
        self._say()

    def _on_reset(self) -> None:
        self.controls.show(self.controls.decoder)
        self._ask()
        self._say()

    def _on_keep(self) -> None:
        try:
            request = self._request()
        except UserError as error:
            self.message.say(str(error), "problem")
            return
        if not self.keeper.active:
            self.keeper.start(request.model_path, self.controls.wishes(), request)
            self._say()

    def _on_kept(self) -> None:
        if self.keeper.state == "done":
            self.kept.emit()
        self._say()
        tone: Tone = "good" if self.keeper.state == "done" else "problem"
        self.message.say(self.keeper.message, tone)

    def _say(self) -> None:
        changed = bool(self.controls.wishes())
        self.keep.setEnabled(changed and not self.keeper.active)
        self.reset.setEnabled(changed)
        run = self.run
        if run.state in ("failed", "crashed") and not self.preview.isChecked():
            self.message.say(run.message, "problem")
        elif run.active and run.refused:
            self.message.say(run.refused, "problem")
        else:
            self.message.say(run.message if run.active else "", "quiet")


def _covers(one: Box, other: Box) -> bool:
    return all(a <= c and d <= b for (a, b), (c, d) in zip(one, other, strict=True))


def _differs(one: PredictionRequest, other: PredictionRequest) -> bool:
    """Whether the maps of one request are of no use to the other."""
    same_layers = len(one.layers) == len(other.layers) and all(
        a is b for a, b in zip(one.layers, other.layers, strict=True)
    )
    return (
        not same_layers
        or one.image.reading != other.image.reading
        or one.image.voxel_size != other.image.voxel_size  # another resolution
        or one.model_path != other.model_path
        or (one.views, one.resample) != (other.views, other.resample)
    )
