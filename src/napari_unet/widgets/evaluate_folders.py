"""Rows of a form: folders of predictions, references and images."""

from __future__ import annotations

from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_unet.errors import DataError
from napari_unet.widgets.evaluate_run import FoldersCompared
from napari_unet.widgets.style import show_row


class FolderRow(QWidget):
    """A path that can be typed or chosen."""

    changed = Signal()

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.edit = QLineEdit()
        self.edit.setToolTip(title)
        self.button = QPushButton("Choose…")
        self.button.setToolTip(f"Choose: {title}")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(self.button)
        self.edit.textChanged.connect(lambda _: self.changed.emit())
        self.button.clicked.connect(self._choose)

    def path(self) -> Path | None:
        """The folder, or None where there is none."""
        text = self.edit.text().strip()
        return Path(text).expanduser() if text else None

    def _choose(self, _: bool = False) -> None:
        start = self.edit.text() or str(Path.home())
        chosen = QFileDialog.getExistingDirectory(self, self._title, start)
        if chosen:
            self.edit.setText(chosen)


class FolderSection:
    """Three folders whose files belong together by their names."""

    changed = Signal()

    def __init__(self, form: QFormLayout) -> None:
        self._form = form
        self.predictions = FolderRow("Folder of predictions")
        self.labels = FolderRow("Folder of references")
        self.images = FolderRow("Folder of images")
        self.images.edit.setPlaceholderText("for pictures in the report")
        form.addRow("Predictions", self.predictions)
        form.addRow("References", self.labels)
        form.addRow("Images", self.images)
        for row in (self.predictions, self.labels, self.images):
            row.changed.connect(self.changed.emit)

    def set_visible(self, visible: bool) -> None:
        """Show or hide all rows."""
        for row in (self.predictions, self.labels, self.images):
            show_row(self._form, row, visible=visible)

    def compared(self) -> FoldersCompared:
        """The folders.

        Raises
        ------
        DataError
            If one is missing.
        """
        for row, what in (
            (self.predictions, "predictions"),
            (self.labels, "references"),
        ):
            path = row.path()
            if path is None:
                raise DataError(f"Choose the folder of the {what}.")
            if not path.is_dir():
                raise DataError(f"There is no folder {path}: check the path.")
        predictions, labels = self.predictions.path(), self.labels.path()
        images = self.images.path()
        if images is not None and not images.is_dir():
            raise DataError(f"There is no folder {images}: check the path.")
        if predictions is None or labels is None:
            raise DataError("Choose the folders of predictions and references.")
        return FoldersCompared(predictions, labels, images)
