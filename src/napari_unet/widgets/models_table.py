"""The table of the *Models* widget: one row a model, sorted by a click on a heading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
)

from napari_unet.models.library_entries import LibraryEntry, SortKey, sort_entries

HEADINGS: tuple[tuple[str, SortKey], ...] = (
    ("Model", "name"),
    ("Finds", "task"),
    ("Score", "score"),
    ("Date", "date"),
)
FINDS = {"classes": "classes", "objects": "objects", "regression": "values"}


class ModelsTable(QTableWidget):
    """Shows entries of the library, and says which one is chosen."""

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__(0, len(HEADINGS))
        self._entries: list[LibraryEntry] = []
        self._key: SortKey = "date"
        self.setHorizontalHeaderLabels([text for text, _ in HEADINGS])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setMinimumHeight(150)
        side, top = self.verticalHeader(), self.horizontalHeader()
        if side is not None and top is not None:
            side.hide()
            top.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            top.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            top.setMinimumSectionSize(40)
            top.setSectionsClickable(True)
            top.sectionClicked.connect(self._on_heading)
            top.setToolTip("Click to sort by this")
        self.itemSelectionChanged.connect(self.chosen.emit)

    @property
    def entry(self) -> LibraryEntry | None:
        """The chosen model."""
        rows = {index.row() for index in self.selectedIndexes()}
        return self._entries[rows.pop()] if rows else None

    def show_entries(
        self, some: Sequence[LibraryEntry], choose: Path | None = None
    ) -> None:
        """Show `some`, with the file `choose` chosen, or what was chosen before."""
        before = self.entry
        wanted = choose or (before.path if before is not None else None)
        self._entries = sort_entries(some, self._key)
        self.blockSignals(True)
        self.setRowCount(len(self._entries))
        for row, entry in enumerate(self._entries):
            for column, text in enumerate(_cells(entry)):
                item = QTableWidgetItem(text)
                item.setToolTip(entry.problem or entry.note or entry.name)
                if column == 2:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.setItem(row, column, item)
        self.clearSelection()
        rows = [i for i, e in enumerate(self._entries) if e.path == wanted]
        if rows:
            self.selectRow(rows[0])
        self.blockSignals(False)
        self.chosen.emit()

    def _on_heading(self, column: int) -> None:
        self._key = HEADINGS[column][1]
        self.show_entries(self._entries)


def _cells(entry: LibraryEntry) -> tuple[str, str, str, str]:
    info = entry.info
    finds = "?" if info is None else f"{FINDS[info.task]}, {info.ndim}D"
    score = "" if entry.score is None else f"{entry.score:.2f}"
    return entry.name, finds, score, f"{entry.created:%Y-%m-%d}"
