"""The table of objects in the dock: sorts by any column, however many rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt
from qtpy.QtWidgets import QAbstractItemView, QTableView, QWidget

from napari_unet.measure.table import ObjectTable, title

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class ObjectModel(QAbstractTableModel):
    """An `ObjectTable` for Qt; rows of the view in an order of its own."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.table: ObjectTable | None = None
        self._names: list[str] = []
        self._order: NDArray[np.intp] = np.arange(0)
        self._place: NDArray[np.intp] = np.arange(0)

    def set_table(self, table: ObjectTable | None) -> None:
        """Show another table, in its own order."""
        self.beginResetModel()
        self.table = table
        self._names = [] if table is None else list(table.columns)
        self._arrange(np.arange(0 if table is None else len(table)))
        self.endResetModel()

    def object_at(self, row: int) -> int:
        """Row of the table that a row of the view shows."""
        return int(self._order[row])

    def row_of(self, item: int) -> int:
        """Row of the view that shows a row of the table."""
        return int(self._place[item])

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        inside = parent is not None and parent.isValid()
        return 0 if inside else len(self._order)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        inside = parent is not None and parent.isValid()
        return 0 if inside else len(self._names)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if self.table is None or not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return RIGHT
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        column = self.table.columns[self._names[index.column()]]
        return shown(column[self._order[index.row()]])

    def headerData(
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        if self.table is None or orientation != Qt.Orientation.Horizontal:
            return None
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return None
        return title(self._names[section], self.table.unit)

    def sort(
        self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder
    ) -> None:
        if self.table is None or not 0 <= column < len(self._names):
            return
        values = self.table.columns[self._names[column]]
        if values.dtype == np.dtype(object):
            values = values.astype(str)
        rows = np.argsort(values, kind="stable")
        if order == Qt.SortOrder.DescendingOrder:
            known = values == values  # what is not known stays last
            count = int(known.sum())
            rows = np.concatenate([rows[:count][::-1], rows[count:]])
        self.beginResetModel()
        self._arrange(rows)
        self.endResetModel()

    def _arrange(self, rows: NDArray[np.intp]) -> None:
        self._order = rows
        self._place = np.empty_like(rows)
        self._place[rows] = np.arange(len(rows))


def shown(value: Any) -> str:
    """A value as the table writes it."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, str | int | np.integer):
        return str(value)
    number = float(value)
    if number != number:
        return "–"
    size = abs(number)
    if size >= 1e6 or 0 < size < 1e-3:
        return f"{number:.3e}"
    digits = 0 if size >= 10_000 else 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{number:.{digits}f}"


class ObjectView(QTableView):
    """The table; tells which objects are chosen, and can be told."""

    chosen = Signal(int)
    """The person went to this row of the table."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.objects = ObjectModel(self)
        self.setModel(self.objects)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setMinimumHeight(320)
        self.setSortingEnabled(True)
        header, rows = self.horizontalHeader(), self.verticalHeader()
        if header is not None and rows is not None:
            rows.hide()
            rows.setDefaultSectionSize(rows.minimumSectionSize())
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self._current: int | None = None
        self._quiet = False
        # After sorting, the same object stays chosen.
        self.objects.modelReset.connect(self._show_current)
        selection = self.selectionModel()
        if selection is not None:
            selection.currentRowChanged.connect(self._on_row)

    def show_table(self, table: ObjectTable | None) -> None:
        """Show a table; nothing in it is chosen."""
        self._current = None
        self.objects.set_table(table)
        header = self.horizontalHeader()
        if header is not None:
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.resizeColumnsToContents()

    def choose(self, item: int) -> None:
        """Choose a row of the table from outside; `chosen` is not told."""
        self._current = item
        self._show_current()

    def selected(self) -> list[int]:
        """Rows of the table that are selected, in the order of the view."""
        selection = self.selectionModel()
        if selection is None:
            return []
        rows = sorted(index.row() for index in selection.selectedRows())
        return [self.objects.object_at(row) for row in rows]

    def _show_current(self, *_: Any) -> None:
        if self._current is None:
            return
        self._quiet = True
        row = self.objects.row_of(self._current)
        self.selectRow(row)
        self.scrollTo(self.objects.index(row, 0))
        self._quiet = False

    def _on_row(self, index: QModelIndex, _: QModelIndex) -> None:
        if self._quiet or not index.isValid():
            return
        self._current = self.objects.object_at(index.row())
        self.chosen.emit(self._current)
