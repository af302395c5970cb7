"""Buttons that turn corrections into annotation."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_unet.errors import AnnotationError, UserError
from napari_unet.widgets.annotation_layer import class_colors, class_features
from napari_unet.widgets.edit_layers import (
    accept,
    editable_copy,
    learn_from_edits,
    original_of,
)
from napari_unet.widgets.edits import annotation_values
from napari_unet.widgets.live_view import LiveView
from napari_unet.widgets.style import Colors, Message

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels


class CorrectionsSection(QWidget):
    """*Edit*, *Learn from my edits* and *Accept what is shown*.

    Parameters
    ----------
    viewer : napari.Viewer
    view : LiveView
        Whose preview is edited and accepted.
    annotation : callable
        Gives the layer that corrections go to, or ``None``.
    """

    def __init__(
        self,
        viewer: napari.Viewer,
        view: LiveView,
        annotation: Callable[[], Labels | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._view = view
        self._annotation = annotation
        self._copies: weakref.WeakSet[Labels] = weakref.WeakSet()
        """Layers that *Edit* made."""
        self.edit = QPushButton("Edit")
        self.edit.setToolTip("Copy the preview into a layer of its own and correct it")
        self.learn = QPushButton("Learn from my edits")
        self.learn.setToolTip(
            "Add exactly what you changed in the copy, or in a result, to the "
            "annotation; what you erased becomes background"
        )
        self.accept = QPushButton("Accept what is shown")
        self.accept.setToolTip(
            "Take the preview on screen as correct wherever nothing is painted yet; "
            "Ctrl+Z in the annotation takes it back"
        )
        self.note = Message("quiet")
        row = QHBoxLayout()
        row.addWidget(self.edit)
        row.addWidget(self.learn, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(row)
        layout.addWidget(self.accept)
        layout.addWidget(self.note)
        self.edit.clicked.connect(self.edit_preview)
        self.learn.clicked.connect(self.learn_edits)
        self.accept.clicked.connect(self.accept_preview)
        self.refresh()

    def refresh(self) -> None:
        """Offer what can be done now."""
        shown = self._view.preview is not None and self._view.preview.layer is not None
        edited = self._edited_layer() is not None
        self.edit.setEnabled(shown)
        self.accept.setEnabled(shown)
        self.learn.setEnabled(edited)
        self.setVisible(shown or edited)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.note.set_colors(colors)

    # What the buttons do ---------------------------------------------------------

    def edit_preview(self, _: bool = False) -> Labels | None:
        """Freeze the preview into an ordinary layer and select it."""
        preview, scene = self._view.preview, self._view.scene
        if preview is None or scene is None:
            return None
        layer, box = preview.layer, preview.box
        if layer is None or box is None:
            return None
        look: dict[str, Any] = {"name": f"{scene.name} edited"}
        values: dict[int, int] = {}
        if preview.classes is not None:
            values = annotation_values(preview.classes)
            shown = [c for c in preview.classes if c.result_value]
            look["colormap"] = class_colors(shown)
            look["features"] = class_features({c.result_value: c.name for c in shown})
        copy = editable_copy(
            np.asarray(layer.data),
            box,
            scene.shape,
            scene.placement,
            scene.task,
            values,
            **look,
        )
        self._view.show_preview(False)
        self._viewer.add_layer(copy)
        self._viewer.layers.selection.active = copy
        self._hand_brush(copy, list(values.items()))
        self._copies.add(copy)
        self.note.say(f"Correct {copy.name!r}, then press Learn from my edits.")
        self.refresh()
        return copy

    def learn_edits(self, _: bool = False) -> None:
        """Write what was changed into the annotation."""
        layer, annotation = self._edited_layer(), self._annotation()
        try:
            if layer is None or annotation is None:
                raise AnnotationError(
                    "There is no annotation to add to: press New beside Annotation."
                )
            count = learn_from_edits(layer, annotation)
        except UserError as error:
            self.note.say(str(error), "problem")
        else:
            self.note.say(f"{count:,} pixels were added to the annotation.", "quiet")
            self._go_on(layer, annotation)

    def _hand_brush(self, copy: Labels, values: list[tuple[int, int]]) -> None:
        """Let the first stroke be a right one: napari begins with label 1."""
        size = getattr(self._annotation(), "brush_size", None)  # values have none
        classes = [shown for shown, _ in values if shown]
        copy.selected_label = classes[0] if classes else int(copy.data.max()) + 1
        if size is not None:
            copy.brush_size = size
        copy.mode = "paint"

    def _go_on(self, learnt: Labels, annotation: Labels) -> None:
        """Show what comes of it: the copy would cover the preview."""
        if learnt in self._copies and self._view.running:
            learnt.visible = False
            self._view.show_preview(True)
            if annotation in self._viewer.layers:
                self._viewer.layers.selection.active = annotation

    def accept_preview(self, _: bool = False) -> None:
        """Write what the preview shows into the annotation."""
        preview, scene = self._view.preview, self._view.scene
        annotation = self._view.annotation
        if preview is None or scene is None or preview.layer is None:
            return
        try:
            if annotation is None or annotation.data.shape != scene.shape:
                raise AnnotationError(
                    "The annotation that this preview belongs to is gone."
                )
            count = accept(
                np.asarray(preview.layer.data),
                preview.box or (),
                annotation,
                scene.task,
                annotation_values(preview.classes or []),
            )
        except UserError as error:
            self.note.say(str(error), "problem")
        else:
            self.note.say(f"{count:,} pixels were taken as correct.", "quiet")

    def _edited_layer(self) -> Labels | None:
        """The selected layer if it can be learnt from, else the topmost that can."""
        active = self._viewer.layers.selection.active
        if original_of(active) is not None:
            return active
        for layer in reversed(self._viewer.layers):
            if original_of(layer) is not None:
                return layer
        return None
