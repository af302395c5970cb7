"""Samples of the menu: training can begin without a further choice."""

from __future__ import annotations

from typing import Any

import npe2
import pytest
from napari.layers import Image, Labels

from napari_unet.widgets.annotation_layer import rule_of
from napari_unet.widgets.session import Session
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

PLUGIN = "napari-unet-live"

SAMPLES = {
    "nuclei_2d": ("objects", "YX", 1),
    "nuclei_3d": ("objects", "ZYX", 1),
    "membranes": ("classes", "YX", 1),
    "nuclei_timelapse": ("objects", "TYX", 1),
    "cells": ("objects", "YX", 2),
}
"""Task, axes and channels of each."""


def test_the_menu_offers_what_is_tested_here(viewer: Any) -> None:
    manifest = npe2.PluginManager.instance().get_manifest(PLUGIN)
    offered = manifest.contributions.sample_data or []
    assert {sample.key for sample in offered} == set(SAMPLES)


@pytest.mark.parametrize("opened_first", [False, True])
@pytest.mark.parametrize("key", SAMPLES)
def test_training_can_begin_at_once(
    viewer: Any, host: Any, key: str, *, opened_first: bool
) -> None:
    task, axes, channels = SAMPLES[key]
    if opened_first:
        widget = TrainWidget(viewer, host, Session())
        viewer.open_sample(PLUGIN, key)
    else:
        viewer.open_sample(PLUGIN, key)
        widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget)
    request = widget.request()
    assert request.config.task == task
    assert request.config.annotation == "sparse"
    assert request.image.source.axes == axes
    assert request.image.source.n_channels == channels
    widget.check()
    assert widget.live.main.isEnabled()


@pytest.mark.parametrize("key", SAMPLES)
def test_annotations_lie_over_their_images(viewer: Any, key: str) -> None:
    viewer.open_sample(PLUGIN, key)
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    (painted,) = [
        layer
        for layer in viewer.layers
        if isinstance(layer, Labels) and rule_of(layer) == "sparse"
    ]
    for image in images:
        assert painted.extent.world[1] == pytest.approx(image.extent.world[1])
        assert tuple(painted.units) == tuple(image.units)
        assert tuple(painted.axis_labels) == tuple(image.axis_labels)


def test_classes_of_membranes_have_their_names(viewer: Any, host: Any) -> None:
    viewer.open_sample(PLUGIN, "membranes")
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget)
    classes = widget.request().classes or []
    assert [c.name for c in classes] == ["inside of cells", "membrane"]


def test_a_task_that_was_chosen_by_hand_stays(viewer: Any, host: Any) -> None:
    viewer.open_sample(PLUGIN, "membranes")
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget)
    widget.annotation.task.value = "objects"
    viewer.add_points([[1.0, 1.0]])
    widget.annotation.refresh()
    assert widget.annotation.task.value == "objects"
