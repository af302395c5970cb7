"""Small charts as SVG: text that every browser draws, and no library behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

WIDTH = 460
HEIGHT = 260
LEFT, RIGHT, TOP, BOTTOM = 48, 14, 12, 40

Point = tuple[float, float]


def band(
    points: Sequence[Point],
    bounds: Sequence[Point],
    x_title: str,
    y_title: str,
) -> str:
    """A curve in its band of uncertainty, both axes from 0 to 1 but x as it comes.

    Parameters
    ----------
    points : sequence of (x, y)
    bounds : sequence of (low, high)
        Of y at each point; NaN where unknown.
    """
    low, high = _span([x for x, _ in points])
    plot = _Plot((low, high), (0.0, 1.0))
    # Not more than fit side by side.
    ticks = [x for x, _ in points][:: max(1, -(-len(points) // 10))]
    known = [
        (x, a, b)
        for (x, _), (a, b) in zip(points, bounds, strict=True)
        if not math.isnan(a)
    ]
    parts = plot.frame(x_title, y_title, ticks)
    if known:
        around = [(x, b) for x, _, b in known] + [(x, a) for x, a, _ in known[::-1]]
        parts.append(f'<polygon class="band" points="{plot.path(around)}"/>')
    parts.append(f'<polyline class="line" points="{plot.path(points)}"/>')
    parts += [plot.dot(p, f"{p[0]:.2f}: {p[1]:.3f}") for p in points]
    return _svg(parts)


def dots(
    values: Sequence[tuple[str, float]], mean: float, bounds: Point, y_title: str
) -> str:
    """One dot an image, in order of their scores, with the pooled score behind."""
    shown = sorted((v for v in values if not math.isnan(v[1])), key=lambda v: v[1])
    plot = _Plot((0.0, max(len(shown) - 1, 1)), (0.0, 1.0))
    parts = plot.frame("images, from the worst to the best", y_title, ticks=())
    ends = plot.x_range
    if not math.isnan(bounds[0]):
        corners = [(ends[0], bounds[1]), (ends[1], bounds[1])]
        corners += [(ends[1], bounds[0]), (ends[0], bounds[0])]
        parts.append(f'<polygon class="band" points="{plot.path(corners)}"/>')
    if not math.isnan(mean):
        line = [(ends[0], mean), (ends[1], mean)]
        parts.append(f'<polyline class="mean" points="{plot.path(line)}"/>')
    parts += [
        plot.dot((float(k), value), f"{name}: {value:.3f}")
        for k, (name, value) in enumerate(shown)
    ]
    return _svg(parts)


COLORS = ("#0f766e", "#d97706", "#7c3aed", "#dc2626", "#2563eb", "#65a30d", "#a16207",
          "#db2777", "#475569", "#0891b2")  # fmt: skip


def curves(
    series: Sequence[tuple[str, Sequence[Point]]], x_title: str, y_title: str
) -> str:
    """Several curves with their names below, x from 0, y from 0 to at most 1."""
    points = [point for _, curve in series for point in curve]
    top = max((y for _, y in points), default=1.0)
    plot = _Plot(
        _span([0.0, *(x for x, _ in points)]), (0.0, min(1.0, max(top * 1.1, 0.05)))
    )
    ticks = [plot.x_range[1] * k / 4 for k in range(5)]
    parts = plot.frame(x_title, y_title, ticks)
    for k, (name, curve) in enumerate(series):
        color = COLORS[k % len(COLORS)]
        inside = [(x, max(0.0, min(y, plot.y_range[1]))) for x, y in curve]
        parts.append(
            f'<polyline fill="none" stroke="{color}" stroke-width="2" '
            f'points="{plot.path(inside)}"/>'
        )
        for point in inside:
            x, y = plot.at(point)
            told = f"{escape(name)}, {point[0]:.2f}: {point[1]:.3f}"
            parts.append(
                f'<circle fill="{color}" cx="{x:.1f}" cy="{y:.1f}" r="2.5">'
                f"<title>{told}</title></circle>"
            )
        left, low = LEFT + 140 * (k % 3), HEIGHT + 14 + 18 * (k // 3)
        parts.append(
            f'<circle fill="{color}" cx="{left}" cy="{low - 4}" r="5"/>'
            f'<text x="{left + 10}" y="{low}">{escape(name)}</text>'
        )
    return _svg(parts, HEIGHT + 18 * math.ceil(len(series) / 3) + 4)


def standalone(svg: str) -> str:
    """A chart as a file of its own: with its name space, its style and a background."""
    style = (
        "<style>text{font:12px sans-serif;fill:#334155}"
        ".grid{stroke:#cbd5e1;stroke-width:1}</style>"
        '<rect width="100%" height="100%" fill="#ffffff"/>'
    )
    head, _, rest = svg.partition(">")
    return f'{head} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'


def reliability_curve(
    curve: Sequence[tuple[float, float, int]],
    before: Sequence[tuple[float, float, int]] = (),
) -> str:
    """Share of right pixels over confidence; on the diagonal they are equal.

    Parameters
    ----------
    curve : sequence of (float, float, int)
        Confidence, share of right pixels, and pixels of each bin.
    before : sequence of (float, float, int)
        The same for probabilities that are not calibrated: a thin line.
    """
    plot = _Plot((0.0, 1.0), (0.0, 1.0))
    parts = plot.frame("confidence of the model", "share of right pixels")
    parts.append(f'<polyline class="mean" points="{plot.path([(0, 0), (1, 1)])}"/>')
    if before:
        points = [(x, y) for x, y, _ in before]
        parts.append(f'<polyline class="thin" points="{plot.path(points)}"/>')
    points = [(x, y) for x, y, _ in curve]
    parts.append(f'<polyline class="line" points="{plot.path(points)}"/>')
    most = max((n for _, _, n in curve), default=1)
    parts += [
        plot.dot(
            (x, y), f"{n:,} pixels: {x:.2f} sure, {y:.2f} right", (n / most) ** 0.5
        )
        for x, y, n in curve
    ]
    return _svg(parts)


def bars(rows: Sequence[tuple[str, float, Point]], x_title: str) -> str:
    """Horizontal bars with whiskers, from 0 to 1."""
    step, start = 26, 150
    height = TOP + step * len(rows) + BOTTOM
    width = WIDTH - start - RIGHT - 40
    parts = []
    for k, (name, value, (low, high)) in enumerate(rows):
        y = TOP + step * k
        middle = y + step / 2
        parts.append(
            f'<text x="{start - 8}" y="{middle + 4:.1f}" text-anchor="end">'
            f"{escape(name)}</text>"
        )
        if math.isnan(value):
            continue
        parts.append(
            f'<rect class="bar" x="{start}" y="{y + 5}" '
            f'width="{width * value:.1f}" height="{step - 10}"/>'
        )
        if not math.isnan(low):
            parts.append(
                f'<line class="whisker" x1="{start + width * low:.1f}" '
                f'x2="{start + width * high:.1f}" y1="{middle}" y2="{middle}"/>'
            )
        at = start + width * (value if math.isnan(high) else max(value, high)) + 6
        parts.append(f'<text x="{at:.1f}" y="{middle + 4:.1f}">{value:.3f}</text>')
    y = TOP + step * len(rows) + 18
    parts.append(f'<text x="{start}" y="{y}">{escape(x_title)}</text>')
    return _svg(parts, height)


class _Plot:
    """Coordinates of a plot."""

    def __init__(self, x_range: Point, y_range: Point) -> None:
        self.x_range = x_range
        self.y_range = y_range

    def at(self, point: Point) -> Point:
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        x = LEFT + (WIDTH - LEFT - RIGHT) * (point[0] - x0) / (x1 - x0)
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (point[1] - y0) / (y1 - y0)
        return x, y

    def path(self, points: Sequence[Point]) -> str:
        return " ".join("{:.1f},{:.1f}".format(*self.at(p)) for p in points)

    def dot(self, point: Point, title: str, size: float = 1.0) -> str:
        x, y = self.at(point)
        return (
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{1.5 + 2.5 * size:.1f}">'
            f"<title>{escape(title)}</title></circle>"
        )

    def frame(
        self, x_title: str, y_title: str, ticks: Sequence[float] | None = None
    ) -> list[str]:
        parts = []
        bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
        for k in range(5):
            y = self.y_range[0] + k / 4 * (self.y_range[1] - self.y_range[0])
            _, at = self.at((self.x_range[0], y))
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{right}" '
                f'y1="{at:.1f}" y2="{at:.1f}"/>'
                f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">'
                f"{y:.2f}</text>"
            )
        places = (0, 0.25, 0.5, 0.75, 1) if ticks is None else ticks
        digits = 2 if max(places, default=0) < 10 else 0
        for x in places:
            at, _ = self.at((x, 0.0))
            parts.append(
                f'<text x="{at:.1f}" y="{bottom + 16}" text-anchor="middle">'
                f"{x:.{digits}f}</text>"
            )
        middle = (LEFT + right) / 2
        parts.append(
            f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{escape(x_title)}</text>"
            f'<text transform="translate(12 {(TOP + bottom) / 2}) rotate(-90)" '
            f'text-anchor="middle">{escape(y_title)}</text>'
        )
        return parts


def _span(values: Sequence[float]) -> Point:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _svg(parts: Sequence[str], height: float = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'style="max-width:{WIDTH}px">{"".join(parts)}</svg>'
    )
