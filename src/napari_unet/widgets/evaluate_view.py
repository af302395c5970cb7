"""What came of an evaluation, in the dock: scores, errors by kind, a list of errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unet.evaluation.kinds import COLORS, KINDS
from napari_unet.widgets.evaluate_run import EvaluationResult
from napari_unet.widgets.score_words import meaning
from napari_unet.widgets.style import Colors, Message

RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
SWATCH = 12
SCORES_HEIGHT = 240
ERRORS_HEIGHT = 220
NUMBER = Qt.ItemDataRole.UserRole


class ScoreTable(QTableWidget):
    """Scores and their intervals."""

    def __init__(self) -> None:
        super().__init__(0, 3)
        _plain_table(self, SCORES_HEIGHT)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)

    def show_scores(self, rows: Sequence[Sequence[str]], level: float) -> None:
        """Fill the table with rows of score, value and interval."""
        self.setHorizontalHeaderLabels(["score", "value", f"{100 * level:g} %"])
        self.setRowCount(len(rows))
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{cells[0]}: {meaning(cells[0])}".removesuffix(": "))
                if column:
                    item.setTextAlignment(RIGHT)
                self.setItem(row, column, item)


class ErrorTable(QTableWidget):
    """Errors, the largest first; a row tells where its error is."""

    chosen = Signal(dict)

    def __init__(self) -> None:
        super().__init__(0, 3)
        _plain_table(self, ERRORS_HEIGHT)
        self.setHorizontalHeaderLabels(["kind", "what happened", "pixels"])
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._mistakes: list[dict[str, Any]] = []
        # Also a click on the row that is current already goes there again.
        self.cellClicked.connect(self._on_cell)
        selection = self.selectionModel()
        if selection is not None:
            selection.currentRowChanged.connect(
                lambda new, _old: self._on_cell(new.row(), 0)
            )
        self._told = -1

    def show_mistakes(self, mistakes: Sequence[dict[str, Any]]) -> None:
        """List errors; nothing is chosen."""
        self._mistakes = []  # rows that go are not chosen
        self.setRowCount(0)
        self.setRowCount(len(mistakes))
        several = len({m["image"] for m in mistakes}) > 1
        for row, mistake in enumerate(mistakes):
            kind = QTableWidgetItem(mistake["kind"])
            kind.setIcon(swatch(COLORS[mistake["kind"]]))
            text = mistake["sentence"]
            if several:
                text = f"{mistake['image']}: {text}"
            what = QTableWidgetItem(text)
            at = ", ".join(f"{c:.0f}" for c in mistake["centroid"])
            what.setToolTip(f"{text} (at {at})")
            size = QTableWidgetItem(f"{mistake['size']:,}")
            size.setTextAlignment(RIGHT)
            for column, item in enumerate((kind, what, size)):
                self.setItem(row, column, item)
        self._mistakes = list(mistakes)

    def _on_cell(self, row: int, _: int) -> None:
        if 0 <= row < len(self._mistakes):
            self.chosen.emit(self._mistakes[row])


class ResultView(QWidget):
    """All of a result; hidden until there is one."""

    chosen = Signal(dict)
    """The person went to this error."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = ScoreTable()
        self.heading = QLabel()
        self.kinds: dict[str, QCheckBox] = {}
        self.errors = ErrorTable()
        self.more = Message("quiet")
        self._mistakes: list[dict[str, Any]] = []
        self._total = 0
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.scores)
        layout.addWidget(self.heading)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        for kind in KINDS:
            box = QCheckBox()
            box.setChecked(True)
            box.setIcon(swatch(COLORS[kind]))
            box.setToolTip(f"List errors of this kind: {kind}")
            box.toggled.connect(self._show_chosen)
            self.kinds[kind] = box
        self._rows = [row, QHBoxLayout()]
        for place, box in enumerate(self.kinds.values()):
            self._rows[place // 3].addWidget(box)
        for part in self._rows:
            part.addStretch(1)
            layout.addLayout(part)
        layout.addWidget(self.errors)
        layout.addWidget(self.more)
        self.errors.chosen.connect(self.chosen.emit)
        self.setVisible(False)

    def show_result(self, result: EvaluationResult | None) -> None:
        """Show a result, or nothing."""
        self.setVisible(result is not None)
        if result is None:
            return
        self.scores.show_scores(result.scores, result.level)
        self._mistakes = result.mistakes
        self._total = sum(result.counts.values())
        self.heading.setText(
            "Errors: choose one to go there" if self._total else "There are no errors."
        )
        for kind, box in self.kinds.items():
            box.setVisible(bool(self._total) and kind in result.counts)
            box.setText(f"{result.counts.get(kind, 0):,} {kind}")
        self.errors.setVisible(bool(self._total))
        self._show_chosen()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.more.set_colors(colors)

    def _show_chosen(self, _: bool = True) -> None:
        shown = [m for m in self._mistakes if self.kinds[m["kind"]].isChecked()]
        self.errors.show_mistakes(shown)
        left = self._total - len(self._mistakes)
        self.more.say(f"{left:,} smaller ones are not listed." if left else "")


def swatch(color: str) -> QIcon:
    """A small square of a colour."""
    pixels = QPixmap(SWATCH, SWATCH)
    pixels.fill(QColor(color))
    return QIcon(pixels)


def _plain_table(table: QTableWidget, height: int) -> None:
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setFixedHeight(height)
    table.setWordWrap(False)
    rows, header = table.verticalHeader(), table.horizontalHeader()
    if rows is not None and header is not None:
        rows.hide()
        rows.setDefaultSectionSize(rows.minimumSectionSize())
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        stretched = 1 if table.columnCount() == 3 and height == ERRORS_HEIGHT else 0
        header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)
