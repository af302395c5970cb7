"""The button that goes on with the last live run, on this day or another."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from psygnal import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_unet.errors import DataError
from napari_unet.live.project_info import (
    is_open_elsewhere,
    last_saved,
    list_projects,
    read_info,
)
from napari_unet.models.library import project_folder
from napari_unet.widgets.style import Colors, Message


class ContinueSection(QWidget):
    """Offers the newest project that no other viewer has open."""

    requested = Signal(Path)
    """The user wants to go on with the project in this folder."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.folder: Path | None = None
        """The project on offer."""
        self.button = QPushButton("Continue where I was")
        self.button.setToolTip("Bring back image, strokes and what was learnt")
        self.which, self.problem = Message("quiet"), Message("problem")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.other = QPushButton("Open a project…")
        self.other.setToolTip(
            "Go on with the folder of a project, such as one from another computer"
        )
        for part in (self.button, self.which, self.other, self.problem):
            layout.addWidget(part)
        self.button.clicked.connect(self._on_click)
        self.other.clicked.connect(self._on_other)
        self.refresh(active=False)

    def refresh(self, *, active: bool) -> None:
        """Look for projects again; nothing is offered while a run goes on."""
        self.folder = None if active else newest_project()
        self.problem.say("")
        self.setVisible(not active)
        self.button.setVisible(self.folder is not None)
        if self.folder is None:
            self.which.say("")
            return
        text = describe(self.folder)
        self.which.say(text)
        self.button.setToolTip(
            f"Bring back layers, classes and what was learnt, and go on. {text}"
        )

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.which.set_colors(colors)
        self.problem.set_colors(colors)

    def _on_click(self, _: bool = False) -> None:
        self.problem.say("")
        if self.folder is not None:
            self.requested.emit(self.folder)

    def _on_other(self, _: bool = False) -> None:
        self.problem.say("")
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder of a project", str(project_folder())
        )
        if not chosen:
            return
        folder = Path(chosen)
        if is_open_elsewhere(folder):
            self.problem.say(
                f"Another viewer has the project {folder.name!r} open: end its run "
                "first."
            )
            return
        self.requested.emit(folder)


def newest_project() -> Path | None:
    """The project that was written to last, unless another viewer has it open."""
    found = list_projects(project_folder())
    return next((folder for folder in found if not is_open_elsewhere(folder)), None)


def describe(folder: Path, now: datetime | None = None) -> str:
    """Which project it is and when it was saved: "cells, saved today at 14:05"."""
    try:
        info = read_info(folder)
        name = f"{info.name}, {info.task}"
    except DataError:
        name = folder.name  # pressing the button says what is wrong
    now = now or datetime.now()
    saved = datetime.fromtimestamp(last_saved(folder) or 0.0)
    day = "today" if saved.date() == now.date() else f"on {saved:%Y-%m-%d}"
    return f"{name}: saved {day} at {saved:%H:%M}."
