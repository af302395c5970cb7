"""Advice while a model learns: a sentence each, with a button where one can help."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from psygnal import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_unet.live.messages import AdviceAction, Hint
from napari_unet.widgets.style import DARK, Colors, Message

BUTTONS: dict[AdviceAction, str] = {
    "paint": "Paint it",
    "next": "Show me where",
    "afresh": "Start afresh",
    "go_to": "Show it",
    "longer": "Continue",
    "resume": "Continue",
}
"""What stands on the button of each action; others have none."""

MAX_HINTS = 4
"""More advice than this at a time helps nobody."""


class HintsSection(QWidget):
    """Shows hints; nothing while there are none."""

    acted = Signal(Hint)
    """The button of a hint was pressed."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colors = DARK
        self._hints: tuple[Hint, ...] = ()
        self.sentences: list[Message] = []
        self.buttons: dict[str, QPushButton] = {}
        """By the kind of the hint."""
        self._rows = QVBoxLayout(self)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setSpacing(4)
        self.setVisible(False)

    def show_hints(self, hints: Sequence[Hint]) -> None:
        """Show these hints instead of the ones before."""
        shown = tuple(hints[:MAX_HINTS])
        if shown == self._hints:
            return  # a button must not go away under the mouse
        self._hints = shown
        self._clear()
        for hint in shown:
            self._add(hint)
        self.setVisible(bool(shown))

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self._colors = colors
        for sentence in self.sentences:
            sentence.set_colors(colors)

    def _add(self, hint: Hint) -> None:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        sentence = Message("problem")
        sentence.set_colors(self._colors)
        layout.addWidget(sentence, 1)
        text = BUTTONS.get(hint.action)
        if text is not None:
            button = QPushButton(text)
            button.clicked.connect(partial(self._act, hint))
            layout.addWidget(button)
            self.buttons[hint.kind] = button
        self._rows.addWidget(row)
        sentence.say(hint.text)
        self.sentences.append(sentence)

    def _act(self, hint: Hint, _: bool = False) -> None:
        self.acted.emit(hint)

    def _clear(self) -> None:
        self.sentences.clear()
        self.buttons.clear()
        while (item := self._rows.takeAt(0)) is not None:
            row = item.widget()
            if row is not None:
                row.hide()
                row.deleteLater()
