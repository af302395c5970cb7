"""Predict offers models that fit the image first, and says why others do not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.widgets.model_section import image_kinds
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session

pytestmark = pytest.mark.viewer


def offered(widget: PredictWidget) -> list[str]:
    combo = widget.model.model.native
    return [combo.itemText(i) for i in range(combo.count())]


def test_models_that_fit_come_first(
    viewer: Any, host: Any, write_model: Callable[..., Path]
) -> None:
    write_model("flat")
    write_model("deep", spatial="ZYX")
    write_model("three", n_channels=3)
    write_model("coarse", voxel_size=[5.0, 5.0], unit="micrometer")
    plane = viewer.add_image(
        np.zeros((64, 64), np.uint8), scale=(0.5, 0.5), units=("micrometer",) * 2
    )
    news = Session()
    widget = PredictWidget(viewer, host, news)
    viewer.window.add_dock_widget(widget, name="Predict U-Net")
    first, *others = offered(widget)
    assert first == "flat"
    assert sorted(others) == [
        "coarse (for pixels of 5 µm)",
        "deep (for volumes)",
        "three (for 3 channels)",
    ]
    assert widget.model.info().name == "flat"
    widget.model.choose(widget.model.path())
    rgb = viewer.add_image(np.zeros((64, 64, 3), np.uint8), rgb=True, name="rgb")
    widget.image.image.value = rgb
    assert offered(widget)[0] == "three"
    # What was chosen stays chosen: the widget says below why it does not fit.
    assert widget.model.info().name == "flat"
    widget.image.image.value = plane
    write_model("new")
    news.library_changed.emit()
    assert "new" in offered(widget)


def test_every_way_to_read_an_image_counts(viewer: Any) -> None:
    layer = viewer.add_image(np.zeros((3, 64, 64), np.uint8))
    kinds = {(axes, channels) for axes, channels, *_ in image_kinds([layer])}
    assert {("ZYX", 1), ("CYX", 3)} <= kinds
    other = viewer.add_image(np.zeros((3, 64, 64), np.uint8))
    kinds = {(axes, channels) for axes, channels, *_ in image_kinds([layer, other])}
    assert ("ZYX", 2) in kinds
    assert all("C" not in axes for axes, _ in kinds)
    assert image_kinds([]) == []
