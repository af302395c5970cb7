"""Score against time of several networks, drawn as they are done."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_unet.widgets.style import DARK, Colors

Series = tuple[str, Sequence[tuple[float, float]]]
"""Title of a network; seconds and score of every validation."""

HEIGHT = 150
"""Of the plot without its legend, in pixels."""
ROW = 18
PER_ROW = 3
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 8, 22
TINTS = {
    True: ("#66ccee", "#ee9944", "#7fd18b", "#d6a2ff", "#ff8f8f", "#e6d35a", "#9fb3c8"),
    False: (
        "#1f6f9f", "#b8560f", "#1f6f33", "#7c3aed", "#b91c1c", "#7a6a00", "#475569",
    ),
}  # fmt: skip
"""Of the curves on a dark and on a light background; told apart by dashes, too."""
DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine)


class ComparePlot(QWidget):
    """Draws curves of scores; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.series: list[Series] = []
        self._colors = DARK
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip("Score on the held-out part against the time of learning")
        self.show_series([])

    def show_series(self, series: Sequence[Series]) -> None:
        """Draw curves at the next repaint; those without a point are left out."""
        self.series = [
            (title, [p for p in curve if all(math.isfinite(v) for v in p)])
            for title, curve in series
        ]
        self.series = [(title, curve) for title, curve in self.series if curve]
        rows = math.ceil(len(self.series) / PER_ROW)
        self.setFixedHeight(HEIGHT + ROW * rows)
        self.setVisible(bool(self.series))
        self.update()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self._colors = colors
        self.update()

    def pen(self, number: int) -> QPen:
        """How the curve of a network is drawn."""
        tints = TINTS[self._colors == DARK]
        dash = DASHES[number // len(tints) % len(DASHES)]
        return QPen(QColor(tints[number % len(tints)]), 1.8, dash)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        area = QRectF(
            _LEFT, _TOP, self.width() - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        )
        painter.fillRect(area, QColor(self._colors.panel))
        points = [p for _, curve in self.series for p in curve]
        last, top = limits(points)
        self._draw_axes(painter, area, last, top)
        for number, (_, curve) in enumerate(self.series):
            self._draw_curve(painter, area, number, curve, (last, top))
        self._draw_legend(painter)
        painter.end()

    def _draw_axes(
        self, painter: QPainter, area: QRectF, last: float, top: float
    ) -> None:
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.setPen(QPen(QColor(self._colors.grid), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(self._colors.quiet))
            painter.drawText(
                QRectF(0, y - 8, _LEFT - 5, 16), right, f"{share * top:.2f}"
            )
        row = QRectF(area.left(), area.bottom() + 3, area.width(), _BOTTOM - 4)
        above = Qt.AlignmentFlag.AlignTop
        painter.drawText(row, Qt.AlignmentFlag.AlignLeft | above, "0")
        painter.drawText(row, Qt.AlignmentFlag.AlignHCenter | above, "minutes")
        painter.drawText(row, Qt.AlignmentFlag.AlignRight | above, f"{last / 60:.2g}")

    def _draw_curve(
        self,
        painter: QPainter,
        area: QRectF,
        number: int,
        curve: Sequence[tuple[float, float]],
        most: tuple[float, float],
    ) -> None:
        places = [
            QPointF(
                area.left() + min(seconds / most[0], 1.0) * area.width(),
                area.bottom() - min(max(score, 0.0) / most[1], 1.0) * area.height(),
            )
            for seconds, score in curve
        ]
        pen = self.pen(number)
        painter.setPen(pen)
        painter.drawPolyline(QPolygonF(places))
        painter.setBrush(pen.color())
        for place in places:
            painter.drawEllipse(place, 1.5, 1.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _draw_legend(self, painter: QPainter) -> None:
        width = (self.width() - _LEFT - _RIGHT) / PER_ROW
        middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        for number, (title, _) in enumerate(self.series):
            x = _LEFT + number % PER_ROW * width
            y = HEIGHT + number // PER_ROW * ROW
            painter.setPen(self.pen(number))
            painter.drawLine(QPointF(x, y + ROW / 2), QPointF(x + 18, y + ROW / 2))
            painter.setPen(QColor(self._colors.text))
            room = QRectF(x + 23, y, width - 27, ROW)
            short = painter.fontMetrics().elidedText(
                title, Qt.TextElideMode.ElideRight, int(room.width())
            )
            painter.drawText(room, middle, short)


def limits(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Seconds and score at the far ends of the axes; a score never exceeds 1."""
    last = max((seconds for seconds, _ in points), default=0.0)
    top = max((score for _, score in points), default=1.0)
    return max(last, 1e-9), min(1.0, max(math.ceil(top * 10.5) / 10, 0.1))
