"""*Compare networks*: a window of *Train U-Net* that tries several on your image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDoubleSpinBox,
    QFormLayout,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_unet.errors import ConfigError, UserError
from napari_unet.networks.catalogue import known_networks
from napari_unet.widgets.compare_plot import ComparePlot
from napari_unet.widgets.compare_run import CompareRun
from napari_unet.widgets.progress import RunPanel
from napari_unet.widgets.style import Colors, Message
from napari_unet.widgets.training_run import TrainingRequest

CHOSEN = ("unet", "light_unet")
"""Networks that are chosen at first."""
MINUTES = 2.0
NAME = Qt.ItemDataRole.UserRole
COLUMNS = {
    "Network": "",
    "Score": "On the held-out part of your annotation, at the end",
    "Parameters": "Numbers that are learnt, in millions",
    "kFLOP": "Thousands of arithmetic operations for each pixel of a prediction",
    "s / MP": "Seconds for predicting a million pixels on this computer",
    "MB / MP": "Memory for predicting a million pixels at one time, in megabytes",
    "Steps": "Training steps in the time that each network had",
}
"""Of the table, with what they mean."""


class CompareWindow(QDialog):
    """Which networks, how long each, a button, and a table of what came out.

    Parameters
    ----------
    run : CompareRun
    request : callable
        What is chosen in *Train U-Net*; raises `UserError` with what is wrong.
    parent : QWidget
    """

    picked = Signal(str)
    """The network that shall be used."""

    def __init__(
        self,
        run: CompareRun,
        request: Callable[[], TrainingRequest],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare networks")
        self.resize(660, 680)
        self.run = run
        self._request = request
        self.networks = _network_list()
        self.minutes = QDoubleSpinBox()
        self.minutes.setRange(0.1, 600)
        self.minutes.setValue(MINUTES)
        self.minutes.setSuffix(" min")
        self.minutes.setToolTip("How long each network learns")
        self.length = Message("quiet")
        self.panel = RunPanel(run, "Compare")
        self.table = _table()
        self.plot = ComparePlot()
        self.pick = QPushButton("Use this network")
        self.pick.setToolTip("Choose it under Advanced ▸ Network")
        self.pick.setEnabled(False)
        self.problems = Message("quiet")
        form = QFormLayout()
        form.addRow("Networks", self.networks)
        form.addRow("Minutes each", self.minutes)
        column = QVBoxLayout(self)
        column.addLayout(form)
        parts = (self.length, self.panel, self.table, self.plot, self.problems)
        for part in (*parts, self.pick):
            column.addWidget(part)
        self.networks.itemChanged.connect(self.check)
        self.minutes.valueChanged.connect(self.check)
        self.panel.button.clicked.connect(self.start_or_stop)
        self.panel.button.setAutoDefault(False)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.pick.clicked.connect(self._on_pick)
        self.panel.refreshed.connect(self._show_results)
        self.check()

    def chosen(self) -> list[str]:
        """Names of the networks that are ticked."""
        items = [self.networks.item(n) for n in range(self.networks.count())]
        ticked = Qt.CheckState.Checked
        return [str(i.data(NAME)) for i in items if i and i.checkState() == ticked]

    def request(self) -> TrainingRequest:
        """Everything that is needed.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        if not self.chosen():
            raise ConfigError("Tick at least one network.")
        found = self._request()
        config = found.config.model_copy(
            update={
                "minutes": self.minutes.value(),
                "max_steps": None,
                "freeze_encoder": False,
            }
        )
        return TrainingRequest(
            found.image, found.annotation, config, found.classes, found.name
        )

    def check(self, _: Any = None) -> None:
        """Say what is wrong, or how long it will take."""
        total = len(self.chosen()) * self.minutes.value()
        self.length.say(
            f"About {total:g} minutes in all; each learns on the same part of your "
            "annotation and is scored on the rest."
        )
        try:
            self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
        else:
            self.panel.set_problem("")

    def start_or_stop(self) -> None:
        """What the button does."""
        if self.run.active:
            self.run.stop()
            return
        self.check()
        try:
            request = self.request()
        except UserError:
            return  # told by `check`
        self.run.start(request, self.chosen())

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        for part in (self.length, self.panel, self.plot, self.problems):
            part.set_colors(colors)

    def close_run(self) -> None:
        """Let go of the engine."""
        self.panel.refreshed.disconnect(self._show_results)
        self.panel.close_run()
        self.run.stop()

    def _show_results(self) -> None:
        results = self.run.results
        self.networks.setEnabled(not self.run.active)
        self.minutes.setEnabled(not self.run.active)
        if self.table.rowCount() == len(results):
            return
        name = next((r["score_name"] for r in results if r["score_name"]), "score")
        title = f"{name[:1].upper()}{name[1:]}"
        self.table.setHorizontalHeaderItem(1, _header(title, COLUMNS["Score"]))
        self.plot.show_series([(r["title"], r["curve"]) for r in results])
        self.table.setRowCount(len(results))
        for row, result in enumerate(results):
            for place, text in enumerate(row_of(result)):
                self.table.setItem(row, place, _cell(text, result, place))
            if result["network"] == self.run.best:
                self.table.selectRow(row)
        told = [f"{r['title']}: {r['problem']}" for r in results if r["problem"]]
        self.problems.say("\n".join(told))

    def _on_selected(self) -> None:
        row = self._row()
        self.pick.setEnabled(row is not None and not self.run.results[row]["problem"])

    def _on_pick(self) -> None:
        row = self._row()
        if row is not None:
            self.picked.emit(str(self.run.results[row]["network"]))

    def _row(self) -> int | None:
        rows = {index.row() for index in self.table.selectedIndexes()}
        row = min(rows, default=None)
        return row if row is not None and row < len(self.run.results) else None


def row_of(result: dict[str, Any]) -> list[str]:
    """What a row of the table shows; see `COLUMNS`."""
    operations = float(result["flops_per_pixel"]) / 1e3
    return [
        str(result["title"]),
        _number(result["score"], 3),
        f"{result['parameters'] / 1e6:.2f} M" if result["parameters"] else "",
        f"{operations:.1f}" if operations else "",
        _number(result["seconds_per_megapixel"], 2),
        # Bytes of a pixel are megabytes of a megapixel.
        _number(result["bytes_per_pixel"], 0),
        f"{result['steps']:,}" if result["steps"] else "",
    ]


def _number(value: float | None, digits: int) -> str:
    unknown = value is None or not math.isfinite(value)
    return "" if unknown else f"{value:.{digits}f}"


def _header(name: str, meaning: str) -> QTableWidgetItem:
    item = QTableWidgetItem(name)
    item.setToolTip(meaning)
    return item


def _cell(text: str, result: dict[str, Any], place: int) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    if place:
        item.setTextAlignment(
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        )
    item.setToolTip(result["problem"] or result["ended"])
    return item


def _network_list() -> QListWidget:
    made = QListWidget()
    for name, spec in known_networks().items():
        item = QListWidgetItem(spec.title)
        item.setData(NAME, name)
        item.setToolTip(spec.summary)
        item.setFlags(Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEnabled)
        ticked = name in CHOSEN
        item.setCheckState(Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked)
        made.addItem(item)
    return made


def _table() -> QTableWidget:
    made = QTableWidget(0, len(COLUMNS))
    for place, (name, meaning) in enumerate(COLUMNS.items()):
        made.setHorizontalHeaderItem(place, _header(name, meaning))
    made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    made.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    made.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    sides, header = made.verticalHeader(), made.horizontalHeader()
    if sides is not None:
        sides.setVisible(False)
    if header is not None:
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    return made
