"""*Models*: the library of models, to find, name, note, copy, share and delete."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_unet.errors import UserError
from napari_unet.models.library import (
    FOLDER_VARIABLE,
    is_built_in,
    list_models,
    model_folder,
    model_name,
)
from napari_unet.models.library_changes import (
    delete_model,
    duplicate_model,
    export_model,
    import_model,
    rename_model,
)
from napari_unet.models.library_entries import (
    LibraryEntry,
    find,
    read_entry,
    read_note,
    write_note,
)
from napari_unet.models.library_settings import choose_folder
from napari_unet.widgets.dock import DockWidget
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.models_details import ModelDetails
from napari_unet.widgets.models_table import ModelsTable
from napari_unet.widgets.preferences import preferences
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.style import Colors, Message

if TYPE_CHECKING:
    import napari

SLICE_SECONDS = 0.02
"""Models are read this long at a time, so that hundreds do not hold the viewer up."""


class ModelsWidget(DockWidget):
    """The *Models* dock widget."""

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        host: EngineHost | None = None,
        news: Session = session,
    ) -> None:
        super().__init__(napari_viewer, host)
        self._news = news
        self._known: dict[Path, LibraryEntry] = {}
        self._unread: list[Path] = []
        self._choose: Path | None = None
        self.setAcceptDrops(True)
        self.search = QLineEdit()
        self.search.setToolTip("Words of names, notes and what models find")
        self.search.setPlaceholderText("Find by name, class, image or note")
        self.search.setClearButtonEnabled(True)
        self.table = ModelsTable()
        self.empty = Message("quiet")
        self.details = ModelDetails()
        self.message = Message()
        self.where = Message("quiet")
        for part in (self.search, self.table, self.empty, self.details):
            self.add(part)
        self._add_buttons()
        self.add(self.message)
        self.add(self.where)
        self._add_folder_buttons()
        self._timer = QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._read_some)
        self.search.textChanged.connect(self._show)
        self.table.chosen.connect(self._on_chosen)
        self.details.renamed.connect(self.rename)
        self.details.noted.connect(self.keep_note)
        news.model_saved.connect(self._on_saved)
        news.library_changed.connect(self.refresh)
        self.apply_theme()
        self.refresh()

    def _add_buttons(self) -> None:
        buttons = QWidget()
        grid = QGridLayout(buttons)
        grid.setContentsMargins(0, 0, 0, 0)
        self.copy = self._button("Duplicate", self.duplicate)
        self.share = self._button("Export…", self.ask_export)
        self.trash = self._button("Delete", self.delete)
        self.bring = self._button("Import…", self.ask_import)
        self.copy.setToolTip("Copy the model under another name")
        self.share.setToolTip("Copy the model to a file, to give it away")
        self.trash.setToolTip("Moves the model to the system's trash")
        self.bring.setToolTip("Copy model files here; dropping them works, too")
        places = (self.copy, self.share, self.trash, self.bring)
        for number, button in enumerate(places):
            grid.addWidget(button, number // 2, number % 2)
        self.add(buttons)

    def _add_folder_buttons(self) -> None:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.move_folder = self._button("Other folder…", self.ask_folder)
        self.usual = self._button("Usual folder", lambda: self.set_folder(None))
        layout.addWidget(self.move_folder)
        layout.addWidget(self.usual)
        self.add(row)

    def _button(self, text: str, action: Callable[[], object]) -> QPushButton:
        button = QPushButton(text)
        button.clicked.connect(lambda *_: action())
        return button

    # What is shown -------------------------------------------------------------------

    def refresh(self) -> None:
        """Look into the folder again; models that are new are read bit by bit."""
        paths = list_models()
        self._known = {p: e for p, e in self._known.items() if p in paths}
        self._unread = [p for p in paths if not self._is_known(p)]
        self.where.say(f"Models are kept in {model_folder()}")
        fixed = bool(os.environ.get(FOLDER_VARIABLE))
        for button in (self.move_folder, self.usual):
            button.setEnabled(not fixed)
            button.setToolTip(
                f"The environment variable {FOLDER_VARIABLE} says where models are"
                if fixed
                else "Models that are there already stay where they are"
            )
        self._read_some()
        if self._unread:
            self._timer.start()

    def _is_known(self, path: Path) -> bool:
        entry = self._known.get(path)
        try:
            stat = path.stat()
        except OSError:
            return False
        return (
            entry is not None
            and (entry.size, entry.modified) == (stat.st_size, stat.st_mtime)
            and (read_note(path) or entry.note) == entry.note
        )

    def _read_some(self) -> None:
        end = time.monotonic() + SLICE_SECONDS
        while self._unread and time.monotonic() < end:
            path = self._unread.pop(0)
            entry = read_entry(path)
            if entry is not None:
                self._known[path] = entry
        if not self._unread:
            self._timer.stop()
        self._show()

    def _show(self, _: Any = None) -> None:
        found = find(self._known.values(), self.search.text())
        self.table.show_entries(found, self._choose)
        self._choose = None
        text = ""
        if not found and self._known:
            text = "No model has all of these words."
        elif not found and not self._unread:
            text = (
                "There is no model yet: train one with Train U-Net, or drop a model "
                "file here."
            )
        self.empty.say(text)

    def _on_chosen(self) -> None:
        entry = self.table.entry
        self.details.show_entry(entry)
        for button in (self.copy, self.share):
            button.setEnabled(entry is not None)
        self.trash.setEnabled(entry is not None and not is_built_in(entry.path))

    # What is done --------------------------------------------------------------------

    def rename(self, name: str) -> None:
        """Give the chosen model another name."""
        self.details.keep_note()
        entry = self.table.entry
        if entry is None:
            return

        def do() -> str:
            self._choose = rename_model(entry.path, name)
            return f"{entry.name!r} is now {model_name(self._choose)!r}."

        if not self._do(do):
            self.details.name.setText(entry.name)

    def keep_note(self, path: Path, text: str) -> None:
        """Keep a note about a model."""

        def do() -> str:
            write_note(path, text)
            return ""

        if path.exists():
            self._do(do)

    def duplicate(self) -> None:
        """Copy the chosen model under a name that is free."""
        entry = self.table.entry
        if entry is None:
            return

        def do() -> str:
            self._choose = duplicate_model(entry.path)
            return f"Copied as {model_name(self._choose)!r}."

        self._do(do)

    def delete(self) -> None:
        """Move the chosen model to the trash."""
        entry = self.table.entry
        if entry is None:
            return

        def do() -> str:
            delete_model(entry.path)
            return f"{entry.name!r} is in the trash."

        self._do(do)

    def ask_export(self) -> None:
        """Ask where a copy of the chosen model goes."""
        entry = self.table.entry
        if entry is None:
            return
        # The dialog itself asks before a file is replaced.
        name, _ = QFileDialog.getSaveFileName(
            self, "Export a model", entry.path.name, "Models (*.zip)"
        )
        if name:
            self.export(Path(name))

    def export(self, target: Path) -> None:
        """Copy the chosen model to a file; one that is there is replaced."""
        entry = self.table.entry
        if entry is None:
            return

        def do() -> str:
            return f"Written: {export_model(entry.path, target, overwrite=True)}"

        self._do(do)

    def ask_import(self) -> None:
        """Ask for model files."""
        names, _ = QFileDialog.getOpenFileNames(
            self, "Import models", "", "Models (*.zip);;All files (*)"
        )
        self.take([Path(name) for name in names])

    def take(self, paths: list[Path]) -> None:
        """Copy model files into the library."""

        def do() -> str:
            said = []
            for path in paths:
                added, new = import_model(path)
                self._choose = added
                name = model_name(added)
                said.append(f"{name!r} was added." if new else f"{name!r} was here.")
            return " ".join(said)

        if paths:
            self._do(do)

    def ask_folder(self) -> None:
        """Ask for another folder for models."""
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder of your models", str(model_folder())
        )
        if chosen:
            self.set_folder(Path(chosen))

    def set_folder(self, folder: Path | None) -> None:
        """Keep models elsewhere from now on; ``None``: in the usual folder."""

        def do() -> str:
            choose_folder(folder)
            preferences.show(folder)
            return ""

        self._do(do)

    def _do(self, action: Callable[[], str]) -> bool:
        """Do something, and say what became of it."""
        try:
            text = action()
        except UserError as error:
            self.message.say(str(error), "problem")
            done = False
        else:
            self.message.say(text, "good")
            done = True
        self._news.library_changed.emit()
        return done

    # What happens around -------------------------------------------------------------

    def _on_saved(self, path: Path) -> None:
        self._choose = path
        self.refresh()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        if event is not None and _dropped(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        if event is not None:
            event.acceptProposedAction()
            self.take(_dropped(event))

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        preferences.follow()
        self.refresh()  # the library is a folder: files come and go

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        for part in (self.empty, self.details, self.message, self.where):
            part.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        self.details.keep_note()
        self._news.model_saved.disconnect(self._on_saved)
        self._news.library_changed.disconnect(self.refresh)
        super().close_parts()


def _dropped(event: QDropEvent) -> list[Path]:
    data = event.mimeData()
    urls = data.urls() if data is not None else []
    return [Path(u.toLocalFile()) for u in urls if u.toLocalFile().endswith(".zip")]
