"""A light live plot: training loss (logarithmic, left) and score (0 to 1, right)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_unet.widgets.style import DARK, Colors
from napari_unet.widgets.training_run import Curve

HEIGHT = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 32, 22, 20


class LossPlot(QWidget):
    """Draws a :class:`Curve`; call :meth:`show_curve` whenever it has grown."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curve = Curve()
        self._colors = DARK
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(
            "Training loss (left axis, logarithmic) and score on the held-out part "
            "of the annotation (right axis, 1 is perfect); the ring is the best model."
        )

    def show_curve(self, curve: Curve) -> None:
        """Draw `curve` at the next repaint."""
        self._curve = curve
        self.update()

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self._colors = colors
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPixelSize(11)
        painter.setFont(font)
        area = QRectF(
            _LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM
        )
        painter.fillRect(area, QColor(self._colors.panel))
        curve = self._curve
        last = max([1, *curve.steps[-1:], *curve.score_steps[-1:]])
        self._draw_legend(painter, area)
        self._draw_steps(painter, area, last)
        self._draw_loss(painter, area, last)
        self._draw_scores(painter, area, last)
        painter.end()

    def _draw_legend(self, painter: QPainter, area: QRectF) -> None:
        row = QRectF(area.left(), 0, area.width(), _TOP - 3)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(QColor(self._colors.loss))
        painter.drawText(row, Qt.AlignmentFlag.AlignLeft | middle, "loss")
        painter.setPen(QColor(self._colors.score))
        score = "score"
        if self._curve.best is not None:
            score = f"best score {self._curve.scores[self._curve.best]:.2f}"
        painter.drawText(row, Qt.AlignmentFlag.AlignRight | middle, score)

    def _draw_steps(self, painter: QPainter, area: QRectF, last: int) -> None:
        painter.setPen(QColor(self._colors.quiet))
        row = QRectF(area.left(), area.bottom() + 3, area.width(), _BOTTOM - 4)
        top = Qt.AlignmentFlag.AlignTop
        painter.drawText(row, Qt.AlignmentFlag.AlignLeft | top, "0")
        painter.drawText(row, Qt.AlignmentFlag.AlignHCenter | top, "steps")
        if self._curve.steps:
            painter.drawText(row, Qt.AlignmentFlag.AlignRight | top, f"{last:,}")

    def _draw_loss(self, painter: QPainter, area: QRectF, last: int) -> None:
        steps, losses = binned(
            self._curve.steps, self._curve.losses, last, max(int(area.width()), 1)
        )
        if not len(losses):
            return
        low, high = log_range(losses)
        for tick in log_ticks(low, high):
            share = (math.log10(tick) - low) / (high - low)
            y = area.bottom() - share * area.height()
            painter.setPen(QPen(QColor(self._colors.grid), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(self._colors.loss))
            box = QRectF(0, y - 8, _LEFT - 5, 16)
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(box, right, f"{tick:g}")
        xs = area.left() + steps / last * area.width()
        ys = area.bottom() - (np.log10(losses) - low) / (high - low) * area.height()
        line = QPolygonF(
            [QPointF(*p) for p in zip(xs.tolist(), ys.tolist(), strict=True)]
        )
        painter.setPen(QPen(QColor(self._colors.loss), 1.5))
        painter.drawPolyline(line)

    def _draw_scores(self, painter: QPainter, area: QRectF, last: int) -> None:
        curve = self._curve
        color = QColor(self._colors.score)
        painter.setPen(color)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        for value in (0.0, 0.5, 1.0):
            y = area.bottom() - value * area.height()
            box = QRectF(area.right() + 5, y - 8, _RIGHT - 5, 16)
            painter.drawText(box, left, f"{value:g}")
        points = {
            number: QPointF(
                area.left() + step / last * area.width(),
                area.bottom() - min(max(score, 0.0), 1.0) * area.height(),
            )
            for number, (step, score) in enumerate(
                zip(curve.score_steps, curve.scores, strict=True)
            )
            if math.isfinite(score)
        }
        painter.setPen(QPen(color, 1.5))
        painter.drawPolyline(QPolygonF(list(points.values())))
        painter.setBrush(color)
        for point in points.values():
            painter.drawEllipse(point, 2.0, 2.0)
        if curve.best in points:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(points[curve.best], 5.0, 5.0)


def binned(
    steps: Sequence[int], values: Sequence[float], last: int, n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean step and mean value in each of `n_bins` parts of 0 … `last`.

    Values that no logarithm has (zero, negative, not finite) are left out, and so are
    empty parts.
    """
    x, y = np.asarray(steps, float), np.asarray(values, float)
    fine = np.isfinite(y) & (y > 0)
    x, y = x[fine], y[fine]
    place = np.minimum((x / last * n_bins).astype(int), n_bins - 1)
    counts = np.bincount(place, minlength=n_bins)
    used = counts > 0
    return (
        np.bincount(place, x, n_bins)[used] / counts[used],
        np.bincount(place, y, n_bins)[used] / counts[used],
    )


def log_range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Decimal logarithms between which `values` are drawn, with some air."""
    low, high = float(np.log10(values.min())), float(np.log10(values.max()))
    air = max(0.05 * (high - low), 0.02)
    return low - air, high + air


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers (1, 2, 5 × 10ⁿ) between two decimal logarithms, five at most."""
    decades = range(math.floor(low), math.ceil(high) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5)]
    inside = [t for t in ticks if low <= math.log10(t) <= high]
    if len(inside) > 5:
        inside = [10.0**d for d in decades if low <= d <= high]
    if not inside:
        middle = 10 ** ((low + high) / 2)
        inside = [float(f"{middle:.2g}")]
    return inside[:: math.ceil(len(inside) / 5)]
