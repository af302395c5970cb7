from __future__ import annotations

import pytest

from napari_unet.errors import ModelFileError
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.facts import network_facts
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import design_network


def test_costs_are_those_of_a_sum_by_hand():
    arguments = {
        "n_in": 1,
        "n_out": 2,
        "channels": [4],
        "strides": [],
        "kernels": [(3, 3)],
        "convolutions": [1],
        "stem": (1, 1),
    }
    facts = network_facts(NetworkInfo(name="unet", arguments=arguments), (64, 64))
    assert facts.parameters == 9 * 4 + 2 * 4 + 4 * 2 + 2
    assert facts.flops_per_voxel == 2 * 9 * 4 + 2 * 4 * 2
    assert facts.receptive_field == (3, 3)
    assert facts.divisor == (1, 1)
    # The convolution's map and what comes of it live at the same time.
    assert 4 * 2 * 4 <= facts.predict_bytes_per_voxel <= 4 * 3 * 4
    # Image, two maps of four channels, and the logits wait for the way back.
    assert 4 * (1 + 2 * 4) <= facts.train_bytes_per_voxel <= 4 * (1 + 3 * 4 + 2)


@pytest.mark.parametrize("name", ["unet", "deeplabv3plus", "unet_2015"])
@pytest.mark.parametrize("patch", [(32, 32), (16, 16, 16)])
def test_costs_are_known_before_anything_is_computed(name, patch):
    spacing = (1.0,) * len(patch)
    request = NetworkRequest(2, 3, patch, spacing, "gpu", base_channels=8)
    info, divisor = design_network(name, request)
    facts = network_facts(info)
    assert facts.ndim == len(patch)
    assert facts.divisor == divisor
    assert facts.train_bytes_per_voxel > facts.predict_bytes_per_voxel > 4 * 3
    assert facts.flops_per_voxel > 1000


def test_an_unknown_network_has_no_facts():
    with pytest.raises(ModelFileError, match="does not know"):
        network_facts(NetworkInfo(name="transformer", arguments={}))
