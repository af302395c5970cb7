"""The way to a first result in four steps, which tick themselves off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from psygnal import Signal
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
)

from napari_unet.errors import UserError
from napari_unet.models.library_settings import keep_setting, kept_setting
from napari_unet.widgets.style import Colors, Message

HIDDEN_KEY = "guide_hidden"


@dataclass(frozen=True)
class Step:
    """One step: its name, what to do, and a button that does it or leads there."""

    name: str
    what: str
    action: str = ""


STEPS = (
    Step("Image", "Open an image (File ▸ Open), or try a sample.", "Open a sample"),
    Step(
        "Paint",
        "Paint a few strokes or objects, and some background, in an annotation layer.",
        "New annotation",
    ),
    Step("Train", "Press Train below, and paint more where the preview is wrong."),
    Step("Predict", "Use the model on the whole image, or on others.", "Open Predict"),
)


@dataclass(frozen=True)
class Progress:
    """Which steps are done."""

    image: bool = False
    annotated: bool = False
    """Whether there is an annotation layer, which may be empty."""
    painted: bool = False
    trained: bool = False
    predicted: bool = False

    @property
    def done(self) -> tuple[bool, ...]:
        """By step."""
        return (self.image, self.painted, self.trained, self.predicted)


class Guide(QFrame):
    """The four steps, what the next one is, and a way to be rid of it all.

    It goes away for ever when all is done or the user hides it.
    """

    acted = Signal(int)
    """The button of this step was pressed, counted from 0."""

    def __init__(self, look: Callable[[], Progress]) -> None:
        super().__init__()
        self._look = look
        self._reached = [False] * len(STEPS)
        self._steps = [QLabel() for _ in STEPS]
        self.what = Message("quiet")
        self.action = QPushButton()
        self.action.clicked.connect(self._on_action)
        self.hide_it = QToolButton()
        self.hide_it.setText("×")
        self.hide_it.setAutoRaise(True)
        self.hide_it.setAccessibleName("Hide the steps")
        self.hide_it.setToolTip("Show these steps no more")
        self.hide_it.clicked.connect(self.dismiss)
        names = QHBoxLayout()
        names.setSpacing(8)
        for label, step in zip(self._steps, STEPS, strict=True):
            label.setToolTip(step.what)
            names.addWidget(label)
        names.addStretch(1)
        names.addWidget(self.hide_it)
        buttons = QHBoxLayout()
        buttons.addWidget(self.action)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(4)
        for part in (names, buttons):
            column.addLayout(part)
        column.insertWidget(1, self.what)
        self._dismissed = kept_setting(HIDDEN_KEY) is True
        self.setVisible(not self._dismissed)

    @property
    def current(self) -> int:
        """The first step that is not done; their number when all are."""
        return next((n for n, done in enumerate(self._reached) if not done), len(STEPS))

    @property
    def dismissed(self) -> bool:
        """Whether it is hidden for good."""
        return self._dismissed

    def refresh(self) -> None:
        """Look at what is done, and say what comes next."""
        if self._dismissed:
            return
        progress = self._look()
        # What was trained or predicted once stays done, whatever became of the layers.
        self._reached = [
            now or (before and number >= 2)
            for number, (now, before) in enumerate(
                zip(progress.done, self._reached, strict=True)
            )
        ]
        current = self.current
        for number, (label, step) in enumerate(zip(self._steps, STEPS, strict=True)):
            done = self._reached[number]
            mark = "✓" if done else f"{number + 1}"
            text = f"{mark} {step.name}"
            label.setText(f"<b>{text}</b>" if number == current else text)
        if current == len(STEPS):
            self.what.say("All four steps are done.", "good")
            self.action.setVisible(False)
            self._keep()  # it is not shown the next time
            return
        step = STEPS[current]
        self.what.say(step.what, "quiet")
        offered = bool(step.action) and not (current == 1 and progress.annotated)
        self.action.setVisible(offered)
        self.action.setText(step.action)
        self.action.setToolTip(step.what)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.what.set_colors(colors)

    def dismiss(self, _: bool = False) -> None:
        """Hide it now and in future."""
        self._dismissed = True
        self.setVisible(False)
        self._keep()

    def _keep(self) -> None:
        from napari.utils.notifications import show_warning

        try:
            if kept_setting(HIDDEN_KEY) is not True:
                keep_setting(HIDDEN_KEY, True)
        except UserError as error:
            show_warning(str(error))

    def _on_action(self, _: bool = False) -> None:
        self.acted.emit(self.current)
