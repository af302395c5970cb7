"""What a model looked at."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_unet
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.unet import UNet
from napari_unet.stopping import Stopped
from napari_unet.workflows.sensitivity import (
    FOREGROUND,
    Sensitivity,
    sensitivity,
    smooth_gradient,
)


class Shifted(torch.nn.Module):
    """Sees only the pixel `shift` columns to the right, twice as strongly."""

    def __init__(self, shift: int, n_outputs: int = 2) -> None:
        super().__init__()
        self.shift, self.n_outputs = shift, n_outputs
        self.divisor, self.halo = (4, 4), (8, 8)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        seen = 2 * torch.roll(image[:, :1], -self.shift, dims=-1)
        return torch.cat([seen, *[torch.zeros_like(seen)] * (self.n_outputs - 1)], 1)


@pytest.mark.parametrize("shape", [(16, 20), (13, 19)])
def test_the_map_is_bright_where_the_network_looks(shape: tuple[int, int]) -> None:
    region = torch.zeros(shape, dtype=torch.bool)
    region[4:7, 5:8] = True
    pixels = torch.rand((2, *shape))
    found = smooth_gradient(Shifted(3), pixels, region, FOREGROUND, copies=2)
    expected = np.zeros(shape, np.float32)
    expected[4:7, 8:11] = 2 / 9  # the mean over nine pixels
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_class_is_weighed_against_the_others() -> None:
    region = torch.ones((8, 8), dtype=torch.bool)
    pixels = torch.zeros((1, 8, 8))
    found = smooth_gradient(Shifted(0, 3), pixels, region, 1, copies=1, noise=0.0)
    # Of the others, class 0 has half of the weight where all logits are 0.
    np.testing.assert_allclose(found, 2 * 0.5 / 64, rtol=1e-5)


def trained() -> tuple[Model, np.ndarray]:
    """A network that finds bright discs, by a few steps on one image."""
    rng = np.random.default_rng(0)
    labels = np.zeros((96, 96), np.int32)
    grid = np.indices(labels.shape)
    for number, (y, x) in enumerate([(20, 20), (20, 70), (70, 25), (70, 70)], 1):
        labels[(grid[0] - y) ** 2 + (grid[1] - x) ** 2 < 81] = number
    image = (labels > 0) * 1.0 + rng.normal(0, 0.15, labels.shape)
    model = napari_unet.train(
        image.astype(np.float32),
        labels,
        annotation="complete",
        task="objects",
        max_steps=40,
        batch_size=4,
        base_channels=8,
        levels=3,
        patch_size=(48, 48),
        validation_fraction=0.0,
        device="cpu",
    )
    return model, image


def test_the_map_drops_with_random_weights() -> None:
    model, image = trained()
    found = napari_unet.sensitivity(model, image, (20, 20))
    assert isinstance(found, Sensitivity)
    assert found.map.shape == found.region.shape
    assert found.map.max() == 1.0
    (y0, y1), (x0, x1) = found.box
    assert y0 <= 20 < y1
    assert x0 <= 20 < x1
    assert 30 < found.region.sum() < 400
    key = (slice(y0, y1), slice(x0, x1))
    pixels = torch.from_numpy(image[key].astype(np.float32))[None]
    region = torch.from_numpy(found.region)
    network = model.network.requires_grad_(False)
    learnt = smooth_gradient(network, pixels, region, FOREGROUND)
    torch.manual_seed(0)
    for parameter in network.parameters():
        if parameter.ndim > 1:
            parameter.copy_(torch.randn_like(parameter) * parameter.std())
    random = smooth_gradient(network, pixels, region, FOREGROUND)
    assert random.sum() < 0.5 * learnt.sum()


def tiny(task: str, classes: list) -> Model:
    torch.manual_seed(0)
    arguments = {
        "n_in": 1,
        "n_out": 2,
        "channels": [4, 6],
        "strides": [[2, 2]],
        "kernels": [[3, 3], [3, 3]],
        "convolutions": [1, 1],
        "stem": [1, 1],
    }
    network = UNet(1, 2, [4, 6], [(2, 2)], [(3, 3)] * 2, [1, 1], (1, 1)).eval()
    info = ModelInfo(
        name="tiny",
        task=task,
        spatial="YX",
        n_channels=1,
        classes=classes,
        network=NetworkInfo(name="unet", arguments=arguments),
    )
    return Model(network, info)


def test_what_cannot_be_asked_is_told() -> None:
    classes = make_classes([0, 1], 0)
    source = ImageSource((np.random.default_rng(0).random((3, 40, 40)),), "TYX")
    model = tiny("classes", classes)
    found = sensitivity(model, source, (5, 6), sample=2)
    assert found.what in {c.name for c in classes}
    assert found.region[5 - found.box[0][0], 6 - found.box[1][0]]
    with pytest.raises(DataError, match="outside of the image"):
        sensitivity(model, source, (5, 40))
    with pytest.raises(Stopped):
        sensitivity(model, source, (5, 6), stop=lambda: True)
    objects = tiny("objects", object_classes(0))
    torch.nn.init.constant_(objects.network.head.bias, -20.0)
    with pytest.raises(DataError, match="finds no object there"):
        sensitivity(objects, source, (5, 6))
