"""Colours that can be read in napari's dark and light themes, and small Qt parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qtpy.QtCore import Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QSizePolicy, QWidget

if TYPE_CHECKING:
    import napari

Tone = Literal["plain", "quiet", "problem", "good"]


@dataclass(frozen=True)
class Colors:
    """Colours as ``#rrggbb``."""

    text: str
    quiet: str
    problem: str
    good: str
    grid: str
    panel: str
    loss: str
    score: str


DARK = Colors(
    text="#f0f1f2",
    quiet="#a8adb5",
    problem="#ffb454",
    good="#7fd18b",
    grid="#3d434e",
    panel="#1b1c22",
    loss="#66ccee",
    score="#ee9944",
)
LIGHT = Colors(
    text="#1e1e21",
    quiet="#5c5f66",
    problem="#9a4a00",
    good="#1f6f33",
    grid="#d3d0ce",
    panel="#faf9f8",
    loss="#1f6f9f",
    score="#b8560f",
)


def viewer_colors(viewer: napari.Viewer) -> Colors:
    """Colours for the theme of a viewer."""
    from napari.utils.theme import get_theme

    background = get_theme(viewer.theme).background.as_rgb_tuple()
    return DARK if sum(background[:3]) < 3 * 128 else LIGHT


class Message(QLabel):
    """A sentence that wraps; hidden while there is none."""

    def __init__(self, tone: Tone = "plain", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tone: Tone = tone
        self._colors = DARK
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setVisible(False)
        self._paint()

    def say(self, text: str, tone: Tone | None = None) -> None:
        """Show `text`, or nothing where it is empty."""
        if tone is not None and tone != self._tone:
            self._tone = tone
            self._paint()
        if text != self.text():
            self.setText(text)
            self._fit_height()
        self.setVisible(bool(text))

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self._colors = colors
        self._paint()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit_height()

    def _fit_height(self) -> None:
        # Layouts give a wrapped text the height of a narrower one, with empty lines.
        # Qt never answers with less than the height that was fixed before.
        self.setMinimumHeight(0)
        self.setFixedHeight(max(self.heightForWidth(self.width()), 1))

    def _paint(self) -> None:
        color = self._colors.text if self._tone == "plain" else None
        color = color or getattr(self._colors, self._tone)
        self.setStyleSheet(
            f"QLabel {{ color: {color}; background: transparent; padding: 0; }}"
        )


def narrow(box: QComboBox) -> None:
    """Let a combo box be narrower than its longest entry."""
    box.setSizeAdjustPolicy(
        QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
    )
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


def show_row(form: QFormLayout, field: QWidget, *, visible: bool) -> None:
    """Show or hide a field of a form with its label (Qt 5 has no call for it)."""
    field.setVisible(visible)
    label = form.labelForField(field)
    if label is not None:
        label.setVisible(visible)
