"""Ties a live run to a viewer: strokes and view go out, previews come in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_unet.config import Task
from napari_unet.live.messages import LabelsBox, Preview
from napari_unet.widgets.annotation_layer import classes_of
from napari_unet.widgets.edit_layers import original_of
from napari_unet.widgets.live_run import LiveRequest, LiveRun
from napari_unet.widgets.navigation import Flash, move_to
from napari_unet.widgets.placement import displayed_box
from napari_unet.widgets.preview_layer import PreviewLayer
from napari_unet.widgets.readings import Reading
from napari_unet.widgets.stroke_watch import StrokeWatch, as_slices
from napari_unet.widgets.view_watch import ViewWatch, shown_planes

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels

DRAW_MS = 100
"""Previews are drawn at most this often."""
REST_FACTOR = 4
"""After drawing, the viewer gets this many times as long for everything else."""
MAX_REST_MS = 1000
"""… but never longer than this."""


@dataclass(frozen=True)
class Scene:
    """What stays known of the image of a run, without its pixels."""

    name: str
    placement: Mapping[str, Any]
    """Arguments that put a layer over the whole image."""
    reading: Reading
    axes: str
    """Axes of the labels."""
    shape: tuple[int, ...]
    """Shape of the labels."""
    task: Task


class LiveView:
    """What a viewer does for a live run; one at a time.

    Layers may be deleted while the run goes on: then :attr:`note` says what that
    means, and the rest goes on.
    """

    changed = Signal()
    """Note or preview are others."""

    def __init__(self, viewer: napari.Viewer, run: LiveRun) -> None:
        self._viewer = viewer
        self._run = run
        self._image: Image | None = None
        self._annotation: Labels | None = None
        self.scene: Scene | None = None
        """Of this run or, once it has ended, of the last one."""
        self._strokes: StrokeWatch | None = None
        self._view: ViewWatch | None = None
        self._fits = True
        self._flash = Flash(viewer)
        self.map_shown: tuple[str, int] = ("", 0)
        """What the map shows, and of which class."""
        self._map_name = ""
        self.preview: PreviewLayer | None = None
        """Of this run or, once it has ended, of the last one."""
        self._draw_timer = QTimer()
        self._draw_timer.setSingleShot(True)
        self._draw_timer.setInterval(DRAW_MS)
        self._draw_timer.timeout.connect(self._draw)
        run.ready.connect(self._on_ready)
        run.previewed.connect(self._on_previewed)
        run.region_found.connect(self._on_region)
        run.ended.connect(self._on_ended)
        viewer.layers.events.inserted.connect(self._on_change)
        viewer.layers.events.removed.connect(self._on_change)

    def close(self) -> None:
        """Let go of viewer and run; the preview stays in the viewer."""
        self._stop_watching()
        self._flash.close()
        if self.preview is not None:
            self.preview.close()
        self._run.ready.disconnect(self._on_ready)
        self._run.previewed.disconnect(self._on_previewed)
        self._run.region_found.disconnect(self._on_region)
        self._run.ended.disconnect(self._on_ended)
        self._viewer.layers.events.inserted.disconnect(self._on_change)
        self._viewer.layers.events.removed.disconnect(self._on_change)

    def start(self, request: LiveRequest, image: Image, annotation: Labels) -> None:
        """Start the run on layers of this viewer."""
        self._stop_watching()
        self._image, self._annotation = image, annotation
        self._fits = True
        source = request.image.source
        self.scene = Scene(
            name=request.image.name,
            placement=request.image.placement,
            reading=request.image.reading,
            axes=source.labels_axes,
            shape=source.labels_shape,
            task=request.config.task,
        )
        self._make_preview(self.scene, request)
        self._run.start(request)
        if self._run.active:
            self._make_room(self.scene)
            self._view = ViewWatch(self._viewer, self._shown_box)
            self._view.moved.connect(self._look)
            self._view.look()

    def _make_room(self, scene: Scene) -> None:
        """Hide results of the same image, which would cover the preview."""
        hidden = []
        for layer in self._viewer.layers:
            original = original_of(layer)
            there = original is not None and original.shape == scene.shape
            if there and layer.visible and layer is not self._annotation:
                layer.visible = False
                hidden.append(repr(layer.name))
        if hidden:
            were = "was" if len(hidden) == 1 else "were"
            self._run.note(
                f"{' and '.join(hidden)} {were} hidden, so that you see the preview: "
                "the eye in the layer list shows them again."
            )

    @property
    def annotation(self) -> Labels | None:
        """The layer whose strokes are learnt, while it is in the viewer."""
        layer = self._annotation
        return layer if layer in self._viewer.layers else None

    @property
    def running(self) -> bool:
        """Whether a run goes on, whose preview changes."""
        return self._run.active

    @property
    def note(self) -> str:
        """What a deleted layer means for the run; mostly empty."""
        if not self._run.active or self._annotation is None:
            return ""
        if self._annotation not in self._viewer.layers:
            return (
                f"The annotation {self._annotation.name!r} was removed: learning goes "
                "on with the strokes so far. Press Stop to save the model."
            )
        if not self._fits:
            return (
                f"The annotation {self._annotation.name!r} no longer has the shape of "
                "the image: undo that, or press Stop and start again."
            )
        if self._image not in self._viewer.layers:
            return "The image was removed from the viewer: learning goes on."
        return ""

    # What the user asks for ------------------------------------------------------

    def show_map(self, show: str, channel: int, name: str) -> None:
        """Show a map beside the labels: ``"probability"``, ``"uncertainty"`` or none.

        `name` is what the layer is called, as in "probability of cells".
        """
        self.map_shown = (show, channel)
        self._map_name = name
        if self.preview is not None:
            self.preview.name_map(name if show else "")
        if self._view is not None:
            self._view.look(again=True)

    @property
    def preview_visible(self) -> bool:
        return self.preview is None or self.preview.visible

    def show_preview(self, on: bool) -> None:
        """Show or hide the preview; a deleted one comes back."""
        if self.preview is None or on == self.preview.visible:
            return
        self.preview.visible = on
        if on and self._run.preview is not None:
            self._show_preview(self._run.preview)
        self.changed.emit()

    def update_classes(self) -> None:
        """Tell the run and the preview the names and colours of the classes."""
        self._tell_classes([])

    def go_to(self, box: LabelsBox) -> None:
        """Move the viewer to a box of the annotation, and frame it for a moment."""
        if self._annotation is not None and self.scene is not None:
            move_to(self._viewer, self._annotation, box)
            self._flash.show(self.scene.placement, box)

    # Strokes and view ------------------------------------------------------------

    def _on_ready(self) -> None:
        layer = self._annotation
        if layer is None:
            return
        watch = StrokeWatch(
            layer,
            self._run.shared["annotation"],
            lambda: shown_planes(layer, self._viewer.dims),
        )
        watch.began.connect(self._on_began)
        watch.changed.connect(self._on_strokes)
        watch.fits_changed.connect(self._on_fits)
        self._strokes = watch
        watch.begin()

    def _on_began(self) -> None:
        shared = self._run.shared.get("annotation")
        if shared is not None:
            self._run.painted(tuple((0, n) for n in shared.shape))

    def _on_strokes(self, box: LabelsBox) -> None:
        shared = self._run.shared.get("annotation")
        if shared is None:
            return
        if self._run.classes is not None:
            self._tell_classes(np.unique(shared[as_slices(box)]).tolist())
        self._run.painted(box)

    def _tell_classes(self, painted: list[int]) -> None:
        known, layer = self._run.classes, self._annotation
        if known is None or layer is None:
            return
        values = [c.value for c in known]
        values += [v for v in painted if v and v not in values]
        background = next((c.value for c in known if c.background), None)
        classes = classes_of(layer, values, background)
        if classes != known:
            self._run.tell_classes(classes)
            if self.preview is not None:
                self.preview.set_classes(classes)
            self.changed.emit()

    def _on_fits(self, fits: bool) -> None:
        self._fits = fits
        self.changed.emit()

    def _shown_box(self) -> LabelsBox | None:
        """What the canvas shows, as told by a layer that is drawn on it."""
        if self.scene is None:
            return None
        dims, box = self._viewer.dims, None
        if self._image in self._viewer.layers:
            box = displayed_box(self._image, self.scene.reading, dims)
        elif self._annotation in self._viewer.layers and self._fits:
            box = displayed_box(self._annotation, Reading(self.scene.axes, 2), dims)
        return None if box is None else inside_of(box, self.scene.shape)

    def _look(self, box: LabelsBox) -> None:
        self._run.look_at(box, *self.map_shown)

    # Previews --------------------------------------------------------------------

    def _make_preview(self, scene: Scene, request: LiveRequest) -> None:
        if self.preview is not None:
            self.preview.remove()
            self.preview.close()
        self.preview = PreviewLayer(
            self._viewer,
            scene.name,
            scene.placement,
            scene.axes.index("Y"),
            request.classes,
        )
        self.preview.name_map(self._map_name if self.map_shown[0] else "")
        self.preview.changed.connect(self._on_change)
        self.preview.map_removed.connect(self._on_map_removed)

    def _on_previewed(self) -> None:
        if not self._draw_timer.isActive():
            self._draw_timer.start()

    def _draw(self) -> None:
        preview = self._run.take_preview()
        if preview is None:
            return
        begun = time.perf_counter()
        self._show_preview(preview)
        spent = 1000 * (time.perf_counter() - begun)
        rest = min(max(DRAW_MS, round(REST_FACTOR * spent)), MAX_REST_MS)
        self._draw_timer.setInterval(rest)
        self.changed.emit()

    def _show_preview(self, preview: Preview) -> None:
        shared = self._run.shared
        if self.preview is None or not shared:
            return
        if preview.show != self.map_shown[0]:
            preview = replace(preview, show="")  # made before the wish changed
        self.preview.show(preview, shared["preview"], shared["map"], self.annotation)

    def _on_map_removed(self) -> None:
        self.show_map("", 0, "")
        self.changed.emit()

    # What happens ----------------------------------------------------------------

    def _on_region(self, box: LabelsBox | None) -> None:
        if box is not None:
            self.go_to(box)

    def _on_change(self, _: Any = None) -> None:
        self.changed.emit()

    def _on_ended(self) -> None:
        self._stop_watching()
        self.changed.emit()

    def _stop_watching(self) -> None:
        self._draw_timer.stop()
        if self._strokes is not None:
            self._strokes.close()
            self._strokes = None
        if self._view is not None:
            self._view.close()
            self._view = None


def inside_of(box: LabelsBox, shape: tuple[int, ...]) -> LabelsBox | None:
    """The part of a box that a run knows: the layer may have got other pixels."""
    if len(box) != len(shape):
        return None
    starts = [min(start, n - 1) for (start, _), n in zip(box, shape, strict=True)]
    return tuple(
        (start, max(start + 1, min(stop, n)))
        for start, (_, stop), n in zip(starts, box, shape, strict=True)
    )
