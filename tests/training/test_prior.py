from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.training.prior import begin_with_shares
from napari_unet.workflows.training import TrainingSetup

SMALL = {"annotation": "complete", "device": "cpu", "base_channels": 4, "levels": 2}


def stripes(every: int) -> Annotation:
    """An image of which one row in `every` is foreground."""
    labels = np.zeros((64, 64), np.int32)
    labels[::every] = 1
    return Annotation(labels, ImageSource((labels.astype(np.float32),), "YX"))


def first_answer(setup: TrainingSetup) -> torch.Tensor:
    """What a network says of an image that shows nothing, before it learnt anything."""
    network = setup.trainer.network.eval()
    with torch.inference_mode():
        return network(torch.zeros(1, 1, 64, 64)).float().mean((0, 2, 3))


def setup_of(annotation: Annotation, **wishes: object) -> TrainingSetup:
    config = training_config(**{**SMALL, "task": "classes", **wishes})
    return TrainingSetup.prepare([annotation], config, (), None, "stripes")


def test_where_background_fills_nearly_all_the_first_answer_says_so():
    share = first_answer(setup_of(stripes(16))).softmax(0)
    assert share[1] == pytest.approx(1 / 16, abs=0.02)


def test_where_classes_are_alike_the_first_answer_is_neither():
    share = first_answer(setup_of(stripes(4))).softmax(0)
    assert share[1] == pytest.approx(1 / 2, abs=0.02)


def test_class_weights_count():
    wishes = {"loss": {"class_weights": [1.0, 15.0]}}
    share = first_answer(setup_of(stripes(16), **wishes)).softmax(0)
    assert share[1] == pytest.approx(1 / 2, abs=0.02)


def test_a_class_that_is_hardly_there_stays_within_reach():
    network = nn.Module()
    network.head = nn.Conv2d(2, 3, 1)
    assert begin_with_shares(network, [1.0, 0.0, 0.0])
    assert float(network.head.bias.detach().softmax(0)[2]) == pytest.approx(
        1e-3, rel=0.01
    )


def test_networks_with_another_last_layer_are_left_alone():
    assert not begin_with_shares(nn.Conv2d(2, 2, 1), [0.95, 0.05])
    network = nn.Module()
    network.head = nn.Conv2d(2, 4, 1)
    assert not begin_with_shares(network, [0.95, 0.05])
