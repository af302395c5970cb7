"""Large classes are learnt on a coarse grid, small ones are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.data.split import whole_parts
from napari_unet.training.plan import COARSE_PATCH, make_plan
from napari_unet.training.resolution import keeps_classes

EDGE = 512


def annotated(labels: np.ndarray, **options: Any) -> Annotation:
    source = ImageSource((np.zeros(labels.shape, np.uint8),), "YX")
    return Annotation(labels.astype(np.uint8), source, "complete", **options)


def discs(radius: int) -> np.ndarray:
    """A disc in each quarter of an image."""
    y, x = np.mgrid[:EDGE, :EDGE] % (EDGE // 2) - EDGE // 4
    return (y**2 + x**2 < radius**2).astype(np.uint8)


@pytest.mark.parametrize(("radius", "kept"), [(100, True), (5, False)])
def test_a_grid_keeps_what_is_large(radius: int, kept: bool) -> None:
    assert keeps_classes(whole_parts([annotated(discs(radius))]), 4) == kept


def test_every_class_has_to_be_kept() -> None:
    labels = discs(100)
    labels[::64] = 2
    assert not keeps_classes(whole_parts([annotated(labels)]), 4)


def test_what_nobody_annotated_does_not_count() -> None:
    labels = discs(100)
    labels[::64] = 0
    parts = whole_parts([annotated(labels + labels, background=False)])
    assert keeps_classes(parts, 4)


def test_sizes_need_not_be_divisible() -> None:
    parts = whole_parts([annotated(discs(100)[:509, :510])])
    assert keeps_classes(parts, 4)


def planned(labels: np.ndarray, device: str = "cpu", **wishes: Any) -> Any:
    config = training_config(**{"annotation": "complete", **wishes})
    parts = whole_parts([annotated(labels)])
    return make_plan(config, parts, 2, torch.device(device))


def stem(plan: Any) -> int:
    strides: int = plan.network.arguments["stem"][0]
    return strides


def test_large_classes_get_wide_patches_at_a_quarter_of_the_resolution() -> None:
    plan = planned(discs(100))
    assert plan.patch_size == (COARSE_PATCH, COARSE_PATCH)
    assert stem(plan) == 4


@pytest.mark.parametrize(
    ("labels", "wishes"),
    [
        (discs(5), {}),
        (discs(100), {"task": "objects"}),
        (discs(100)[:200, :200], {}),
        (discs(100) + 1, {"annotation": "sparse"}),
    ],
    ids=["small classes", "objects", "small images", "strokes"],
)
def test_others_keep_the_usual_resolution(
    labels: np.ndarray, wishes: dict[str, Any]
) -> None:
    assert stem(planned(labels, **wishes)) == 2


@pytest.mark.parametrize("network", ["unet", "light_unet", "residual_unet", "hrnet"])
def test_only_networks_with_a_first_step_get_a_large_one(network: str) -> None:
    plan = planned(discs(100), network=network)
    assert plan.coarse == (network != "hrnet")
    assert max(plan.patch_size) == (COARSE_PATCH if plan.coarse else 256)


def test_a_patch_that_was_wished_for_is_kept() -> None:
    plan = planned(discs(100), patch_size=(256, 256))
    assert plan.patch_size == (256, 256)
