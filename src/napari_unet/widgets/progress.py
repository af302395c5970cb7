"""Progress of a run: a bar, a sentence, and a button that starts and stops it."""

from __future__ import annotations

from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_unet.widgets.runs import EngineRun, RunState
from napari_unet.widgets.style import Colors, Message, Tone

REFRESH_MS = 100
"""A run may tell a thousand things a second; the view follows ten times a second."""

DOUBLE_CLICK_MS = 600
"""The second click of a double click must not stop what the first one started."""

_TONES: dict[str, Tone] = {"failed": "problem", "crashed": "problem", "done": "good"}


class RunPanel(QWidget):
    """The button, why it cannot be pressed, the bar, and what the run says."""

    refreshed = Signal()
    """What the run says was shown; a view may follow at the same pace."""

    def __init__(
        self, run: EngineRun, verb: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._run = run
        self._verb = verb
        self._problem = ""
        self._shown: RunState = "idle"
        self.button = QPushButton(verb)
        self.button.setMinimumHeight(30)
        self.problem = Message("problem")
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFormat("%p %")
        self.status = Message()
        self.notices = Message("quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.button, self.problem, self.bar, self.status, self.notices):
            layout.addWidget(part)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        self._lock = QTimer(self)
        self._lock.setSingleShot(True)
        self._lock.setInterval(DOUBLE_CLICK_MS)
        self._lock.timeout.connect(self.refresh)
        run.changed.connect(self._on_changed)
        run.ended.connect(self.refresh)
        self.refresh()

    def set_problem(self, sentence: str) -> None:
        """Say why the button cannot be pressed; an empty sentence enables it."""
        self._problem = sentence
        self.refresh()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        for part in (self.problem, self.status, self.notices):
            part.set_colors(colors)

    def close_run(self) -> None:
        """Listen to the run no longer; the Qt objects may be gone already."""
        self._run.changed.disconnect(self._on_changed)
        self._run.ended.disconnect(self.refresh)

    def _on_changed(self) -> None:
        if self._run.state != self._shown:
            if self._run.active:
                self._lock.start()
            self.refresh()
        elif not self._timer.isActive():
            self._timer.start()

    def refresh(self) -> None:
        """Show what the run says now."""
        run = self._run
        self._shown = run.state
        if run.active:
            text = "Stop" if run.state == "running" else "Stop at once"
            hint = (
                "End after the current step and keep what was reached"
                if run.state == "running"
                else "End the engine process now"
            )
        else:
            text, hint = self._verb, self._problem or "Can be stopped at any time"
        self.button.setText(text)
        self.button.setToolTip(hint)
        locked = run.active and self._lock.isActive()
        self.button.setEnabled(not locked and (run.active or not self._problem))
        self.problem.say("" if run.active else self._problem)
        self.bar.setVisible(run.active)
        # A bar without an end says "busy" until the first step is done.
        busy = run.active and run.progress is None
        self.bar.setRange(0, 0 if busy else 1000)
        if run.progress is not None:
            self.bar.setValue(round(1000 * run.progress))
        self.status.say(run.message, _TONES.get(run.state, "plain"))
        self.notices.say("\n".join(run.notices))
        self.refreshed.emit()
