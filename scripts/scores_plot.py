"""The plot of scores of a comparison for equal steps, against steps instead of minutes.

python scripts/scores_plot.py comparison/comparison.json docs/images/compare-scores.svg
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from napari_unet.evaluation.charts import curves, standalone


def plot(comparison: Path, picture: Path) -> None:
    """Draw every network; validations are evenly spaced where steps are counted."""
    networks = json.loads(comparison.read_text())["networks"]
    series = []
    for network in networks:
        curve = network["curve"]
        every = network["steps"] / max(len(curve), 1)
        points = [(every * (k + 1), score) for k, (_, score) in enumerate(curve)]
        series.append((network["title"], points))
    picture.write_text(standalone(curves(series, "steps", networks[0]["score_name"])))


if __name__ == "__main__":
    plot(Path(sys.argv[1]), Path(sys.argv[2]))
