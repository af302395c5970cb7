"""*Health*: what is installed, what it can do here, and what to mend.

The engine looks, since torch is never loaded in the viewer. Where the engine cannot
even start, a process of its own makes the report: that is when it is needed most.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import QProcess, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.doctor import Finding, format_report
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.health_run import HealthRun
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.style import Colors, Message, Tone

if TYPE_CHECKING:
    import napari

SECONDS = 10.0
"""How long the speed is measured."""
SOON_MS = 200

_MARKS: dict[str, tuple[str, Tone]] = {
    "ok": ("✓", "good"),
    "warn": ("!", "problem"),
    "bad": ("✗", "problem"),
}


class HealthWidget(RunDock):
    """The *Health* dock widget."""

    def __init__(
        self, napari_viewer: napari.Viewer, host: EngineHost | None = None
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = HealthRun(self.host.engine)
        self.findings: list[Finding] = []
        self.plain = ""
        """The report of a process of its own, where the engine could not make one."""
        self._outside: QProcess | None = None
        self._colors: Colors | None = None
        self.speed = CheckBox(
            text="Measure the speed, too",
            value=False,
            tooltip=f"Train and predict for about {SECONDS:g} seconds",
        )
        self.add(self.speed.native)
        self.add_run("Look again")
        self.verdict = Message()
        self.add(self.verdict)
        self._lines = QWidget()
        self._column = QVBoxLayout(self._lines)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self.add(self._lines)
        self.text = Message()
        self.add(self.text)
        self._add_copy()
        self.apply_theme()
        self.check()

    def _add_copy(self) -> None:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.copy = QPushButton("Copy the report")
        self.copy.setToolTip("For a bug report, or for somebody who can help")
        self.copy.setEnabled(False)
        self.copy.clicked.connect(self.copy_report)
        self.copy_line = QPushButton("Copy the install line")
        self.copy_line.setToolTip(
            "The command that installs everything on a computer like this"
        )
        self.copy_line.setEnabled(False)
        self.copy_line.clicked.connect(self.copy_install_line)
        layout.addWidget(self.copy)
        layout.addWidget(self.copy_line)
        self.add(row)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        if not self.findings and not self.plain:
            QTimer.singleShot(SOON_MS, self._first_look)

    def _first_look(self) -> None:
        if not self._closed and not self.findings and not self.run.active:
            self.start()

    def request(self) -> float:
        """For how many seconds to measure; 0 leaves it out."""
        return SECONDS if self.speed.value else 0.0

    # Results -----------------------------------------------------------------------

    def report(self) -> str:
        """The same text as `napari-unet doctor` prints."""
        return format_report(self.findings) if self.findings else self.plain

    def copy_report(self, _: bool = False) -> None:
        """Put the report into the clipboard."""
        _to_clipboard(self.report())

    def copy_install_line(self, _: bool = False) -> None:
        """Put the command that installs everything into the clipboard."""
        for finding in self.findings:
            if finding.name == "Install line":
                _to_clipboard(finding.value)

    def _on_ended(self) -> None:
        if self.run.state == "done":
            self.findings = [Finding(**found) for found in self.run.findings]
            self._show()
        elif self.run.state in ("failed", "crashed"):
            self._look_outside()

    def _show(self) -> None:
        _empty(self._column)
        colors = self._colors
        for finding in self.findings:
            sign, tone = _MARKS[finding.status]
            name, text, advice = Message(tone), Message(), Message("problem")
            font = name.font()
            font.setBold(True)
            name.setFont(font)
            name.say(f"{sign} {finding.name}")
            text.say(finding.value)
            advice.say(finding.advice)
            for part in (name, text, advice):
                self._column.addWidget(part)
        if colors is not None:
            self._color(colors)
        # The last line of the text sums up.
        verdict = format_report(self.findings).rpartition("\n")[2]
        fine = all(finding.status == "ok" for finding in self.findings)
        self.verdict.say(verdict, "good" if fine else "problem")
        self.text.say("")
        self._allow_copying()

    def _allow_copying(self) -> None:
        self.copy.setEnabled(bool(self.report()))
        self.copy_line.setEnabled(any(f.name == "Install line" for f in self.findings))

    # Without the engine --------------------------------------------------------------

    def _look_outside(self) -> None:
        """Let a process of its own make the report: torch may be what is broken."""
        if self._outside is not None:
            return
        self._outside = QProcess(self)
        self._outside.finished.connect(self._on_outside)
        self._outside.errorOccurred.connect(self._on_outside)
        self._outside.start(sys.executable, ["-m", "napari_unet", "doctor"])

    def _on_outside(self, *_: Any) -> None:
        process, self._outside = self._outside, None
        if process is None:
            return
        said = process.readAllStandardOutput().data()
        self.plain = bytes(said).decode(errors="replace").strip()
        process.deleteLater()
        self.findings = []
        _empty(self._column)
        self.verdict.say("")
        self.text.say(
            self.plain
            or "The report could not be made: run `napari-unet doctor` in a terminal."
        )
        self._allow_copying()

    # Theme and end -------------------------------------------------------------------

    def _color(self, colors: Colors) -> None:
        for message in self._lines.findChildren(Message):
            message.set_colors(colors)

    def apply_theme(self, _: Any = None) -> Colors:
        colors = self._colors = super().apply_theme()
        self._color(colors)
        self.verdict.set_colors(colors)
        self.text.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        process, self._outside = self._outside, None
        if process is not None:
            process.kill()


def _to_clipboard(text: str) -> None:
    clipboard = QApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(text)


def _empty(column: QVBoxLayout) -> None:
    while (item := column.takeAt(0)) is not None:
        part = item.widget()
        if part is not None:
            part.hide()
            part.deleteLater()
