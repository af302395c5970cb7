"""*Boundaries of labels* and *Superpixels from a probability* in a real viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Labels

from napari_unet.widgets.derive import BoundariesWidget, SuperpixelsWidget

pytestmark = pytest.mark.viewer

PLACE = {"scale": (3, 0.5, 0.25), "units": ("um",) * 3, "rotate": 20}


def docked(widget: Any) -> Any:
    widget.viewer.window.add_dock_widget(widget)
    return widget


def test_boundaries_become_a_layer_over_the_labels(
    viewer: Any, host: Any, engine: Any
) -> None:
    widget = docked(BoundariesWidget(viewer, host))
    assert "There is no Labels layer" in widget.panel.problem.text()
    labels = viewer.add_labels(np.ones((4, 8, 9), np.uint16), name="cells", **PLACE)
    widget.width_px.value = 3
    widget.panel.button.click()
    assert (engine.job.task, engine.job.params["width"]) == ("boundaries", 3)
    assert engine.job.params["ndim"] == 3
    assert engine.job.outputs["labels"].dtype == np.uint16
    engine.job.outputs["labels"][2, 2:5] = 7
    engine.job.end("done", result={})
    made = viewer.layers["cells boundaries"]
    assert isinstance(made, Labels)
    assert made.data.max() == 7
    assert not np.shares_memory(made.data, engine.job.outputs["labels"])
    for name in ("scale", "rotate", "translate"):
        np.testing.assert_allclose(getattr(made, name), getattr(labels, name))


def test_boundaries_without_numbers_need_one_byte(
    viewer: Any, host: Any, engine: Any
) -> None:
    widget = docked(BoundariesWidget(viewer, host))
    viewer.add_labels(np.ones((8, 9), np.int64))
    widget.ids.value = False
    widget.start_or_stop()
    assert engine.job.outputs["labels"].dtype == np.uint8


def test_superpixels_of_a_probability(viewer: Any, host: Any, engine: Any) -> None:
    widget = docked(SuperpixelsWidget(viewer, host))
    assert "There is no probability layer" in widget.panel.problem.text()
    viewer.add_image(np.zeros((4, 8, 9), np.float32), name="membrane", **PLACE)
    widget.of.value = "foreground"
    widget.size_px.value = 20
    widget.start_or_stop()
    params = engine.job.params
    assert (engine.job.task, params["of"], params["size"]) == (
        "superpixels",
        "foreground",
        20,
    )
    assert params["voxel_size"] == [3.0, 0.5, 0.25]
    engine.job.outputs["labels"][:] = 5
    engine.job.end("done", result={})
    assert viewer.layers["membrane superpixels"].data.max() == 5


def test_signed_whole_numbers_are_no_probability(viewer: Any, host: Any) -> None:
    widget = docked(SuperpixelsWidget(viewer, host))
    viewer.add_image(np.zeros((8, 9), np.int16), name="ct")
    assert "is no probability" in widget.panel.problem.text()
    assert not widget.panel.button.isEnabled()
