"""The part of *Train U-Net* that drives a live run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from psygnal import Signal
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.live.messages import Hint
from napari_unet.widgets.corrections_section import CorrectionsSection
from napari_unet.widgets.hints_section import HintsSection
from napari_unet.widgets.live_run import LiveRun
from napari_unet.widgets.live_view import LiveView
from napari_unet.widgets.progress import DOUBLE_CLICK_MS, REFRESH_MS
from napari_unet.widgets.runs import in_words
from napari_unet.widgets.shortcuts import with_key
from napari_unet.widgets.style import Colors, Message, Tone, narrow

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

ASK_AFTER_SECONDS = 60.0
"""Forgetting more learning than this is asked about first."""

_TONES: dict[str, Tone] = {"failed": "problem", "crashed": "problem", "done": "good"}

Shown = tuple[str, int]
NOTHING: Shown = ("", 0)


class LiveSection(QWidget):
    """Train, Pause and Stop; what the run says; the preview; advice; corrections."""

    start_requested = Signal()
    """The user pressed Train."""
    class_wanted = Signal(int)
    """Advice is to paint the class of this annotation value."""
    refreshed = Signal()
    """What the run says was shown; a view may follow at the same pace."""

    def __init__(
        self,
        viewer: napari.Viewer,
        run: LiveRun,
        annotation: Callable[[], Labels | None],
    ) -> None:
        super().__init__()
        self.run = run
        self.view = LiveView(viewer, run)
        self._problem = ""
        self._state: Any = None
        self._offered: list[tuple[str, Shown]] = []
        self._make_buttons()
        self.corrections = CorrectionsSection(viewer, self.view, annotation)
        self.hints = HintsSection()
        self.hints.acted.connect(self._on_hint)
        self.problem, self.status = Message("problem"), Message()
        self.score, self.note = Message("quiet"), Message("problem")
        self.notices = Message("quiet")
        self._arrange()
        self._timer = _single(self, REFRESH_MS, self.refresh)
        self._lock = _single(self, DOUBLE_CLICK_MS, self.refresh)
        run.changed.connect(self._on_changed)
        run.ended.connect(self.refresh)
        self.view.changed.connect(self._on_changed)
        self.refresh()

    def _make_buttons(self) -> None:
        self.main = QPushButton("Train")
        self.main.setMinimumHeight(30)
        self.main.clicked.connect(self.train_or_pause)
        self.stop = QPushButton("Stop")
        self.stop.setMinimumHeight(30)
        self.stop.clicked.connect(self._on_stop)
        self.by_itself = CheckBox(
            text="Start by itself",
            tooltip="Start to learn as soon as strokes of two classes are there",
        )
        self.afresh = QPushButton("Start afresh")
        self.afresh.setToolTip("Forget what was learnt; your strokes stay")
        self.afresh.clicked.connect(self.start_afresh)
        self.next = QPushButton("Next")
        self.next.setToolTip("Go to where annotation would help most")
        self.next.clicked.connect(self.find_next)
        self.visible = CheckBox(
            text="Preview",
            value=True,
            tooltip=with_key("Show or hide what the model thinks", "preview"),
        )
        self.visible.changed.connect(self.view.show_preview)
        self.map = ComboBox(
            choices=[("no map", NOTHING)],
            tooltip="Show how sure the model is, in a layer beside the preview",
        )
        self.map.changed.connect(self._on_map)
        narrow(self.map.native)

    def _arrange(self) -> None:
        self._run_row = _row(self.main, self.stop, stretch=0)
        self._more_row = _row(self.next, self.afresh, stretch=0)
        show = QLabel("Show")
        self._show_row = _row(self.visible.native, show, self.map.native, stretch=2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for part in (
            self._run_row,
            self.by_itself.native,
            self.problem,
            self.status,
            self.score,
            self.note,
            self._show_row,
            self.hints,
            self._more_row,
            self.corrections,
            self.notices,
        ):
            layout.addWidget(part)

    # For the widget around it ----------------------------------------------------

    def set_problem(self, sentence: str) -> None:
        """Say why Train cannot be pressed; an empty sentence enables it."""
        self._problem = sentence
        self.refresh()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        for part in (self.problem, self.status, self.score, self.note, self.notices):
            part.set_colors(colors)
        self.hints.set_colors(colors)
        self.corrections.set_colors(colors)

    def close_run(self) -> None:
        """Listen no longer, and end the run; the Qt objects may be gone already."""
        self.run.changed.disconnect(self._on_changed)
        self.run.ended.disconnect(self.refresh)
        self.view.changed.disconnect(self._on_changed)
        self.view.close()
        self.run.stop()

    # Actions ---------------------------------------------------------------------

    def train_or_pause(self, _: bool = False) -> None:
        """What the large button does."""
        if self.run.state == "stopping":
            return
        if not self.run.active:
            if not self._problem:
                self.start_requested.emit()
        elif self.run.mode in ("paused", "resting"):
            self.run.go_on()
        else:
            self.run.pause()

    def toggle_preview(self) -> None:
        """Hide or show the preview."""
        self.view.show_preview(not self.view.preview_visible)

    def find_next(self, _: bool = False) -> None:
        """Ask where annotation would help most, and go there."""
        self.run.find_next()

    def start_afresh(self, _: bool = False) -> None:
        """Forget what was learnt, asking first where that was much."""
        seconds = self.run.seconds_learnt
        if seconds > ASK_AFTER_SECONDS and not self.confirm(
            f"Forget what was learnt in {in_words(seconds)}? Your strokes stay."
        ):
            return
        self.run.start_afresh()

    def confirm(self, question: str) -> bool:
        """Ask a question that is answered with yes or no."""
        answer = QMessageBox.question(self, "Start afresh", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    def _on_stop(self, _: bool = False) -> None:
        # What was stopped must not start by itself with the next stroke.
        self.by_itself.value = False
        self.run.stop()

    def _on_map(self, shown: Shown | None) -> None:
        show, channel = shown or NOTHING
        name = next((text for text, what in self._offered if what == shown), "")
        self.view.show_map(show, channel, name)

    def _on_hint(self, hint: Hint) -> None:
        if hint.action == "paint":
            self.class_wanted.emit(int(hint.value["class"]))
        elif hint.action == "next":
            self.find_next()
        elif hint.action == "afresh":
            self.start_afresh()
        elif hint.action == "go_to":
            self.view.go_to(tuple((int(a), int(b)) for a, b in hint.value["box"]))
        elif hint.action in ("longer", "resume"):
            self.run.go_on()

    # What is shown ---------------------------------------------------------------

    def _on_changed(self) -> None:
        state = (self.run.state, self.run.mode)
        if state != self._state:
            if self.run.active and self._state and self._state[0] != self.run.state:
                self._lock.start()
            self.refresh()
        elif not self._timer.isActive():
            self._timer.start()

    def refresh(self) -> None:
        """Show what the run says now."""
        run = self.run
        self._state = (run.state, run.mode)
        locked = run.active and self._lock.isActive()
        text = "Train"
        if run.active:
            text = "Continue" if run.mode in ("paused", "resting") else "Pause"
        self.main.setText(text)
        ready = run.state == "running" if run.active else not self._problem
        self.main.setEnabled(ready and not locked)
        self.stop.setVisible(run.active)
        self.stop.setEnabled(not locked)
        self.stop.setText("Stop at once" if run.state == "stopping" else "Stop")
        self.stop.setToolTip(
            "End the engine process now"
            if run.state == "stopping"
            else "End the run and save the model"
        )
        self.by_itself.native.setVisible(not run.active)
        self._show_row.setVisible(run.active)
        self._more_row.setVisible(run.active)
        self.problem.say("" if run.active else self._problem)
        self.status.say(run.message, _TONES.get(run.state, "plain"))
        self.score.say(run.score_text if run.active else "")
        self.note.say(self.view.note)
        self.notices.say("\n".join(run.notices))
        self.hints.show_hints(run.hints)
        self._show_preview_choices()
        self.corrections.refresh()
        self.refreshed.emit()

    def _show_preview_choices(self) -> None:
        with self.visible.changed.blocked():
            self.visible.value = self.view.preview_visible
        offered = [("no map", NOTHING), ("uncertainty", ("uncertainty", 0))]
        classes = self.run.classes
        if classes is None:
            offered.append(("probability of objects", ("probability", 0)))
        else:
            offered += [
                (f"probability of {c.name}", ("probability", number))
                for number, c in enumerate(classes)
            ]
        with self.map.changed.blocked():
            if offered != self._offered:
                self._offered = offered
                self.map.choices = offered
            if self.map.value != self.view.map_shown:
                self.map.value = self.view.map_shown


def _row(*parts: QWidget, stretch: int) -> QWidget:
    """Parts side by side; the one at `stretch` takes the room."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    for number, part in enumerate(parts):
        layout.addWidget(part, int(number == stretch))
    return row


def _single(parent: QWidget, milliseconds: int, call: Callable[[], None]) -> QTimer:
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.timeout.connect(call)
    return timer
