"""Draw simple figures as SVG: boxes, lines, arrows, text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

INK = "#22313a"
FAINT = "#8a979e"
BLUE = "#2a7f9e"
PALE_BLUE = "#d5e9f0"
ORANGE = "#d9822b"
PALE_ORANGE = "#fae3cb"
GREEN = "#3d8b54"
PALE_GREEN = "#d6ecdc"
RED = "#b93a32"
PURPLE = "#75539b"
WHITE = "#ffffff"

Point = tuple[float, float]


class Drawing:
    """A figure on white ground, so that it reads on dark pages, too.

    Parameters
    ----------
    width, height : float
        In pixels.
    title : str
        What screen readers say.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height = width, height
        self.parts = [
            f"<title>{escape(title)}</title>",
            f'<rect width="{width:g}" height="{height:g}" rx="6" fill="{WHITE}"/>',
        ]

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str = "none",
        stroke: str = INK,
        line: float = 1.2,
        dash: str = "",
    ) -> None:
        """A box; `x` and `y` are its upper left corner."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="{line:g}"{dashed}/>'
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 13,
        color: str = INK,
        anchor: str = "middle",
        weight: str = "normal",
    ) -> None:
        """A line of text with its baseline at `y`."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{color}" '
            f'text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
        )

    def line(
        self,
        points: Sequence[Point],
        color: str = INK,
        width: float = 1.5,
        dash: str = "",
        *,
        arrow: bool = False,
    ) -> None:
        """A line through `points`, with an arrow head at its end if wanted."""
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        if arrow:
            self._head(points[-2], points[-1], color)
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" '
            f'stroke-width="{width:g}"{extra}/>'
        )

    def _head(self, start: Point, end: Point, color: str) -> None:
        """An arrow head at `end`: markers are drawn differently by some programs."""
        length = math.dist(start, end)
        x, y = ((b - a) / length for a, b in zip(start, end, strict=True))
        back = (end[0] - 8 * x, end[1] - 8 * y)
        sides = [(back[0] - 4 * s * y, back[1] + 4 * s * x) for s in (1, -1)]
        self.polygon([end, *sides], color)

    def polygon(self, points: Sequence[Point], fill: str, opacity: float = 1) -> None:
        """A filled area."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(
            f'<polygon points="{path}" fill="{fill}" opacity="{opacity:g}"/>'
        )

    def grid(
        self,
        x: float,
        y: float,
        values: Sequence[Sequence[object]],
        cell: float = 34,
        fill: str = WHITE,
        marked: Sequence[tuple[int, int]] = (),
        mark: str = PALE_ORANGE,
    ) -> None:
        """Numbers in cells; those in `marked` (row, column) have another ground."""
        for row, numbers in enumerate(values):
            for column, number in enumerate(numbers):
                left, top = x + column * cell, y + row * cell
                ground = mark if (row, column) in marked else fill
                self.rect(left, top, cell, cell, ground, FAINT, 1)
                place = (left + cell / 2, top + cell / 2 + 4.5)
                self.text(*place, str(number), min(13, cell * 0.42))

    def svg(self) -> str:
        """The whole figure."""
        lines = "\n".join(self.parts)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width:g}" '
            f'height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'font-family="Helvetica, Arial, sans-serif">\n'
            f"{lines}\n</svg>\n"
        )

    def write(self, path: Path) -> None:
        """Write the figure as a file."""
        path.write_text(self.svg(), encoding="utf-8")
