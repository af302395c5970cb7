"""*Explain* and *Preview patches*: what a training run would do, before it does it."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QTextEdit, QVBoxLayout, QWidget

from napari_unet.data.classes import PALETTE
from napari_unet.errors import UserError
from napari_unet.widgets.box_layer import PREVIEW_METADATA
from napari_unet.widgets.rehearsal_run import PatchPicture, RehearsalRun
from napari_unet.widgets.style import Colors, Message
from napari_unet.widgets.training_run import TrainingRequest

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

PATCHES, TARGETS = "augmented patches", "their annotation"
"""Names of the layers."""
TEXT_HEIGHT = 220
"""Of the recipe, in pixels."""


class RehearsalSection(QWidget):
    """Two buttons, the recipe as text, and the layers of patches.

    Parameters
    ----------
    viewer : napari.Viewer
    run : RehearsalRun
    request : callable
        What would be trained with; raises a `UserError` where something is missing.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        run: RehearsalRun,
        request: Callable[[], TrainingRequest],
    ) -> None:
        super().__init__()
        self._viewer, self.run, self._request = viewer, run, request
        self._layers: list[Layer] = []
        self.explain = QPushButton("Explain")
        self.explain.setToolTip("What would be chosen from your data, and why")
        self.preview = QPushButton("Preview patches")
        self.preview.setToolTip(
            "Show some augmented patches beside the image, with their annotation"
        )
        self.message = Message("quiet")
        self.text = QTextEdit()
        self.text.setReadOnly(True)
        self.text.setMinimumHeight(TEXT_HEIGHT)
        self.text.setVisible(False)
        row = QHBoxLayout()
        row.addWidget(self.explain)
        row.addWidget(self.preview)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.message)
        column.addWidget(self.text)
        self.explain.clicked.connect(self._on_explain)
        self.preview.clicked.connect(self._on_preview)
        run.changed.connect(self._on_changed)
        run.ended.connect(self._on_ended)

    def allow(self, *, idle: bool, live: bool) -> None:
        """Follow the runs: the engine does one thing at a time.

        A run that learns live chooses as it goes, so that there is nothing to explain.
        """
        self.explain.setVisible(not live)
        self.text.setVisible(not live and bool(self.text.toPlainText()))
        for button in (self.explain, self.preview):
            button.setEnabled(idle and not self.run.active)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.message.set_colors(colors)

    def close_run(self) -> None:
        """Let go of engine and viewer."""
        self.run.changed.disconnect(self._on_changed)
        self.run.ended.disconnect(self._on_ended)
        self.run.stop()

    def _on_explain(self) -> None:
        self._start(patches=False)

    def _on_preview(self) -> None:
        self._start(patches=True)

    def _start(self, *, patches: bool) -> None:
        try:
            request = self._request()
        except UserError as error:
            self.message.say(str(error), "problem")
            return
        self.run.start(request, patches=patches)

    def _on_changed(self) -> None:
        busy = self.run.active
        for button in (self.explain, self.preview):
            button.setEnabled(not busy)
        if busy:
            self.message.say("Looking at the data…", "quiet")

    def _on_ended(self) -> None:
        tone: Any = "problem" if self.run.state in ("failed", "crashed") else "quiet"
        self.message.say(self.run.message, tone)
        if self.run.state != "done":
            return
        if self.run.picture is None:
            self.text.setHtml(recipe_html(self.run.recipe))
            self.text.setVisible(True)
        else:
            self._show(self.run.picture)

    def _show(self, picture: PatchPicture) -> None:
        """Add the layers, or put new patches into those that are there."""
        for layer in self._layers:
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        scale = float(picture.request.image.placement["scale"][-1])
        width = picture.target.shape[1]
        corner = _free_corner(self._viewer)
        beside = (corner[0], corner[1] + (width + 8) * scale)
        self._layers = [
            _image_layer(picture, scale, corner),
            _target_layer(picture, scale, beside),
        ]
        chosen = list(self._viewer.layers.selection)
        for layer in self._layers:
            self._viewer.add_layer(layer)
        # Who was about to do something with another layer goes on with that.
        kept = [layer for layer in chosen if layer in self._viewer.layers]
        self._viewer.layers.selection = kept
        _look_at(self._viewer, self._layers)


def _free_corner(viewer: napari.Viewer) -> tuple[float, float]:
    """Y and X in the world, to the right of all that is there."""
    if not len(viewer.layers):
        return 0.0, 0.0
    world = viewer.layers.extent.world
    gap = 0.05 * float(world[1][-1] - world[0][-1])
    return float(world[0][-2]), float(world[1][-1]) + gap


def _image_layer(
    picture: PatchPicture, scale: float, corner: tuple[float, float]
) -> Layer:
    from napari.layers import Image

    channels = len(picture.image)
    colours = channels == 3
    data = picture.image.transpose(1, 2, 0) if colours else picture.image[0]
    return Image(
        np.clip(data, 0, 1),
        rgb=colours,
        name=PATCHES,
        scale=(scale, scale),
        translate=corner,
        metadata=dict(PREVIEW_METADATA),
        **({} if colours else {"contrast_limits": (0, 1)}),
    )


def _target_layer(
    picture: PatchPicture, scale: float, corner: tuple[float, float]
) -> Layer:
    from napari.layers import Image, Labels
    from napari.utils.colormaps import DirectLabelColormap

    place: dict[str, Any] = {
        "name": TARGETS,
        "scale": (scale, scale),
        "translate": corner,
        "metadata": dict(PREVIEW_METADATA),
    }
    if not picture.n_classes:
        return Image(picture.target, colormap="inferno", **place)
    labels = np.nan_to_num(picture.target + 1).astype(np.uint8)
    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for position, color in enumerate(_colors(picture)):
        colors[position + 1] = color
    layer = Labels(labels, colormap=DirectLabelColormap(color_dict=colors), **place)
    layer.editable = False
    return layer


def _colors(picture: PatchPicture) -> list[str]:
    """Colours of the classes, in the order of the target."""
    classes = picture.request.classes
    if classes:
        return [c.color for c in classes]
    return [PALETTE[n % len(PALETTE)] for n in range(picture.n_classes)]


def _look_at(viewer: napari.Viewer, layers: list[Layer]) -> None:
    try:
        viewer.reset_view(layers=layers)
    except TypeError:  # an older napari shows all layers or none
        viewer.reset_view()


def recipe_html(recipe: list[dict[str, str]]) -> str:
    """The choices of a recipe as rich text."""
    return "".join(
        f"<p><b>{html.escape(c['title'])}</b>: {html.escape(c['value'])}<br>"
        f"<i>{html.escape(c['reason'])}</i></p>"
        for c in recipe
    )
