"""What every network has to keep, in two and three dimensions."""

from __future__ import annotations

import io
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_unet.data.normalization import IntensityRange
from napari_unet.data.source import ImageSource
from napari_unet.models.architecture import CLASS_NAME, architecture_source
from napari_unet.networks.blocks import ConvBlock, fold_batch_norm
from napari_unet.networks.catalogue import own_networks
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import Network, build_network, design_network
from napari_unet.prediction.predictor import Predictor, TileMaps

NAMES = list(own_networks())
PATCHES = {2: (16, 16), 3: (8, 8, 8)}


def info(name: str, ndim: int, n_in: int = 1, **wishes: Any) -> NetworkInfo:
    """A narrow and shallow one of a kind."""
    spec = own_networks()[name]
    wishes.setdefault("base_channels", 4)
    wishes.setdefault("spacing", (1.0,) * ndim)
    if "levels" in spec.settings:
        wishes.setdefault("levels", 2)
    request = NetworkRequest(
        n_in=n_in, n_out=2, patch=PATCHES[ndim], device="cpu", **wishes
    )
    described, divisor = design_network(name, request)
    assert cast("Network", build_network(described)).divisor == divisor
    return described


def trained(network: nn.Module) -> Any:
    """Statistics and weights as after training, so that nothing cancels out."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    head = cast("Any", network).head
    nn.init.normal_(head.weight, generator=generator)
    return network.eval()


@pytest.mark.parametrize("n_in", [1, 3])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_it_learns_at_any_size_it_can_divide(name: str, ndim: int, n_in: int) -> None:
    torch.manual_seed(0)
    described = info(name, ndim, n_in)
    network = cast("Any", build_network(described))
    size = list(network.divisor)
    size[-1] *= 2
    image = torch.randn(2, n_in, *size)
    out = network(image)
    assert out.shape == (2, 2, *size)
    assert out.isfinite().all()
    out.square().mean().backward()
    for parameter, value in network.named_parameters():
        assert value.grad is not None, parameter
        assert value.grad.isfinite().all()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_brings_the_same_network_back(name: str, ndim: int) -> None:
    described = info(name, ndim)
    network = trained(build_network(described))
    again = NetworkInfo.model_validate_json(described.model_dump_json())
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    other = cast("Any", build_network(again))
    other.load_state_dict(torch.load(buffer, weights_only=True))
    image = torch.randn(1, 1, *network.divisor)
    assert torch.equal(other.eval()(image), network(image))


def predicted(network: nn.Module, pixels: Any, **how: Any) -> Any:
    """Maps of the whole image as the predictor gives them."""
    source = ImageSource((pixels,), "ZYX"[-pixels.ndim :], ndim=pixels.ndim)
    device = torch.device("cpu")
    predictor = Predictor(network, "regression", device, torch.float32, **how)
    intensity = IntensityRange(np.zeros(1, np.float32), np.ones(1, np.float32))
    maps = np.empty((2, *pixels.shape), np.float32)
    count = 0
    for part in predictor.run(source, intensity, 0):
        if isinstance(part, TileMaps):
            count += 1
            maps[(slice(None), *part.tile.target)] = part.maps
    return maps, count


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_tiles_with_a_full_halo_equal_the_whole_image(name: str, ndim: int) -> None:
    network = trained(build_network(info(name, ndim)))
    d = network.divisor
    # Odd along every axis; long enough that most of a tile's halo is cut somewhere.
    shape = [n + 1 for n in d]
    shape[-1] = 3 * network.halo[-1] + d[-1] + 3
    pixels = np.random.default_rng(0).random(shape, np.float32)
    whole, _ = predicted(network, pixels, tile=shape)
    tiles, count = predicted(
        network, pixels, tile=[*shape[:-1], d[-1]], halo=network.halo
    )
    assert count >= 4
    np.testing.assert_allclose(tiles, whole, atol=2e-4 * np.abs(whole).max())
    # The promise says something: a pixel does see its neighbours.
    bare, _ = predicted(network, pixels, tile=[*shape[:-1], d[-1]], halo=[0] * ndim)
    assert np.abs(bare - whole).max() > 1e-3 * np.abs(whole).max()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_an_output_sees_no_further_than_the_halo(name: str, ndim: int) -> None:
    network = trained(build_network(info(name, ndim))).double()
    halo, d = network.halo[-1], network.divisor[-1]
    size = [*network.divisor[:-1], 2 * halo + 2 * d]
    image = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    seen = []
    # The reach of a voxel depends on its phase in the pooling grid.
    for phase in {0, 1, d // 2, d - 1}:
        at = halo + phase
        (gradient,) = torch.autograd.grad(network(image)[..., at].sum(), image)
        reached = cast("Tensor", gradient).nonzero()[:, -1]
        # Some pixels see nothing at all: behind a ReLU that is shut.
        seen += (reached - at).abs().tolist()
    assert 0 < max(seen) <= halo


@pytest.mark.parametrize("name", NAMES)
def test_folding_the_normalisation_changes_nothing(name: str) -> None:
    network = trained(build_network(info(name, 2))).double()
    image = torch.randn(1, 1, *network.divisor, dtype=torch.float64)
    before = network(image)
    folded = fold_batch_norm(network)
    torch.testing.assert_close(folded(image), before)
    for block in folded.modules():
        assert not isinstance(block, ConvBlock) or isinstance(block[1], nn.Identity)


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_light_network_can_be_lighter(ndim: int) -> None:
    described = info("light_unet", ndim, levels=3)
    separable = described.arguments | {"separable": True, "convolutions": 1}
    network = trained(
        build_network(described.model_copy(update={"arguments": separable}))
    )
    plain = cast("Any", build_network(described))
    assert network.divisor == plain.divisor
    assert network.halo[0] < plain.halo[0]
    image = torch.randn(1, 1, *network.divisor)
    before = network(image)
    torch.testing.assert_close(fold_batch_norm(network)(image), before)


@pytest.mark.parametrize("name", NAMES)
def test_values_come_in_their_unit(name: str) -> None:
    plain = build_network(info(name, 2))
    scaled = build_network(info(name, 2, rescale=(100.0, 5.0)))
    scaled.load_state_dict(plain.state_dict())
    image = torch.randn(1, 1, *cast("Network", plain).divisor)
    expected = plain.eval()(image) * 5 + 100
    torch.testing.assert_close(scaled.eval()(image), expected)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ("unet_2015", "unet_2016")]
)
def test_long_voxels_are_not_pooled_along_their_axis(name: str) -> None:
    # The two first U-Nets are left as they were published: they pool every axis.
    described = info(name, 3, spacing=(100.0, 1.0, 1.0), levels=None)
    network = cast("Any", build_network(described))
    assert max(k[0] for k in described.arguments["kernels"]) == 1
    assert max((s[0] for s in described.arguments["strides"]), default=1) == 1
    assert network.halo[0] <= network.divisor[0] * 2
    assert network.divisor[1] > 1


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_only_for_training(name: str) -> None:
    network = build_network(info(name, 2, dropout=0.5))
    image = torch.randn(2, 1, *cast("Network", network).divisor)
    network.train()
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("name", NAMES)
def test_its_source_in_one_file_needs_torch_alone(name: str) -> None:
    described = info(name, 2)
    network = trained(build_network(described))
    source = architecture_source(type(network), "regression")
    # As other programs load it: not from a module that can be found by its name.
    space: dict[str, Any] = {"__name__": "elsewhere"}
    exec(compile(source, "architecture.py", "exec"), space)
    other = space[CLASS_NAME](**described.arguments)
    other.load_state_dict(network.state_dict())
    image = torch.randn(1, 1, *network.divisor)
    torch.testing.assert_close(other.eval()(image), network(image))


# TorchScript is what other programs read, whatever becomes of it in torch.
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_exported_serves_other_sizes(name: str) -> None:
    network = trained(build_network(info(name, 2)))
    small = [2 * d for d in network.divisor]
    large = [3 * d for d in network.divisor]
    with torch.inference_mode():
        traced: Any = torch.jit.trace(
            network, torch.randn(1, 1, *small), check_trace=False
        )
        image = torch.randn(1, 1, *large)
        torch.testing.assert_close(traced(image), network(image), rtol=1e-4, atol=1e-4)
