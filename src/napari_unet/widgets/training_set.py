"""*Training set*: images and annotations of many days in a folder, to train on all."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, LineEdit
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_unet.config import PRESET_MINUTES, TrainingConfig, training_config
from napari_unet.data.values import annotation_for
from napari_unet.errors import AnnotationError, DataError, UserError
from napari_unet.models.library import free_path, model_name
from napari_unet.training_set import SetInfo, TrainingSet
from napari_unet.widgets.annotation_layer import class_names, rule_of
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.evaluate_folders import FolderRow
from napari_unet.widgets.image_section import ImageSection
from napari_unet.widgets.readings import level_zero
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.runs import copied
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.style import Colors, Message, narrow
from napari_unet.widgets.training_run import TrainingRun

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

LOOK_MS = 50
RULES = [
    ("0 is not annotated (sparse)", "sparse"),
    ("0 is background (complete)", "complete"),
]


@dataclass(frozen=True)
class SetRequest:
    """A training on all images of a set."""

    folder: Path
    name: str
    config: dict[str, Any] = field(default_factory=dict)


class SetRun(TrainingRun):
    """Trains on a folder in the engine."""

    task = "train_set"

    def _params(self, request: Any) -> dict[str, Any]:
        path = free_path(request.name)
        return {
            "folder": str(request.folder),
            "config": request.config,
            "model_path": str(path),
            "model_name": model_name(path),
        }

    def _inputs(self, request: Any) -> dict[str, Any]:
        return {}


class TrainingSetWidget(RunDock):
    """The *Training set* dock widget."""

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        host: EngineHost | None = None,
        news: Session = session,
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = SetRun(self.host.engine, news)
        self._info: SetInfo | None = None
        self._thread: threading.Thread | None = None
        self._failed = ""
        form = self.add_form()
        self.folder = FolderRow("Folder of the training set")
        self.folder.setToolTip("It may be empty or new; copy it to go on elsewhere")
        form.addRow("Folder", self.folder)
        self.table = _table()
        self.add(self.table)
        self.about = Message("quiet")
        self.add(self.about)
        layers = self.add_form()
        self.image = ImageSection(self.viewer, layers)
        self.labels = ComboBox(choices=[], tooltip="The annotation of the image")
        self.task = ComboBox(
            choices=["classes", "objects"],
            value="classes",
            tooltip="Objects that touch are kept apart; classes are areas of a kind",
        )
        self.rule = ComboBox(choices=RULES, tooltip="What 0 means in this layer")
        for title, box in (
            ("Annotation", self.labels),
            ("Task", self.task),
            ("Rule", self.rule),
        ):
            narrow(box.native)
            layers.addRow(title, box.native)
        self._add_buttons()
        training = self.add_form()
        presets = [
            (f"{n.capitalize()}: up to {m:g} minutes", n)
            for n, m in PRESET_MINUTES.items()
        ]
        self.preset = ComboBox(
            choices=presets,
            value="balanced",
            tooltip="Longer is better up to a point; it ends by itself before",
        )
        self.name = LineEdit(tooltip="Name of the model in your library")
        training.addRow("Preset", self.preset.native)
        training.addRow("Model name", self.name.native)
        self.add_run("Train on all")
        self.add_device_line()
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.layer_news.changed.connect(self._on_layers)
        self.folder.changed.connect(self.show_set)
        self.labels.changed.connect(self._on_labels)
        self.table.itemSelectionChanged.connect(self._on_row)
        self._on_layers()
        self.apply_theme()
        self.show_set()

    def _add_buttons(self) -> None:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.put = QPushButton("Add")
        self.put.setToolTip(
            "Add the image with its annotation as it is now; an image that is there "
            "gets the new annotation, and the old one is kept in the folder “earlier”"
        )
        self.take = QPushButton("Remove")
        self.take.setToolTip("Moves the chosen row into the folder “earlier”")
        self.put.clicked.connect(lambda *_: self.add_pair())
        self.take.clicked.connect(lambda *_: self.remove_pair())
        layout.addWidget(self.put)
        layout.addWidget(self.take)
        self.message = Message()
        self.add(row)
        self.add(self.message)

    # What is there -------------------------------------------------------------------

    def set(self) -> TrainingSet:
        """The chosen training set, which may not exist yet.

        Raises
        ------
        DataError
            If no folder is chosen.
        """
        folder = self.folder.path()
        if folder is None:
            raise DataError("Choose a folder for the training set; it may be new.")
        return TrainingSet(folder)

    def show_set(self) -> None:
        """Show what is in the folder."""
        self._info = None
        text = ""
        try:
            images = self.set()
            if images.exists():
                self._info = images.info()
        except UserError as error:
            text = str(error) if self.folder.path() is not None else ""
        info = self._info
        items = info.items if info is not None else ()
        self.table.setRowCount(len(items))
        for row, item in enumerate(items):
            cells = (item.name, f"{item.annotated:,}", item.added[:10])
            for column, cell in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(cell))
        if info is not None:
            rule = "" if info.task == "regression" else f", annotated {info.annotation}"
            count = "1 image" if len(items) == 1 else f"{len(items)} images"
            text = f"{count}: {info.task}{rule}"
            if info.task in ("classes", "objects"):
                self.task.value = info.task
        self.task.enabled = info is None or not items
        self.about.say(text)
        self._on_row()
        self.check()

    def _on_row(self) -> None:
        self.take.setEnabled(bool(self.table.selectedIndexes()) and not self.busy)

    def _on_layers(self) -> None:
        from napari.layers import Labels

        self.image.refresh()
        found = [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Labels) and not is_preview(layer)
        ]
        before = self.labels.value
        self.labels.choices = [(layer.name, layer) for layer in found]
        if before is None and found:
            self.labels.value = found[-1]
        self._on_labels()

    def _on_labels(self, _: Any = None) -> None:
        rule = None if self.labels.value is None else rule_of(self.labels.value)
        if rule is not None:
            self.rule.value = rule
        self.rule.enabled = rule is None  # a layer of our own knows

    # What is done --------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether files are being written."""
        return self._thread is not None

    def add_pair(self) -> None:
        """Add the chosen layers to the set; files are written on a thread."""
        if self.busy:
            return
        try:
            images = self.set()
            source = self.image.snapshot().source
            layer: Labels | None = self.labels.value
            if layer is None:
                raise AnnotationError(
                    "There is no annotation: paint one in Train U-Net, or open labels."
                )
            config = self._config()
            labels = copied(level_zero(layer))
            annotation_for(labels, source, config)  # says what does not fit
        except UserError as error:
            self.message.say(str(error), "problem")
            return
        names = class_names(layer)
        self._failed = ""
        self.message.say("Writing…", "quiet")

        def write() -> None:
            try:
                images.add(source, labels, config, names)
            except UserError as error:
                self._failed = str(error)

        self._thread = threading.Thread(target=write, name="unet-set", daemon=True)
        self._thread.start()
        self._timer.start()
        self.put.setEnabled(False)

    def _config(self) -> TrainingConfig:
        return training_config(task=self.task.value, annotation=self.rule.value)

    def _look(self) -> None:
        if self._thread is None or self._thread.is_alive():
            return
        self._timer.stop()
        self._thread = None
        self.put.setEnabled(True)
        if self._failed:
            self.message.say(self._failed, "problem")
        else:
            self.message.say("Added.", "good")
        self.show_set()

    def remove_pair(self) -> None:
        """Take the chosen image out of the set."""
        rows = {index.row() for index in self.table.selectedIndexes()}
        if not rows or self._info is None or self.busy:
            return
        name = self._info.items[rows.pop()].name
        try:
            self.set().remove(name)
        except UserError as error:
            self.message.say(str(error), "problem")
        else:
            self.message.say(f"{name!r} is in the folder “earlier” now.", "good")
        self.show_set()

    def request(self) -> SetRequest:
        """Everything that a training on all needs.

        Raises
        ------
        UserError
            If there is nothing to train on.
        """
        images = self.set()
        if self._info is None:
            images.info()  # says why
        if self._info is None or not self._info.items:
            raise DataError("The training set is empty: add an image first.")
        name = self.name.value.strip() or images.folder.name
        return SetRequest(images.folder, name, {"preset": self.preset.value})

    def _on_ended(self) -> None:
        self.check()

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.message.set_colors(colors)
        self.about.set_colors(colors)
        return colors


def _table() -> QTableWidget:
    table = QTableWidget(0, 3)
    table.setHorizontalHeaderLabels(["Image", "Annotated", "Added"])
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    side, top = table.verticalHeader(), table.horizontalHeader()
    if side is not None and top is not None:
        side.hide()
        top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        top.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return table
