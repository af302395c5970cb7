"""*Train U-Net*: choose an image and an annotation, press Train, watch it learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFormLayout, QWidget
from superqt import QCollapsible

from napari_unet.config import PRESET_MINUTES, TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.errors import AnnotationError, UserError
from napari_unet.models.library import model_name
from napari_unet.widgets.annotation_layer import (
    annotated_values,
    class_names,
    classes_of,
    new_annotation_layer,
)
from napari_unet.widgets.annotation_section import AnnotationSection
from napari_unet.widgets.config_form import ConfigForm, build_config
from napari_unet.widgets.dock import DockWidget, make_form
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.image_section import ImageSection
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.loss_plot import LossPlot
from napari_unet.widgets.progress import RunPanel
from napari_unet.widgets.readings import level_zero
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.style import Colors, narrow
from napari_unet.widgets.training_run import TrainingRequest, TrainingRun

if TYPE_CHECKING:
    import napari

CHECK_MS = 300
"""Pause after the last stroke before the annotation is looked at again."""

QUICK_SIZE = 2**24
"""Pixels of an annotation up to which its values are counted while it is painted."""

NOT_ADVANCED = frozenset({"task", "annotation", "preset"})


class TrainWidget(DockWidget):
    """The *Train U-Net* dock widget."""

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        host: EngineHost | None = None,
        news: Session = session,
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = TrainingRun(self.host.engine, news)
        form = self.add_form()
        self.image = ImageSection(self.viewer, form)
        self.annotation = AnnotationSection(self.viewer, form)
        self.annotation.superpixels.image = self.image.snapshot
        self._add_settings(form)
        self.panel = RunPanel(self.run, "Train")
        self.panel.button.clicked.connect(self.train_or_stop)
        self.plot = LossPlot()
        self.plot.setVisible(False)
        self.add(self.panel)
        self.add(self.plot)
        self.add_device_line()
        self._check_timer = QTimer(self)
        self._check_timer.setSingleShot(True)
        self._check_timer.setInterval(CHECK_MS)
        self._check_timer.timeout.connect(self.check)
        self._connect()
        self.apply_theme()
        self.check()

    def _add_settings(self, form: QFormLayout) -> None:
        presets = [
            (f"{name.capitalize()}: up to {minutes:g} minutes", name)
            for name, minutes in PRESET_MINUTES.items()
        ]
        self.preset = ComboBox(choices=presets, value="balanced")
        narrow(self.preset.native)
        self.name = LineEdit(tooltip="Name of the model in your model folder")
        form.addRow("Preset", self.preset.native)
        form.addRow("Model name", self.name.native)
        numbers = QWidget()
        self.advanced = ConfigForm(
            TrainingConfig, make_form(numbers), without=NOT_ADVANCED
        )
        self.folded = QCollapsible("Advanced", expandedIcon="▾", collapsedIcon="▸")
        self.folded.addWidget(numbers)
        self.add(self.folded)

    def _connect(self) -> None:
        self.layer_news.changed.connect(self._on_layers)
        self.image.changed.connect(self.check_soon)
        self.annotation.changed.connect(self.check_soon)
        self.annotation.painted.connect(self.check_soon)
        self.annotation.new_requested.connect(self.new_annotation)
        self.preset.changed.connect(self.check_soon)
        self.name.changed.connect(self.check_soon)
        self.advanced.changed.connect(self.check_soon)
        self.panel.refreshed.connect(self._on_run)

    # What the user chose ---------------------------------------------------------

    def config(self) -> TrainingConfig:
        """The settings as they are filled in.

        Raises
        ------
        ConfigError
            If one of them is out of its range.
        """
        wishes: dict[str, Any] = {
            "task": self.annotation.task.value,
            "preset": self.preset.value,
            **self.advanced.wishes(),
        }
        rule = self.annotation.chosen_rule()
        if rule is not None:
            wishes["annotation"] = rule
        return build_config(wishes)

    def request(self) -> TrainingRequest:
        """Everything that a run needs.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        image, annotation, config = self._choices()
        classes = None
        if config.task == "classes":
            values = annotated_values(annotation.labels, annotation.unannotated_value)
            layer = self.annotation.layer.value
            classes = classes_of(layer, list(values), annotation.background_value)
        return TrainingRequest(
            image=image,
            annotation=annotation.labels,
            config=config,
            classes=classes,
            name=self.name.value.strip() or self._default_name(image),
        )

    def _choices(self) -> tuple[ImageSnapshot, Annotation, TrainingConfig]:
        """What was chosen, if something can be learnt from it; quick."""
        from napari_unet.data.checks import training_problems

        image = self.image.snapshot()
        annotation, config = self._annotation(image)
        problems = training_problems([annotation], config)
        if problems:
            raise AnnotationError(problems[0])
        return image, annotation, config

    def _annotation(self, image: ImageSnapshot) -> tuple[Annotation, TrainingConfig]:
        layer = self.annotation.layer.value
        if layer is None:
            raise AnnotationError(
                "There is no annotation yet: press New and paint a few strokes."
            )
        config = self.config()
        labels = level_zero(layer)
        found = Annotation(labels, image.source, config.annotation, config.background)
        if self.annotation.chosen_rule() is None:
            raise AnnotationError(
                f"Choose under Rule what 0 means in {layer.name!r}: not annotated, "
                "or background."
            )
        return found, config

    def _default_name(self, image: ImageSnapshot) -> str:
        return f"{image.name} {self.annotation.task.value}"

    # Checks ----------------------------------------------------------------------

    def check_soon(self) -> None:
        """Look at the choices again when the user pauses."""
        self._check_timer.start()

    def check(self) -> None:
        """Say what is wrong beside the controls, or allow Train."""
        self._check_timer.stop()
        self.annotation.summary.say(self._summary())
        self._offer_paint()
        try:
            image, _, _ = self._choices()
        except UserError as error:
            self.panel.set_problem(str(error))
        else:
            self.panel.set_problem("")
            self.name.native.setPlaceholderText(self._default_name(image))

    def _offer_paint(self) -> None:
        """Show what can be painted, once it is known what the values mean."""
        section = self.annotation
        layer, rule = section.layer.value, section.chosen_rule()
        if layer is None or rule is None or layer.multiscale:
            section.paint.show_for(None, "classes", [], None)
            return
        background: int | None = None
        if self.advanced.field("background").value:
            background = 1 if rule == "sparse" else 0
        values = {*class_names(layer)}
        if section.task.value == "classes" and layer.data.size <= QUICK_SIZE:
            unannotated = 0 if rule == "sparse" or background is None else None
            values |= set(annotated_values(layer.data, unannotated))
        section.paint.show_for(layer, section.task.value, sorted(values), background)

    def _summary(self) -> str:
        from napari_unet.data.checks import annotation_summary

        try:
            image = self.image.snapshot()
            layer = self.annotation.layer.value
            if layer is None:
                return ""
            config = self.config()
            labels, rule = level_zero(layer), self.annotation.chosen_rule()
            if rule is not None:
                found = Annotation(labels, image.source, rule, config.background)
                return annotation_summary(found, config.task)
            sparse = Annotation(labels, image.source, "sparse", config.background)
            complete = Annotation(labels, image.source, "complete", config.background)
            return (
                f"If sparse: {annotation_summary(sparse, config.task)}\n"
                f"If complete: {annotation_summary(complete, config.task)}"
            )
        except UserError:
            return ""  # the same problem is shown below the button

    # Actions ---------------------------------------------------------------------

    def new_annotation(self) -> None:
        """Add an empty annotation layer for the chosen image and choose it."""
        try:
            image = self.image.snapshot()
        except UserError as error:
            self.panel.set_problem(str(error))
            return
        layer = new_annotation_layer(image, self.annotation.task.value)
        self.viewer.add_layer(layer)
        self.annotation.choose(layer)
        self.viewer.layers.selection.active = layer

    def train_or_stop(self) -> None:
        """What the button does."""
        if self.run.active:
            self.run.stop()
        else:
            self.train()

    def train(self) -> None:
        """Start training with what is chosen now."""
        try:
            request = self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
            return
        self.run.start(request)

    # What changes ----------------------------------------------------------------

    def _on_layers(self) -> None:
        self.image.refresh()
        self.annotation.refresh()

    def _on_run(self) -> None:
        self.plot.setVisible(bool(self.run.curve.steps))
        self.plot.show_curve(self.run.curve)
        if self.run.active and self.run.device:
            self.say_device(self.run.device)
        if self.run.state == "done" and self.run.model_path is not None:
            self.name.native.setToolTip(
                f"Last saved: {model_name(self.run.model_path)}"
            )

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.panel.set_colors(colors)
        self.plot.set_colors(colors)
        self.annotation.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self.panel.refreshed.disconnect(self._on_run)
        self.panel.close_run()
        self.annotation.close()
        self.run.stop()
