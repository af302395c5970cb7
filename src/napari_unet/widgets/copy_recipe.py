"""*Copy as command* and *Copy as Python*: the work of a widget, to do anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QPushButton,
    QWidget,
)

from napari_unet.errors import UserError
from napari_unet.image_io.store import PixelSize
from napari_unet.live.project_info import free_folder
from napari_unet.models.library import SUFFIX, project_folder
from napari_unet.reproduce import (
    Recipe,
    annotation_file,
    image_file,
    prediction_recipe,
    training_recipe,
)
from napari_unet.widgets.runs import copied
from napari_unet.widgets.style import Colors, Message

if TYPE_CHECKING:
    from napari_unet.widgets.prediction_run import PredictionRequest
    from napari_unet.widgets.training_run import TrainingRequest

Language = Literal["command", "Python"]
LOOK_MS = 50


class CopyButtons(QWidget):
    """Two buttons, and what became of the last press.

    Parameters
    ----------
    prepare : callable
        Looks at what is chosen, on the GUI thread, and returns what writes files and
        makes the recipe, on a thread of its own. Raises `UserError` where something is
        missing.
    """

    def __init__(self, prepare: Callable[[], Callable[[], Recipe]]) -> None:
        super().__init__()
        self._prepare = prepare
        self._thread: threading.Thread | None = None
        self._made: Recipe | UserError | None = None
        self._language: Language = "command"
        self.command = QPushButton("Copy as command")
        self.python = QPushButton("Copy as Python")
        self.command.setToolTip("The same work for a terminal, without the viewer")
        self.python.setToolTip("The same work as a script")
        self.message = Message("quiet")
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.command, 0, 0)
        grid.addWidget(self.python, 0, 1)
        grid.addWidget(self.message, 1, 0, 1, 2)
        self.command.clicked.connect(lambda *_: self.copy("command"))
        self.python.clicked.connect(lambda *_: self.copy("Python"))
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)

    @property
    def busy(self) -> bool:
        """Whether files are being written."""
        return self._thread is not None

    def copy(self, language: Language) -> None:
        """Put the work into the clipboard; files that it needs are written first."""
        if self.busy:
            return
        try:
            make = self._prepare()
        except UserError as error:
            self.message.say(str(error), "problem")
            return
        self._language, self._made = language, None
        self.message.say("Writing what it needs…", "quiet")
        self._allow(False)

        def run() -> None:
            try:
                self._made = make()
            except UserError as error:
                self._made = error

        self._thread = threading.Thread(target=run, name="unet-recipe", daemon=True)
        self._thread.start()
        self._timer.start()

    def _look(self) -> None:
        if self._thread is None or self._thread.is_alive():
            return
        self._timer.stop()
        self._thread = None
        self._allow(True)
        made = self._made
        if not isinstance(made, Recipe):
            self.message.say(
                str(made) if made else "It could not be written: see the log.",
                "problem",
            )
            return
        text = made.command if self._language == "command" else made.script
        if not text:
            self.message.say(made.why, "problem")
            return
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(text)
        self.message.say(f"Copied as {self._language}: paste it anywhere.", "good")

    def _allow(self, on: bool) -> None:
        self.command.setEnabled(on)
        self.python.setEnabled(on)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.message.set_colors(colors)


def training_job(
    request: TrainingRequest, original: Path | None
) -> Callable[[], Recipe]:
    """What writes the recipe of a training; `original` is the image's own file."""
    labels = copied(request.annotation)
    folder = _folder(request.name)
    source = request.image.source
    names = None
    if request.classes is not None:
        names = {c.value: c.name for c in request.classes}

    def make() -> Recipe:
        image = image_file(source, original, folder)
        annotation = annotation_file(labels, source, folder)
        return training_recipe(
            image,
            annotation,
            request.config,
            folder / f"{request.name.replace('/', '_')}{SUFFIX}",
            ndim=source.ndim,
            class_names=names,
            start=request.start.get("path"),
        )

    return make


def prediction_job(
    request: PredictionRequest, original: Path | None
) -> Callable[[], Recipe]:
    """What writes the recipe of a prediction; `original` is the image's own file."""
    folder = _folder(request.name)
    source = request.image.source
    mask = copied(request.mask)
    near = PixelSize.known(request.info.voxel_size, request.info.unit)

    def make() -> Recipe:
        image = image_file(source, original, folder, near)
        outside = None
        if mask is not None:
            named = replace(source, name=f"{source.name} mask")
            outside = annotation_file(mask, named, folder)
        return prediction_recipe(
            request.model_path,
            image,
            folder,
            samples=request.samples(),
            region=request.region(),
            objects=request.objects,
            mask=outside,
            probabilities=request.probabilities,
            views=request.views,
            resample=request.resample,
        )

    return make


def original_of(layer: object) -> Path | None:
    """The file that an image layer was read from."""
    path = getattr(getattr(layer, "source", None), "path", None)
    return Path(path) if path and Path(path).exists() else None


def _folder(name: str) -> Path:
    parent = project_folder().with_name("recipes")
    return free_folder(parent, name, datetime.now())
