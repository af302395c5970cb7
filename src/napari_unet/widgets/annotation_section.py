"""Choosing the annotation, and what its values mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, PushButton
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QWidget

from napari_unet.config import AnnotationRule, Task
from napari_unet.widgets.annotation_layer import known_task, remember_rule, rule_of
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.edit_layers import original_of
from napari_unet.widgets.limit_section import LimitSection
from napari_unet.widgets.paint_section import PaintSection
from napari_unet.widgets.style import Colors, Message, narrow, show_row
from napari_unet.widgets.superpixel_section import SuperpixelSection

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

TASKS: list[tuple[str, Task]] = [
    ("Objects (cells, nuclei)", "objects"),
    ("Classes (tissue, membrane)", "classes"),
    ("Values (distance, density)", "regression"),
]

RULES: list[tuple[str, AnnotationRule | None]] = [
    ("Choose …", None),
    ("Sparse: 0 is not annotated", "sparse"),
    ("Complete: 0 is background", "complete"),
]

NONE_YET = "none yet: press New"

MEANINGS: dict[tuple[AnnotationRule, Task], str] = {
    ("sparse", "classes"): "0 = not annotated, 1 = background, 2, 3, … = classes.",
    ("sparse", "objects"): (
        "0 = not annotated, 1 = background, 2, 3, … = a number for each whole object."
    ),
    ("complete", "classes"): "0 = background, 1, 2, … = classes.",
    ("complete", "objects"): "0 = background, 1, 2, … = a number for each object.",
    ("complete", "regression"): "Every value is learnt; NaN = not annotated.",
}


class AnnotationSection:
    """Rows of a form: the task, the Labels layer, and its rule."""

    changed = Signal()
    """Another layer, task or rule was chosen."""
    painted = Signal()
    """The values in the chosen layer may have changed."""
    new_requested = Signal()
    """The user asked for a new annotation layer."""

    def __init__(self, viewer: napari.Viewer, form: QFormLayout) -> None:
        self._viewer = viewer
        self._watched: Labels | None = None
        self.task = ComboBox(
            choices=TASKS,
            tooltip="Objects that touch are kept apart; classes are areas of a kind",
        )
        self.layer = ComboBox(choices=[], tooltip="The Labels layer you paint in")
        self.new = PushButton(
            text="New", tooltip="Make an empty annotation layer for the image"
        )
        self.rule = ComboBox(choices=RULES, tooltip="What 0 means in this layer")
        self.meaning = Message("quiet")
        self.paint = PaintSection()
        self.superpixels = SuperpixelSection(viewer)
        self.limit = LimitSection(viewer)
        self.summary = Message("quiet")
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.layer.native, 1)
        layout.addWidget(self.new.native)
        for box in (self.task, self.layer, self.rule):
            narrow(box.native)
        self._form, self._row = form, row
        form.addRow("Find", self.task.native)
        form.addRow("Annotation", row)
        form.addRow("Rule", self.rule.native)
        form.addRow("", self.meaning)
        form.addRow("", self.paint)
        form.addRow("", self.superpixels)
        form.addRow("", self.limit)
        form.addRow("", self.summary)
        self.task.changed.connect(self._on_task)
        self.layer.changed.connect(self._on_layer)
        self.rule.changed.connect(self._on_rule)
        self.new.changed.connect(self._on_new)
        self.paint.renamed.connect(self.painted.emit)
        self.paint.offered.connect(self.superpixels.show_for)
        self.paint.offered.connect(self.limit.show_for)
        self.limit.changed.connect(self._on_limit)
        self.refresh()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.meaning.set_colors(colors)
        self.superpixels.set_colors(colors)
        self.limit.set_colors(colors)
        self.summary.set_colors(colors)

    def refresh(self) -> None:
        """Offer the Labels layers that the viewer has now; for values, Image layers."""
        from napari.layers import Image, Labels

        kind = Image if self.values else Labels
        found = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, kind)
            and not is_preview(layer)
            and not getattr(layer, "rgb", False)
        ]
        before = self.layer.value
        known = [layer for layer in found if rule_of(layer) is not None]
        new = [layer for layer in known if layer not in self.layer.choices]
        # What a model made is an annotation only if somebody says so.
        painted = [x for x in found if x in known or original_of(x) is None]
        offered = [(layer.name, layer) for layer in found]
        chosen = before in found
        if found and not (chosen or painted):
            offered.insert(0, (NONE_YET, None))
        with self.layer.changed.blocked():
            self.layer.choices = offered
            if not chosen and found:
                self.layer.value = (known or painted or [None])[-1]
            elif new and before not in known:  # of which nobody said what it means
                self.layer.value = new[-1]
        self._on_layer()

    def choose(self, layer: Labels) -> None:
        """Choose a layer from code."""
        self.refresh()
        self.layer.value = layer

    def close(self) -> None:
        """Listen to the chosen layer no longer."""
        self._watch(None)
        self.paint.close_layer()
        self.superpixels.close_layer()
        self.limit.close_layer()

    @property
    def values(self) -> bool:
        """Whether an Image layer of values is learnt instead of labels."""
        return bool(self.task.value == "regression")

    def chosen_rule(self) -> AnnotationRule | None:
        """The rule for the chosen layer; ``None`` until the user has said it.

        Values are complete where they are not NaN.
        """
        if self.values:
            return "complete"
        rule: AnnotationRule | None = self.rule.value
        return rule

    def _watch(self, layer: Labels | None) -> None:
        if layer is self._watched:
            return
        if self._watched is not None:
            for emitter in _emitters(self._watched):
                emitter.disconnect(self._on_painted)
        self._watched = layer
        if layer is not None:
            for emitter in _emitters(layer):
                emitter.connect(self._on_painted)

    def _on_painted(self, _: Any = None) -> None:
        self.painted.emit()

    def _on_limit(self, _: Any = None) -> None:
        self.painted.emit()  # other strokes count now

    def _on_layer(self, _: Any = None) -> None:
        layer: Labels | None = self.layer.value
        if layer is not None and layer is not self._watched and not self.values:
            task = known_task(layer)  # of a sample, or of another day
            if task is not None:
                with self.task.changed.blocked():
                    self.task.value = task
        self._watch(layer)
        with self.rule.changed.blocked():
            known = None if layer is None or self.values else rule_of(layer)
            self.rule.value = known
        self._explain()
        self.changed.emit()

    def _on_rule(self, rule: AnnotationRule | None) -> None:
        layer: Labels | None = self.layer.value
        if layer is not None and rule is not None:
            remember_rule(layer, rule)
        self._explain()
        self.changed.emit()

    def _on_task(self, _: Any = None) -> None:
        label = self._form.labelForField(self._row)
        if isinstance(label, QLabel):
            label.setText("Target" if self.values else "Annotation")
        self.layer.tooltip = (
            "The Image layer whose values are learnt"
            if self.values
            else "The Labels layer you paint in"
        )
        self.new.native.setVisible(not self.values)
        show_row(self._form, self.rule.native, visible=not self.values)
        # Tells of the change, too: the layers of the other kind are not offered.
        self.refresh()

    def _on_new(self, _: Any = None) -> None:
        self.new_requested.emit()

    def _explain(self) -> None:
        rule = self.chosen_rule()
        self.rule.enabled = self.layer.value is not None
        self.meaning.say(MEANINGS[rule, self.task.value] if rule else "")


def _emitters(layer: Labels) -> list[Any]:
    # Strokes tell themselves through `paint`; undo and redo only through `set_data`.
    # Images cannot be painted.
    paint = [layer.events.paint] if hasattr(layer.events, "paint") else []
    return [*paint, layer.events.set_data]
