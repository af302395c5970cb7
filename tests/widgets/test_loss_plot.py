"""The live plot: what is drawn, for every curve that can come."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from napari_unet.widgets.loss_plot import LossPlot, binned, log_range, log_ticks
from napari_unet.widgets.style import DARK, LIGHT
from napari_unet.widgets.training_run import Curve


def test_long_curves_are_averaged_to_the_width_of_the_plot() -> None:
    steps = list(range(1, 100_001))
    x, y = binned(steps, [2.0] * len(steps), steps[-1], 300)
    assert len(x) == 300
    np.testing.assert_allclose(y, 2.0)
    assert (np.diff(x) > 0).all()


def test_losses_without_a_logarithm_are_left_out() -> None:
    x, y = binned([1, 2, 3, 4], [0.0, math.nan, math.inf, 0.5], 4, 100)
    assert (x.tolist(), y.tolist()) == ([4.0], [0.5])


@pytest.mark.parametrize("values", [[0.5], [0.3, 0.3], [1e-6, 1e3], [0.101, 0.102]])
def test_ticks_lie_inside(values: list[float]) -> None:
    low, high = log_range(np.asarray(values))
    ticks = log_ticks(low, high)
    assert 1 <= len(ticks) <= 5
    assert all(low <= math.log10(t) <= high for t in ticks)


@pytest.mark.viewer
@pytest.mark.parametrize(
    "curve",
    [
        Curve(),
        Curve(steps=[1], losses=[0.5]),
        Curve(steps=[1, 2], losses=[0.0, math.nan]),
        Curve([1, 2, 3], [1.0, 0.1, 0.01], [2, 3], [0.2, 0.9], 1),
        Curve([1, 2], [1.0, 0.1], [1, 2], [math.nan, 0.9], 1),
    ],
)
def test_every_curve_can_be_drawn(curve: Curve, qtbot: Any) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.resize(300, 150)
    plot.show_curve(curve)
    pictures = []
    for colors in (DARK, LIGHT):
        plot.set_colors(colors)
        picture = plot.grab().toImage()
        assert not picture.isNull()
        pictures.append(picture)
    assert pictures[0] != pictures[1]
