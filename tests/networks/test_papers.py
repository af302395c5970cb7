"""Sizes and parameter counts that papers and public implementations state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from napari_unet.networks.blocks import count_parameters
from napari_unet.networks.deeplab import AtrousPyramid, DeepLabV3Plus
from napari_unet.networks.hrnet import HRNet
from napari_unet.networks.nested_unet import NestedUNet
from napari_unet.networks.original_unet import OriginalUNet
from napari_unet.networks.pspnet import PSPNet
from napari_unet.networks.resnet import ResNet
from napari_unet.networks.unet import UNet

TWO, THREE = (2, 2), (3, 3)
FIVE_LEVELS: dict[str, Any] = {
    "channels": [32, 64, 128, 256, 512],
    "strides": [TWO] * 4,
    "kernels": [THREE] * 5,
    "convolutions": [2] * 5,
    "stem": (1, 1),
}


@pytest.fixture(autouse=True)
def shapes_only():
    """Nothing is computed: networks of the papers' size take no memory."""
    with torch.device("meta"):
        yield


def test_the_unet_of_2015():
    network = OriginalUNet(1, 2)
    assert network.valid(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)
    # The published prototxt and public implementations: 31.03 million.
    assert count_parameters(network) == 31_030_658
    widths = [block[0].out_channels for block in network.encoder]
    assert widths == [64, 128, 256, 512, 1024]
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    ups = [m for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
    assert len(convolutions) + len(ups) == 23


def test_the_3d_unet_of_2016():
    network = OriginalUNet(3, 3, 3, 32, 4, widen_before_pooling=True, normalise=True)
    image = torch.empty(1, 3, 116, 132, 132)
    assert network.valid(image).shape == (1, 3, 28, 44, 44)
    # The paper counts one parameter a channel for the normalisation, its shift.
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm3d)]
    scales = sum(m.weight.numel() for m in norms)
    assert count_parameters(network) - scales == 19_069_955


def test_unet_plus_plus_and_the_unet_it_is_compared_with():
    # Table 2 of Zhou et al. 2018: 9.04 and 7.76 million.
    nested = NestedUNet(1, 1, **FIVE_LEVELS)
    assert round(count_parameters(nested) / 1e6, 1) == 9.0
    assert round(count_parameters(UNet(1, 1, **FIVE_LEVELS)) / 1e6, 2) == 7.76


@pytest.mark.parametrize(
    ("blocks", "bottleneck", "count"),
    # torchvision's ResNets without the layer that classifies.
    [((2, 2, 2, 2), False, 11_176_512), ((3, 4, 6, 3), True, 23_508_032)],
)
def test_resnet(blocks, bottleneck, count):
    network = ResNet(3, 64, blocks, bottleneck, [TWO] * 5, [THREE] * 5, [1] * 4)
    assert count_parameters(network) == count
    assert [m.shape[-1] for m in network(torch.empty(2, 3, 64, 64))] == [16, 8, 4, 2]


def test_deeplab():
    pyramid = AtrousPyramid(2048, 256, THREE, (6, 12, 18), (4, 4))
    # torchvision's ASPP has a normalisation (512) where ours has a bias (256).
    assert count_parameters(pyramid) == 15_535_104 - 512 + 256
    network = DeepLabV3Plus(
        3, 21, 64, (3, 4, 6, 3), True, [TWO] * 4 + [(1, 1)], [THREE] * 5, (6, 12, 18),
        (512, 512),
    )  # fmt: skip
    fine, *_, coarse = network.encoder(torch.empty(2, 3, 512, 512))
    assert (fine.shape[-1], coarse.shape[-1]) == (128, 32)
    assert round(count_parameters(network) / 1e6, 1) == 40.4


def test_pspnet():
    network = PSPNet(
        3, 150, 64, (3, 4, 6, 3), True, [TWO] * 3 + [(1, 1)] * 2, [THREE] * 5,
        (480, 480),
    )  # fmt: skip
    assert network.encoder(torch.empty(2, 3, 480, 480))[-1].shape[-1] == 60
    # ResNet-50, four 1 × 1 convolutions, the one that joins, and the last.
    pooling = 4 * (2048 * 512 + 512)
    joining = 4096 * 512 * 9 + 2 * 512
    last = 512 * 150 + 150
    assert count_parameters(network) == 23_508_032 + pooling + joining + last


def test_hrnet():
    # Table 2 of Wang et al. 2020: HRNetV2-W48 has 65.9 million.
    network = HRNet(3, 19, 48, [TWO] * 5, [THREE] * 4)
    assert round(count_parameters(network) / 1e6, 1) == 65.9
