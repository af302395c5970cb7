"""Choosing a model from the library, or a model file from anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox, PushButton
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QWidget

from napari_unet.errors import ModelFileError
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import SUFFIX, list_models, model_folder, model_name
from napari_unet.models.model_file import read_info
from napari_unet.widgets.session import Session
from napari_unet.widgets.style import Colors, Message, narrow


class ModelSection:
    """Rows of a form: the model and what it is."""

    changed = Signal()

    def __init__(self, form: QFormLayout, news: Session) -> None:
        self._news = news
        self._opened: list[Path] = []
        self._cache: dict[tuple[Path, float], ModelInfo] = {}
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
        self.model.changed.connect(self._on_model)
        self.open.changed.connect(self._on_open)
        news.model_saved.connect(self.choose)
        self.refresh()

    def close(self) -> None:
        """Listen to news no longer."""
        self._news.model_saved.disconnect(self.choose)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.about.set_colors(colors)

    def refresh(self) -> None:
        """Offer the models that are there now, newest first."""
        before = self.model.value
        library = list_models()
        paths = [p for p in self._opened if p not in library and p.exists()] + library
        with self.model.changed.blocked():
            self.model.choices = [(model_name(p), p) for p in paths]
            if before not in paths and paths:
                self.model.value = paths[0]
        self._on_model()

    def choose(self, path: Path) -> None:
        """Choose a model file, in the library or elsewhere."""
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
        path = self.path()
        if not path.exists():
            raise ModelFileError(f"The model file {path} is gone: choose another one.")
        key = (path, path.stat().st_mtime)
        if key not in self._cache:
            self._cache = {key: read_info(path)}
        return self._cache[key]

    def _on_model(self, _: Any = None) -> None:
        try:
            self.about.say(describe(self.info()))
        except ModelFileError:
            self.about.say("")  # the widget shows the sentence below its button
        self.changed.emit()

    def _on_open(self, _: Any = None) -> None:
        name, _filter = QFileDialog.getOpenFileName(
            self.model.native,
            "Choose a model",
            str(model_folder()),
            f"U-Net models (*{SUFFIX});;All files (*)",
        )
        if name:
            self.choose(Path(name))


def describe(info: ModelInfo) -> str:
    """A model in a line or two, such as "2D, 1 channel, objects"."""
    channels = "1 channel" if info.n_channels == 1 else f"{info.n_channels} channels"
    what = "values" if info.task == "regression" else "objects"
    if info.task == "classes":
        what = ", ".join(c.name for c in info.classes)
    text = f"{info.ndim}D, {channels}: {what}"
    training = info.training
    if training.score is not None:
        text += f"; {training.score_name or 'score'} {training.score:.2f}"
    if info.created:
        text += f"; {info.created[:10]}"
    return text
