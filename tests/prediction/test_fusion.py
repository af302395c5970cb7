from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.registry import build_network, design_network
from napari_unet.networks.unet import UNet
from napari_unet.prediction import fusion
from napari_unet.prediction.fusion import Apart, FusedConv, fuse_relu


def network(ndim: int) -> torch.nn.Module:
    torch.manual_seed(3)
    net = UNet(1, 2, [8, 16], [(2,) * ndim], [(3,) * ndim] * 2, [2, 2], (1,) * ndim)
    torch.nn.init.normal_(net.head.weight)
    return fold_batch_norm(net)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_fused_says_what_the_network_says(ndim: int, precision: torch.dtype) -> None:
    plain = network(ndim)
    fused = deepcopy(plain)
    if fuse_relu(fused, precision) == 0:
        pytest.skip("this processor or this torch has no fused convolution")
    assert sum(isinstance(m, FusedConv) for m in fused.modules()) == 6
    image = torch.randn(2, 1, *(24,) * ndim)
    half = precision != torch.float32
    with torch.inference_mode(), torch.autocast("cpu", precision, enabled=half):
        wanted, found = plain(image).float(), fused(image).float()
    tolerance = 0.05 * float(wanted.std()) if half else 1e-4
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0.02)


def test_without_the_operation_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise AttributeError("no such operation")

    monkeypatch.setattr(FusedConv, "forward", missing)
    fusion._works.cache_clear()
    try:
        net = network(2)
        assert fuse_relu(net, torch.float32) == 0
        net(torch.randn(1, 1, 8, 8))
    finally:
        fusion._works.cache_clear()


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["unet", "attention_unet", "residual_unet"])
def test_skips_are_added_in_the_convolution_instead_of_copied(
    ndim: int, name: str
) -> None:
    torch.manual_seed(5)
    request = NetworkRequest(
        n_in=2,
        n_out=2,
        patch=(32,) * ndim,
        spacing=(1.0,) * ndim,
        device="cpu",
        base_channels=8,
    )
    info, divisor = design_network(name, request)
    plain = fold_batch_norm(build_network(info))
    torch.nn.init.normal_(plain.head.weight)
    fused = deepcopy(plain)
    fuse_relu(fused, torch.float32)
    if not isinstance(fused.beside, Apart):
        pytest.skip("this processor or this torch cannot add within a convolution")
    image = torch.randn(2, 2, *(2 * d for d in divisor))
    with torch.inference_mode():
        wanted, found = plain(image), fused(image)
        again = fused(image[:1])
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(again, wanted[:1], atol=1e-4, rtol=1e-3)
