"""*Train U-Net*: choose an image and an annotation, press Train, watch it learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFormLayout, QPushButton, QWidget
from superqt import QCollapsible

from napari_unet.config import PRESET_MINUTES, TrainingConfig
from napari_unet.errors import ConfigError, UserError
from napari_unet.models.library import model_name
from napari_unet.widgets.annotation_layer import new_annotation_layer
from napari_unet.widgets.annotation_section import AnnotationSection
from napari_unet.widgets.augmentation_preview import RehearsalSection
from napari_unet.widgets.bring_back import bring_back
from napari_unet.widgets.compare import CompareWindow
from napari_unet.widgets.compare_run import CompareRun
from napari_unet.widgets.config_form import ConfigForm
from napari_unet.widgets.continue_section import ContinueSection
from napari_unet.widgets.copy_recipe import CopyButtons, original_of, training_job
from napari_unet.widgets.dock import DockWidget, make_form
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.guide_link import GuideLink
from napari_unet.widgets.image_section import ImageSection
from napari_unet.widgets.live_run import LiveRequest, LiveRun
from napari_unet.widgets.live_section import LiveSection
from napari_unet.widgets.loss_plot import LossPlot
from napari_unet.widgets.placement import add_with_label
from napari_unet.widgets.preferences import preferred_settings
from napari_unet.widgets.progress import RunPanel
from napari_unet.widgets.project_keeper import ProjectKeeper
from napari_unet.widgets.project_view import view_info
from napari_unet.widgets.rehearsal_run import RehearsalRun
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.shortcuts import N_CLASSES, Shortcuts, with_key
from napari_unet.widgets.start_choice import AUTOMATIC, StartChoice
from napari_unet.widgets.style import Colors, narrow, show_row
from napari_unet.widgets.training_choices import TrainingChoices
from napari_unet.widgets.training_run import TrainingRequest, TrainingRun

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

    from napari_unet.reproduce import Recipe

CHECK_MS = 300
"""Pause after the last stroke before the annotation is looked at again."""

CHECK_LIVE_MS = 2000
"""The same while a live run goes on, which looks at the strokes itself."""

NOT_ADVANCED = frozenset({"task", "annotation", "preset"})
NOT_LIVE = frozenset({"minutes", "max_steps", "patience", "loss", "network"})
"""Settings that mean nothing while it learns live: it ends when nothing improves."""


class TrainWidget(DockWidget):
    """The *Train U-Net* dock widget.

    A complete annotation is learnt by :attr:`run`, which :attr:`panel` shows; a sparse
    one is learnt while it is painted, by the run of :attr:`live`.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        host: EngineHost | None = None,
        news: Session = session,
    ) -> None:
        super().__init__(napari_viewer, host)
        self._news = news
        self.run = TrainingRun(self.host.engine, news)
        self.keeper = ProjectKeeper()
        self.start_from = StartChoice(news)
        self.help = GuideLink(self, news)
        self.add(self.help.guide)
        form = self.add_form()
        self.image = ImageSection(self.viewer, form)
        self.annotation = AnnotationSection(self.viewer, form)
        self.annotation.superpixels.image = self.image.snapshot
        self._add_settings(form)
        self.choices = TrainingChoices(
            self.image, self.annotation, self.preset, self.advanced
        )
        self.compare = CompareWindow(
            CompareRun(self.host.engine), self.choices_request, self
        )
        self.panel = RunPanel(self.run, "Train")
        self.live = LiveSection(
            self.viewer, LiveRun(self.host.engine, news), self.annotation_layer
        )
        self.plot = LossPlot()
        self.plot.setVisible(False)
        self.again = ContinueSection()
        for part in (self.panel, self.live, self.again, self.plot):
            self.add(part)
        self.add_device_line()
        self._check_timer = QTimer(self)
        self._check_timer.setSingleShot(True)
        self._check_timer.timeout.connect(self.check)
        self._connect()
        self._bind_keys()
        self.apply_theme()
        self._show_mode()
        self.check()

    def _add_settings(self, form: QFormLayout) -> None:
        self.learn = CheckBox(
            text="Learn while I paint",
            value=True,
            tooltip="Show what the model thinks, and take in new strokes as they come",
        )
        presets = [
            (f"{name.capitalize()}: up to {minutes:g} minutes", name)
            for name, minutes in PRESET_MINUTES.items()
        ]
        self.preset = ComboBox(
            choices=presets,
            value="balanced",
            tooltip="Longer is better up to a point; it ends by itself before",
        )
        narrow(self.preset.native)
        self.name = LineEdit(tooltip="Name of the model in your model folder")
        form.addRow("", self.learn.native)
        form.addRow("Preset", self.preset.native)
        form.addRow("Model name", self.name.native)
        self._form = form
        numbers = QWidget()
        self._advanced_form = make_form(numbers)
        self._advanced_form.addRow("Start from", self.start_from)
        self.advanced = ConfigForm(
            TrainingConfig, self._advanced_form, without=NOT_ADVANCED
        )
        for field, preferred in preferred_settings().items():
            self.advanced.field(field).value = preferred
        self.folded = QCollapsible("Advanced", expandedIcon="▾", collapsedIcon="▸")
        self.folded.toggleButton().setToolTip("All settings, with what is automatic")
        self.folded.addWidget(numbers)
        self.rehearsal = RehearsalSection(
            self.viewer, RehearsalRun(self.host.engine), self.request
        )
        self.folded.addWidget(self.rehearsal)
        self.compare_button = QPushButton("Compare networks…")
        self.compare_button.setToolTip("Try several on this image, for minutes each")
        self.folded.addWidget(self.compare_button)
        self._comparing = False
        self.recipe = CopyButtons(self._recipe)
        self.folded.addWidget(self.recipe)
        self.add(self.folded)

    def _connect(self) -> None:
        self.layer_news.changed.connect(self._on_layers)
        self._news.predicted.connect(self._on_predicted)
        for part in (self.image, self.annotation, self.preset, self.name):
            part.changed.connect(self.check_soon)
        self.advanced.changed.connect(self.check_soon)
        self.start_from.changed.connect(self.check_soon)
        self.compare_button.clicked.connect(self._on_compare)
        self.compare.picked.connect(self._on_picked)
        self.compare.run.changed.connect(self._on_comparison)
        self.annotation.changed.connect(self._show_mode)
        self.learn.changed.connect(self._show_mode)
        self.annotation.painted.connect(self.check_soon)
        self.annotation.painted.connect(self.live.view.update_classes)
        self.annotation.limit.changed.connect(self.live.run.limit)
        self.annotation.new_requested.connect(self.new_annotation)
        self.panel.button.clicked.connect(self.train_or_stop)
        self.panel.refreshed.connect(self._on_run)
        self.run.ended.connect(self._on_ended)
        self.live.run.ended.connect(self._on_live_ended)
        self.live.start_requested.connect(self.train)
        self.live.class_wanted.connect(self.paint_class)
        self.live.by_itself.changed.connect(self.check_soon)
        self.live.refreshed.connect(self._on_run)
        self.live.run.classes_told.connect(self._keep_project)
        self.again.requested.connect(self.continue_project)

    def _bind_keys(self) -> None:
        classes = range(1, N_CLASSES + 1)
        self.live.main.setToolTip(with_key("Train, pause or continue", "train"))
        self.shortcuts = Shortcuts(
            self.viewer,
            {
                **{f"class {n}": partial(self._paint_row, n) for n in classes},
                "new object": self._paint_new_object,
                "superpixels": self.annotation.superpixels.toggle,
                "train": self.train_or_pause,
                "preview": self.live.toggle_preview,
            },
        )

    # What the user chose ---------------------------------------------------------

    @property
    def live_mode(self) -> bool:
        """Whether Train starts a run that learns while the user paints."""
        layer = self.annotation_layer()
        paintable = layer is None or not layer.multiscale
        return bool(self.learn.value) and self.sparse and paintable

    @property
    def sparse(self) -> bool:
        """Whether 0 means "not annotated", as it will in a layer that New makes."""
        rule = self.annotation.chosen_rule()
        return rule == "sparse" or (rule is None and self.annotation_layer() is None)

    @property
    def active_run(self) -> TrainingRun:
        """The run that goes on or, if none does, the one that Train would start."""
        for run in (self.run, self.live.run):
            if run.active:
                return run
        return self.live.run if self.live_mode else self.run

    def annotation_layer(self) -> Labels | None:
        """The chosen annotation."""
        layer: Labels | None = self.annotation.layer.value
        return layer

    def config(self) -> TrainingConfig:
        """The settings as they are filled in; see `TrainingChoices`."""
        return self.choices.config()

    def request(self) -> TrainingRequest:
        """Everything that a run needs; see `TrainingChoices`."""
        request = self.choices.request(self.name.value)
        start = self.start_from.start(request.image, request.config)
        return replace(request, start=start)

    def choices_request(self) -> TrainingRequest:
        """What there is to learn from, for a comparison, which starts from scratch."""
        return self.choices.request(self.name.value)

    def _recipe(self) -> Callable[[], Recipe]:
        request, layers = self.request(), self.image.layers()
        return training_job(
            request, original_of(layers[0]) if len(layers) == 1 else None
        )

    # Checks ----------------------------------------------------------------------

    def check_soon(self) -> None:
        """Look at the choices again when the user pauses."""
        self._check_timer.start(CHECK_LIVE_MS if self.live.run.active else CHECK_MS)

    def check(self) -> None:
        """Say what is wrong beside the controls, or allow Train."""
        self._check_timer.stop()
        self.annotation.summary.say(self.choices.summary())
        self.choices.offer_paint()
        try:
            if self.compare.run.active:
                raise ConfigError("Networks are being compared: wait, or stop that.")
            image, _, config = self.choices.checked()
            self.start_from.offer(image, config)
            self.start_from.start(image, config)
        except UserError as error:
            problem = str(error)
        else:
            problem = ""
            name = self.choices.default_name(image)
            self.name.native.setPlaceholderText(name)
        self._say_problem(problem)
        self.help.follow(ready=not problem)
        self._keep_project()
        by_itself = self.live_mode and self.live.by_itself.value
        if by_itself and not problem and not self.active_run.active:
            self.train()

    # Actions ---------------------------------------------------------------------

    def new_annotation(self) -> None:
        """Add an empty annotation layer for the chosen image and choose it."""
        try:
            image = self.image.snapshot()
        except UserError as error:
            self._say_problem(str(error))
            return
        layer = new_annotation_layer(image, self.annotation.task.value)
        add_with_label(self.viewer, layer, layer.selected_label)
        # napari's buttons only follow a mode that changes after the layer was added.
        layer.mode = "pan_zoom"
        layer.mode = "paint"
        self.annotation.choose(layer)
        self.viewer.layers.selection.active = layer

    def train_or_stop(self) -> None:
        """What the button of a run that is not live does."""
        if self.run.active:
            self.run.stop()
        else:
            self.train()

    def train_or_pause(self) -> None:
        """Train, pause or continue: what the keyboard does in either mode."""
        if self.active_run is self.run:
            self.train_or_stop()
        else:
            self.live.train_or_pause()

    def train(self) -> None:
        """Start training with what is chosen now."""
        try:
            request = self.request()
        except UserError as error:
            self._say_problem(str(error))
            return
        if self.live_mode:
            self._start_live(request)
        else:
            self.run.start(request)

    def _start_live(
        self,
        request: TrainingRequest,
        project: Path | None = None,
    ) -> None:
        layer, images = self.annotation_layer(), self.image.layers()
        if layer is None:
            return
        folder = self.keeper.begin(request, images, layer, project)
        values = {f.name: getattr(request, f.name) for f in fields(request)}
        # Train is offered only where there is something to learn from.
        painted = project is None
        live = LiveRequest(**values, project=str(folder), painted=painted)
        self.live.view.start(live, images[0], layer)
        if layer in self.viewer.layers:
            self.viewer.layers.selection.active = layer

    def continue_project(self, folder: Path) -> None:
        """Bring a project back into the viewer, and go on with its run."""
        if self.active_run.active:
            return
        try:
            request = bring_back(self, folder)
        except UserError as error:
            self.again.problem.say(str(error))
            return
        # The weights of the project count, whatever it started from.
        self._start_live(replace(request, start={"kind": AUTOMATIC}), folder)

    def _say_problem(self, sentence: str) -> None:
        self.panel.set_problem(sentence)
        self.live.set_problem(sentence)

    def _keep_project(self) -> None:
        self.keeper.update(
            self.live.run.classes, self.annotation.limit.box, view_info(self.viewer)
        )
        if self.keeper.problem and self.live.run.active:
            self.live.run.note(self.keeper.problem)

    def _on_compare(self) -> None:
        self.compare.check()
        self.compare.show()
        self.compare.raise_()

    def _on_comparison(self) -> None:
        """The engine does one thing at a time."""
        if self.compare.run.active != self._comparing:
            self._comparing = self.compare.run.active
            self.check()
            self._show_mode()

    def _on_picked(self, network: str) -> None:
        self.advanced.field("network").value = network
        self.compare.hide()

    def paint_class(self, value: int) -> None:
        """Select the annotation and a class of it."""
        if self._select_annotation():
            self.annotation.paint.paint_with(value)

    def _paint_row(self, number: int) -> None:
        if self._select_annotation():
            self.annotation.paint.paint_class(number)

    def _paint_new_object(self) -> None:
        if self._select_annotation():
            self.annotation.paint.paint_new_object()

    def _select_annotation(self) -> bool:
        layer = self.annotation_layer()
        if layer is None or layer not in self.viewer.layers:
            return False
        self.viewer.layers.selection.active = layer
        return True

    # What changes ----------------------------------------------------------------

    def _on_layers(self) -> None:
        self.image.refresh()
        self.annotation.refresh()

    def _show_mode(self, _: Any = None) -> None:
        """Show the controls of the run that goes on, or that Train would start."""
        live = isinstance(self.active_run, LiveRun)
        # What only the next run will know gives its room to the buttons of this one.
        painting = live and self.active_run.active
        show_row(self._form, self.learn.native, visible=self.sparse and not painting)
        show_row(self._form, self.preset.native, visible=not live)
        show_row(self._form, self.name.native, visible=not painting)
        self.folded.setVisible(not painting)
        self.start_from.show_for(live=live)
        self.advanced.leave_out(NOT_LIVE if live else frozenset())
        self.panel.setVisible(not live)
        self.live.setVisible(live)
        idle = not self.active_run.active
        self.rehearsal.allow(idle=idle and not self.compare.run.active, live=live)
        self.compare_button.setVisible(not live)
        self.compare_button.setEnabled(idle)

    def _on_run(self) -> None:
        run = self.active_run
        self._show_mode()
        if run.active == self.learn.enabled:  # it began or ended
            self._on_began_or_ended(active=run.active)
        self.learn.enabled = not run.active
        self.plot.setVisible(bool(run.curve.steps))
        self.plot.show_curve(run.curve)
        if run.active and run.device:
            self.say_device(run.device)
        if not run.active and run.model_path is not None:
            self.name.native.setToolTip(f"Last saved: {model_name(run.model_path)}")

    def _on_began_or_ended(self, *, active: bool) -> None:
        if not active:
            self._keep_project()
            self.keeper.end()
            self.help.guide.refresh()
        self.again.refresh(active=active)

    def _on_ended(self) -> None:
        _warn_of(self.run)

    def _on_live_ended(self) -> None:
        _warn_of(self.live.run)

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.help.guide.set_colors(colors)
        parts = (self.panel, self.live, self.again, self.plot, self.annotation)
        for part in (
            *parts,
            self.advanced,
            self.start_from,
            self.rehearsal,
            self.recipe,
            self.compare,
        ):
            part.set_colors(colors)
        return colors

    def _on_predicted(self) -> None:
        """The preview of a run that has ended would shine through the result."""
        if not self.live.run.active:
            self.live.view.show_preview(False)

    def close_parts(self) -> None:
        super().close_parts()
        self._news.predicted.disconnect(self._on_predicted)
        self.help.close()
        self.shortcuts.close()
        self.panel.refreshed.disconnect(self._on_run)
        self.run.ended.disconnect(self._on_ended)
        self.live.run.ended.disconnect(self._on_live_ended)
        self.live.refreshed.disconnect(self._on_run)
        self.panel.close_run()
        self.live.run.classes_told.disconnect(self._keep_project)
        self.live.close_run()
        self.keeper.end()
        self.start_from.close_news()
        self.annotation.close()
        self.run.stop()
        self.rehearsal.close_run()
        self.compare.run.changed.disconnect(self._on_comparison)
        self.compare.close_run()


def _warn_of(run: TrainingRun) -> None:
    """A run that failed is told where it is seen with the widget hidden, too."""
    from napari.utils.notifications import show_warning

    if run.state in ("failed", "crashed"):
        show_warning(run.message)
