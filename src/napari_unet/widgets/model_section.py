"""Choosing a model from the library, or a model file from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, PushButton
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QMessageBox,
    QWidget,
)

from napari_unet.errors import ModelFileError, UserError
from napari_unet.models.fits import fits
from napari_unet.models.foreign import needs_code
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import SUFFIX, list_models, model_folder, model_name
from napari_unet.models.model_file import read_info
from napari_unet.widgets.layers import snapshot
from napari_unet.widgets.readings import readings
from napari_unet.widgets.score_words import exact_score, score_in_words
from napari_unet.widgets.session import Session
from napari_unet.widgets.style import Colors, Message, narrow

if TYPE_CHECKING:
    from napari.layers import Image

CODE_QUESTION = """\
The model {name!r} of another program runs only with program code that came with its \
file. That code could do anything on this computer: read, change or delete your files.

Run it? Say yes only if you trust whoever made this file."""

NOT_ALLOWED = "Nothing was run: this model works only with its own code."

ImageKind = tuple[str, int, tuple[float, ...], str]
"""Axes, number of channels, pixel size along (Z) Y X and its unit."""


class ModelSection:
    """Rows of a form: the model and what it is."""

    changed = Signal()

    def __init__(self, form: QFormLayout, news: Session) -> None:
        self._news = news
        self._opened: list[Path] = []
        self._cache: dict[tuple[Path, float], ModelInfo | ModelFileError] = {}
        self._images: list[ImageKind] = []
        self._allowed: set[tuple[Path, float, int]] = set()
        self._picked = False
        self.model = ComboBox(choices=[], tooltip=f"Models in {model_folder()}")
        self.open = PushButton(text="Open…", tooltip="Choose a model file")
        self.about = Message("quiet")
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.model.native, 1)
        layout.addWidget(self.open.native)
        narrow(self.model.native)
        form.addRow("Model", row)
        form.addRow("", self.about)
        self.model.changed.connect(self._on_picked)
        self.open.changed.connect(self._on_open)
        news.model_saved.connect(self.choose)
        news.library_changed.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Listen to news no longer."""
        self._news.model_saved.disconnect(self.choose)
        self._news.library_changed.disconnect(self.refresh)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.about.set_colors(colors)

    def refresh(self) -> None:
        """Offer the models that are there now, newest first."""
        before = self.model.value
        library = list_models()
        paths = [p for p in self._opened if p not in library and p.exists()] + library
        reasons = {path: self._reason(path) for path in paths}
        paths.sort(key=lambda path: reasons[path] != "")  # those that fit come first
        choices = [(_choice(path, reasons[path]), path) for path in paths]
        with self.model.changed.blocked():
            # Choices that stay would stay in their old places.
            self.model.choices = []
            self.model.choices = choices
            if paths:
                # What nobody chose gives way to what fits.
                stays = before in paths and (self._picked or not reasons[before])
                self.model.value = before if stays else paths[0]
        self._on_model()

    def offer(self, images: Sequence[ImageKind]) -> None:
        """Offer models that fit an image first, and say why the others do not.

        Parameters
        ----------
        images : sequence of ImageKind
            Ways in which the image can be read; one that fits is enough.
        """
        if list(images) != self._images:
            self._images = list(images)
            self.refresh()

    def _reason(self, path: Path) -> str:
        """Why a model does not fit the image; empty where it does."""
        if not self._images:
            return ""
        try:
            info = self._read(path)
        except ModelFileError:
            return "cannot be read"
        reasons = [fits(info, *image) or "" for image in self._images]
        return "" if "" in reasons else reasons[0]

    def choose(self, path: Path) -> None:
        """Choose a model file, in the library or elsewhere."""
        self._picked = True
        if path not in list_models() and path not in self._opened:
            self._opened.insert(0, path)
        self.refresh()
        if path in self.model.choices:
            self.model.value = path

    def path(self) -> Path:
        """The chosen model file.

        Raises
        ------
        ModelFileError
            If there is none yet.
        """
        path: Path | None = self.model.value
        if path is None:
            raise ModelFileError(
                "There is no model yet: train one with Train U-Net, or open a file."
            )
        return path

    def info(self) -> ModelInfo:
        """What the chosen model says about itself.

        Raises
        ------
        ModelFileError
            If there is no model, or its file cannot be read.
        """
        return self._read(self.path())

    @property
    def code_allowed(self) -> bool:
        """Whether the person let the chosen model run code that comes with it."""
        path: Path | None = self.model.value
        return path is not None and path.exists() and _version(path) in self._allowed

    def may_run(self) -> bool:
        """Ask before code that came with a model is run; most models have none.

        Raises
        ------
        ModelFileError
            If there is no model, or its file cannot be used.
        """
        path = self.path()
        self._read(path)
        if self.code_allowed or not needs_code(path):
            return True
        version = _version(path)
        if not self.confirm(CODE_QUESTION.format(name=model_name(path))):
            return False
        # What was replaced while the question was open is another file.
        self._allowed.add(version)
        return True

    def confirm(self, question: str) -> bool:
        """Ask a question that is answered with yes or, unless chosen otherwise, no."""
        yes, no = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No
        box = QMessageBox(self.model.native.window())
        box.setIcon(QMessageBox.Icon.Warning)
        box.setWindowTitle("Run code of this model?")
        box.setTextFormat(Qt.TextFormat.PlainText)  # names come from strangers
        box.setText(question)
        box.setStandardButtons(yes | no)
        box.setDefaultButton(no)
        box.setEscapeButton(no)
        return bool(box.exec() == yes)

    def _read(self, path: Path) -> ModelInfo:
        if not path.exists():
            raise ModelFileError(f"The model file {path} is gone: choose another one.")
        key = (path, path.stat().st_mtime)
        if key not in self._cache:
            try:
                self._cache[key] = read_info(path)
            except ModelFileError as error:
                self._cache[key] = error
        found = self._cache[key]
        if isinstance(found, ModelFileError):
            raise found
        return found

    def _on_picked(self, _: Any = None) -> None:
        self._picked = True
        self._on_model()

    def _on_model(self) -> None:
        try:
            info = self.info()
            self.about.say(describe(info))
            self.about.setToolTip(exact_score(info.training))
        except ModelFileError:
            self.about.say("")  # the widget shows the sentence below its button
        self.changed.emit()

    def _on_open(self, _: Any = None) -> None:
        name, _filter = QFileDialog.getOpenFileName(
            self.model.native,
            "Choose a model",
            str(model_folder()),
            f"U-Net models (*{SUFFIX});;Models of other programs (*.zip)"
            ";;All files (*)",
        )
        if name:
            self.choose(Path(name))


def _version(path: Path) -> tuple[Path, float, int]:
    stat = path.stat()
    return path, stat.st_mtime, stat.st_size


def image_kinds(layers: Sequence[Image]) -> list[ImageKind]:
    """Ways in which image layers, channels of one image, can be read."""
    if not layers:
        return []
    try:
        found = readings(layers[0])
    except UserError:
        return []  # the widget says what is wrong with the image
    kinds: list[ImageKind] = []
    for reading in found:
        if len(layers) > 1 and "C" in reading.axes:
            continue
        try:
            taken = snapshot(layers[:1], reading)
        except UserError:
            continue
        channels = taken.source.n_channels * len(layers)
        kinds.append((reading.axes, channels, taken.voxel_size, taken.unit))
    return kinds


def _choice(path: Path, reason: str) -> str:
    return f"{model_name(path)} ({reason})" if reason else model_name(path)


def describe(info: ModelInfo) -> str:
    """A model in a line or two, such as "2D, 1 channel, objects"."""
    channels = "1 channel" if info.n_channels == 1 else f"{info.n_channels} channels"
    what = "values" if info.task == "regression" else "objects"
    if info.task == "classes":
        what = ", ".join(c.name for c in info.classes)
    text = f"{info.ndim}D, {channels}: {what}"
    score = score_in_words(info.training)
    if score:
        text += f"; {score}"
    if info.created:
        text += f"; {info.created[:10]}"
    return text
