"""Draw the figures of "How a U-Net works": `python scripts/unet_figures.py`.

The numbers in them are computed here, so that figure and arithmetic agree.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from svg import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PALE_BLUE,
    PALE_GREEN,
    PALE_ORANGE,
    PURPLE,
    RED,
    WHITE,
    Drawing,
)

IMAGES = Path(__file__).parents[1] / "docs" / "images"
CHANNELS = (32, 64, 128, 256, 320)
SIDE = 256


def network() -> Drawing:
    """The U: levels, channels, and what leads from one to the next."""
    d = Drawing(860, 470, "A U-Net of five levels with four skip connections")
    top, step = 46, 84
    down = [(70 + 78 * i, top + step * i) for i in range(5)]
    up = [(860 - 70 - 78 * i - 40, top + step * i) for i in range(4)]
    d.text(34, top + 22, "image", 12)
    d.line([(12, top + 34), (62, top + 34)], INK, arrow=True)
    for i, (x, y) in enumerate(down):
        _features(d, x, y, i, PALE_BLUE, BLUE)
        if i < 4:
            x2, y2 = down[i + 1]
            d.line(
                [(x + 20, y + 64 - 6 * i), (x + 20, y2 + 28), (x2 - 4, y2 + 28)],
                RED,
                2,
                arrow=True,
            )
    for i, (x, y) in enumerate(up):
        _features(d, x, y, i, PALE_GREEN, GREEN)
        start = down[i][0] + 48
        d.line([(start, y + 22), (x - 6, y + 22)], ORANGE, 2, "6 4", arrow=True)
        below = up[i + 1] if i < 3 else down[4]
        d.line(
            [
                (below[0] + 44, below[1] + 28),
                (x + 20, below[1] + 28),
                (x + 20, y + 64 - 6 * i),
            ],
            PURPLE,
            2,
            arrow=True,
        )
    x, y = up[0]
    d.line([(x + 48, y + 34), (x + 84, y + 34)], INK, arrow=True)
    d.text(x + 62, y + 22, "maps", 12)
    words = [
        (BLUE, "", "way down: two 3 × 3 convolutions"),
        (GREEN, "", "way up: two 3 × 3 convolutions"),
        (RED, "", "max pooling, 2 × 2"),
        (PURPLE, "", "up-convolution, 2 × 2"),
        (ORANGE, "6 4", "skip connection"),
    ]
    for row, (color, dash, word) in enumerate(words):
        y = 366 + 20 * row
        d.line([(40, y - 4), (72, y - 4)], color, 3, dash)
        d.text(82, y, word, 12, anchor="start")
    return d


def _features(
    d: Drawing, x: float, y: float, level: int, fill: str, stroke: str
) -> None:
    """Two boxes for the two convolutions of a level, with channels and size."""
    for offset in (0, 22):
        d.rect(x + offset, y, 18, 60 - 6 * level, fill, stroke)
    d.text(x + 17, y - 6, str(CHANNELS[level]), 12, anchor="end", weight="bold")
    d.text(x + 23, y - 6, f"{SIDE >> level}²", 11, FAINT, "start")


PICTURE = np.array(
    [
        [1, 1, 1, 8, 8],
        [1, 1, 1, 8, 8],
        [1, 1, 1, 8, 8],
        [1, 1, 1, 8, 8],
        [1, 1, 1, 8, 8],
    ]
)
KERNEL = np.array([[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]])


def convolution() -> Drawing:
    """A kernel that answers where dark meets bright."""
    d = Drawing(640, 250, "A 3 by 3 kernel slides over a picture of 5 by 5 pixels")
    result = np.array(
        [
            [int((PICTURE[r : r + 3, c : c + 3] * KERNEL).sum()) for c in range(3)]
            for r in range(3)
        ]
    )
    under = [(r, c) for r in range(1, 4) for c in range(1, 4)]
    d.grid(30, 44, PICTURE.tolist(), marked=under)
    d.text(240, 140, "∗", 26)
    d.grid(275, 78, KERNEL.tolist(), fill=PALE_ORANGE)
    d.text(415, 138, "=", 24)
    d.grid(450, 78, result.tolist(), fill=PALE_BLUE, marked=[(1, 1)])
    for x, word in ((115, "image"), (326, "kernel"), (501, "feature map")):
        d.text(x, 30, word, 13, weight="bold")
    products = PICTURE[1:4, 1:4] * KERNEL
    terms = " + ".join(f"({n})" if n < 0 else str(n) for n in products[0] if n)
    d.text(320, 238, f"middle: 3 × ({terms}) = {result[1, 1]}", 13, INK)
    return d


POOLED = np.array([[1, 3, 2, 0], [5, 2, 1, 1], [0, 1, 7, 4], [2, 0, 3, 6]])


def pooling() -> Drawing:
    """Pooling keeps the largest of four; the way back spreads a number over four."""
    d = Drawing(720, 224, "Max pooling halves the size; an up-convolution doubles it")
    small = POOLED.reshape(2, 2, 2, 2).max(axis=(1, 3))
    colors = [PALE_ORANGE, PALE_BLUE, PALE_GREEN, "#e8ddf2"]
    cell = 34
    for k, color in enumerate(colors):
        r, c = divmod(k, 2)
        quarter = POOLED[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].tolist()
        d.grid(30 + 2 * cell * c, 44 + 2 * cell * r, quarter, cell, color)
        d.grid(270 + cell * c, 78 + cell * r, [[small[r, c]]], cell, color)
        weights = [[4, 2], [2, 1]]
        spread = [[f"{w * int(small[r, c])}" for w in row] for row in weights]
        d.grid(540 + 2 * cell * c, 44 + 2 * cell * r, spread, cell, color)
    d.grid(402, 78, [[4, 2], [2, 1]], cell)
    d.text(98, 30, "4 × 4", weight="bold")
    d.text(304, 30, "largest of each four", weight="bold")
    d.text(436, 66, "kernel", 12, FAINT)
    d.text(608, 30, "4 × 4 again", weight="bold")
    d.line([(178, 112), (256, 112)], RED, 2, arrow=True)
    d.text(216, 102, "max pooling", 12, RED)
    d.text(372, 118, "×", 20)
    d.line([(482, 112), (530, 112)], PURPLE, 2, arrow=True)
    d.text(506, 102, "up-conv.", 12, PURPLE)
    d.text(
        360,
        210,
        "Where in its four the largest number stood is lost: "
        "skip connections bring it back.",
        13,
    )
    return d


def receptive_field() -> Drawing:
    """How far one position sees, with and without pooling."""
    d = Drawing(
        760,
        290,
        "What one output position sees through three convolutions, "
        "and with pooling in between",
    )
    _pyramid(d, 30, [19, 19, 19, 19], [3, 3, 3], "three convolutions: 7 pixels")
    _pyramid(
        d,
        400,
        [20, 20, 10, 10, 5, 5],
        [3, 2, 3, 2, 3],
        "the same with pooling between: 18 pixels",
    )
    return d


def _pyramid(
    d: Drawing, x: float, cells: list[int], steps: list[int], word: str
) -> None:
    """Rows of cells, the input below; what the middle cell of the top row sees."""
    width, rows = 330, len(cells)
    gap = 200 / (rows - 1)
    seen = (cells[-1] // 2, cells[-1] // 2)
    edges = []
    for row in reversed(range(rows)):
        cell = width / cells[row]
        y = 240 - row * gap
        for n in range(cells[row]):
            inside = seen[0] <= n <= seen[1]
            d.rect(
                x + n * cell + 1,
                y,
                cell - 2,
                14,
                PALE_ORANGE if inside else WHITE,
                FAINT,
                1,
            )
        edges.append(
            (x + max(0, seen[0]) * cell, x + min(cells[row], seen[1] + 1) * cell, y)
        )
        if row:
            if steps[row - 1] == 2:
                seen = (2 * seen[0], 2 * seen[1] + 1)
            else:
                seen = (seen[0] - 1, seen[1] + 1)
    for a, b in itertools.pairwise(edges):
        d.polygon(
            [(a[0], a[2] + 14), (a[1], a[2] + 14), (b[1], b[2]), (b[0], b[2])],
            ORANGE,
            0.22,
        )
    d.text(x + width / 2, 276, word, 13)
    d.text(x + width / 2, 28, "one output position", 12, ORANGE)


def overlap_tile() -> Drawing:
    """Two neighbouring tiles with their halos."""
    d = Drawing(800, 300, "Tiles overlap by their halos; only the cores are kept")
    d.rect(40, 40, 400, 220, "#eef2f4", INK, 1.5)
    for n in range(1, 4):
        d.line([(40 + 100 * n, 40), (40 + 100 * n, 260)], FAINT, 1)
    d.line([(40, 150), (440, 150)], FAINT, 1)
    for x, color, pale in ((140, BLUE, PALE_BLUE), (240, ORANGE, PALE_ORANGE)):
        d.rect(x, 150, 100, 110, pale, color, 2)
    d.rect(105, 115, 170, 145, "none", BLUE, 2, "6 4")
    d.rect(205, 115, 170, 145, "none", ORANGE, 2, "6 4")
    d.text(172, 210, "core", 13, BLUE, weight="bold")
    d.text(308, 210, "core", 13, ORANGE, weight="bold")
    d.text(240, 30, "image", 13, weight="bold")
    d.text(480, 100, "solid: what a tile writes", 13, anchor="start")
    d.text(480, 124, "dashed: what it reads, the core and its halo", 13, anchor="start")
    d.text(
        480, 172, "Both tiles read the pixels along their border,", 13, anchor="start"
    )
    d.text(480, 192, "each with all the context that the network", 13, anchor="start")
    d.text(480, 212, "can see. So both compute the same there,", 13, anchor="start")
    d.text(480, 232, "and no seam shows.", 13, anchor="start")
    return d


def losses() -> Drawing:
    """Loss of a pixel against the probability that the network gives its class."""
    d = Drawing(560, 320, "Cross-entropy, focal loss and Dice of one pixel")
    left, top, width, height = 60, 24, 300, 240

    def at(p: float, loss: float) -> tuple[float, float]:
        return left + width * p, top + height * (1 - loss / 4)

    d.rect(left, top, width, height, "none", FAINT)
    for tick in range(5):
        d.text(left - 10, at(0, tick)[1] + 4, str(tick), 11, FAINT, "end")
        d.text(at(tick / 4, 0)[0], top + height + 18, f"{tick / 4:g}", 11, FAINT)
    d.text(left + width / 2, 306, "probability p of the true class", 13)
    d.text(22, 16, "loss", 13, anchor="start")
    curves: list[tuple[str, str, Callable[[float], float]]] = [
        (BLUE, "cross-entropy: −log p", lambda p: -math.log(p)),
        (
            ORANGE,
            "focal, γ = 2: −(1 − p)² log p",
            lambda p: -((1 - p) ** 2) * math.log(p),
        ),
        (
            GREEN,
            "soft Dice, this pixel alone: 1 − 2p / (p + 1)",
            lambda p: 1 - 2 * p / (p + 1),
        ),
    ]
    for row, (color, _, loss) in enumerate(curves):
        points = [at(p, loss(p)) for p in np.linspace(0.0184, 1, 90).tolist()]
        d.line(points, color, 2.5)
        d.line([(376, 60 + 54 * row), (402, 60 + 54 * row)], color, 3)
    for row, (_, word, _) in enumerate(curves):
        name, _, formula = word.partition(": ")
        d.text(376, 78 + 54 * row, name, 12, anchor="start")
        d.text(376, 93 + 54 * row, formula, 12, anchor="start")
    return d


FIGURES: dict[str, Callable[[], Drawing]] = {
    "unet-network.svg": network,
    "unet-convolution.svg": convolution,
    "unet-pooling.svg": pooling,
    "unet-receptive-field.svg": receptive_field,
    "unet-overlap-tile.svg": overlap_tile,
    "unet-losses.svg": losses,
}


def main() -> None:
    """Write all figures, or those into another folder."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    for name, draw in FIGURES.items():
        draw().write(folder / name)


if __name__ == "__main__":
    main()
