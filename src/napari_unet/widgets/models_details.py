"""What the *Models* widget shows of the chosen model: picture, facts, name, note."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QFocusEvent, QPixmap
from qtpy.QtWidgets import QLabel, QLineEdit, QPlainTextEdit, QVBoxLayout, QWidget

from napari_unet.errors import ModelFileError
from napari_unet.models.library import is_built_in
from napari_unet.models.library_entries import LibraryEntry, size_text
from napari_unet.models.model_file import read_cover
from napari_unet.widgets.dock import make_form
from napari_unet.widgets.score_words import (
    HELD_OUT,
    exact_score,
    interval_in_words,
    score_in_words,
)
from napari_unet.widgets.style import Colors, Message

PICTURE_WIDTH, PICTURE_HEIGHT = 280, 160
SHOWN_IMAGES = 3


class _Note(QPlainTextEdit):
    """Says when it was left."""

    left = Signal()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        super().focusOutEvent(event)
        self.left.emit()


class ModelDetails(QWidget):
    """One model, with a name and a note that can be changed."""

    renamed = Signal(str)
    """The user typed another name."""
    noted = Signal(object, str)
    """The user wrote a note about a file."""

    def __init__(self) -> None:
        super().__init__()
        self.entry: LibraryEntry | None = None
        self.picture = QLabel()
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.picture.setToolTip("A training image, and what the model makes of it")
        self.facts = Message()
        self.name = QLineEdit()
        self.name.setToolTip("Type another name and press Enter")
        self.note = _Note()
        self.note.setPlaceholderText("What it is good for, for whom, …")
        self.note.setFixedHeight(56)
        self.note.setTabChangesFocus(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.picture)
        layout.addWidget(self.facts)
        form = make_form()
        form.addRow("Name", self.name)
        form.addRow("Note", self.note)
        layout.addLayout(form)
        self.name.editingFinished.connect(self._on_name)
        self.note.left.connect(self.keep_note)
        self.show_entry(None)

    def show_entry(self, entry: LibraryEntry | None) -> None:
        """Show a model, or nothing."""
        if self.entry is not None and (entry is None or entry.path != self.entry.path):
            self.keep_note()
        changed = entry != self.entry
        self.entry = entry
        self.setVisible(entry is not None)
        if entry is None or not changed:
            return
        fixed = is_built_in(entry.path)
        self.name.setReadOnly(fixed)
        self.note.setReadOnly(fixed)
        self.name.setText(entry.name)
        if not self.note.hasFocus():
            self.note.setPlainText(entry.note)
        self.facts.say(facts(entry), "plain" if entry.info is not None else "problem")
        exact = "" if entry.info is None else exact_score(entry.info.training)
        self.facts.setToolTip(exact)
        self._show_picture(entry)

    def keep_note(self) -> None:
        """Tell of the note as it is now."""
        text = self.note.toPlainText().strip()
        if self.entry is not None and text != self.entry.note:
            self.noted.emit(self.entry.path, text)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.facts.set_colors(colors)

    def _show_picture(self, entry: LibraryEntry) -> None:
        pixmap = QPixmap()
        try:
            data = read_cover(entry.path) if entry.info is not None else None
        except ModelFileError:
            data = None  # a damaged picture is no reason to hide a model
        if data is not None and pixmap.loadFromData(data, "PNG"):
            pixmap = pixmap.scaled(
                PICTURE_WIDTH,
                PICTURE_HEIGHT,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        self.picture.setPixmap(pixmap)
        self.picture.setVisible(not pixmap.isNull())

    def _on_name(self) -> None:
        text = self.name.text().strip()
        if self.entry is not None and text != self.entry.name:
            self.renamed.emit(text)


def facts(entry: LibraryEntry) -> str:
    """What a model is, in a few lines."""
    info = entry.info
    if info is None:
        return entry.problem
    training = info.training
    channels = "1 channel" if info.n_channels == 1 else f"{info.n_channels} channels"
    what = {"objects": "objects", "regression": "values"}.get(info.task)
    what = what or ", ".join(c.name for c in info.classes)
    lines = [f"Finds {what} in {info.ndim}D images of {channels}"]
    score = score_in_words(training)
    if score:
        score = f"{score}{interval_in_words(training)}"
        lines.append(f"{score[0].upper()}{score[1:]}, {HELD_OUT}")
    if training.n_images:
        names = ", ".join(training.images[:SHOWN_IMAGES])
        more = ", …" if len(training.images) > SHOWN_IMAGES else ""
        word = "image" if training.n_images == 1 else "images"
        lines.append(f"Trained on {training.n_images} {word}: {names}{more}")
    if training.annotated_voxels:
        counts = [f"{n:,} {name}" for name, n in training.annotated_voxels.items()]
        lines.append("Annotated: " + ", ".join(counts[:4]))
    if info.voxel_size:
        size = " × ".join(f"{s:.3g}" for s in info.voxel_size)
        unit = "" if info.unit == "pixel" else f" {info.unit}"
        lines.append(f"Pixel size {size}{unit}")
    lines.append(
        f"{info.network.name}, {size_text(entry.size)}, {entry.created:%Y-%m-%d %H:%M}"
    )
    return "\n".join(lines)
