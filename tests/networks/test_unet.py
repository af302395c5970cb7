from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_unet.errors import ModelFileError
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network
from napari_unet.networks.unet import UNet


def make(ndim: int, *, stem: int = 1, levels: int = 3, n_in: int = 1) -> UNet:
    return UNet(
        n_in=n_in,
        n_out=2,
        channels=[4 * 2**i for i in range(levels)],
        strides=[(2,) * ndim] * (levels - 1),
        kernels=[(3,) * ndim] * levels,
        convolutions=[1] + [2] * (levels - 1),
        stem=(stem,) * ndim,
    )


def randomise(network: nn.Module) -> nn.Module:
    """Statistics and weights as after training, so that nothing cancels out."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    nn.init.normal_(network.head.weight, generator=generator)
    return network.eval()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize("n_in", [1, 3])
def test_shape_gradient_and_divisor(ndim: int, stem: int, n_in: int) -> None:
    network = make(ndim, stem=stem, n_in=n_in)
    assert network.divisor == (4 * stem,) * ndim
    image = torch.randn(2, n_in, *network.divisor)
    out = network(image)
    assert out.shape == (2, 2, *network.divisor)
    out.square().mean().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_anisotropic_pooling_leaves_z_alone() -> None:
    network = UNet(1, 2, [4, 8], [(1, 2, 2)], [(1, 3, 3), (3, 3, 3)], [2, 1], (1, 1, 1))
    assert network.divisor == (1, 2, 2)
    assert network.halo[0] == 1
    assert network(torch.zeros(1, 1, 3, 6, 8)).shape == (1, 2, 3, 6, 8)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("stem", [1, 2])
def test_halo_is_no_smaller_than_the_reach(ndim: int, stem: int) -> None:
    network = randomise(make(ndim, stem=stem, levels=2)).double()
    halo = network.halo[0]
    size = 2 * halo + 4 * network.divisor[0]
    image = torch.rand(1, 1, *[size] * ndim, dtype=torch.float64, requires_grad=True)
    seen: list[int] = []
    # The reach of a voxel depends on its phase in the pooling grid: try one period.
    for phase in range(network.divisor[0]):
        at = halo + phase
        (gradient,) = torch.autograd.grad(network(image)[(0, 0, *[at] * ndim)], image)
        reached = gradient[0, 0].nonzero()
        # Some voxels see nothing at all: behind a ReLU that is shut.
        seen += (reached - at).abs().flatten().tolist()
    assert 0 < max(seen) <= halo


@pytest.mark.parametrize("ndim", [2, 3])
def test_folding_batch_norm_changes_nothing_but_speed(ndim: int) -> None:
    network = randomise(make(ndim)).double()
    image = torch.randn(1, 1, *[16] * ndim, dtype=torch.float64)
    before = network(image)
    after = fold_batch_norm(network)(image)
    torch.testing.assert_close(after, before)
    kinds = (nn.BatchNorm2d, nn.BatchNorm3d)
    assert not any(isinstance(m, kinds) for m in network.modules())


def test_registry_refuses_in_words() -> None:
    with pytest.raises(ModelFileError, match="does not know: update"):
        build_network(NetworkInfo(name="transformer", arguments={}))
    with pytest.raises(ModelFileError, match="cannot be built"):
        build_network(NetworkInfo(name="unet", arguments={"n_in": 1}))
