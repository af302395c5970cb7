from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.normalization import IntensityRange, NormalizationInfo
from napari_unet.data.source import ImageSource
from napari_unet.models.info import ModelInfo, TrainingSummary
from napari_unet.models.model import Model
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.registry import build_network
from napari_unet.prediction.predictor import Predictor, TileMaps
from napari_unet.segmentation.settings import DecoderInfo

CPU = torch.device("cpu")
RANGE = IntensityRange(np.zeros(1, np.float32), np.ones(1, np.float32))


def info(
    ndim: int, *, objects: bool = False, stem: int = 1, spacing: Any = None
) -> NetworkInfo:
    arguments = {
        "n_in": 1,
        "n_out": 2 if objects else 3,
        "objects": objects,
        "spacing": spacing or [1.0] * ndim,
        "members": 2,
        "hidden": 4,
        "unet": {
            "channels": [3, 4],
            "strides": [[2] * ndim],
            "kernels": [[3] * ndim] * 2,
            "convolutions": [1, 1],
            "stem": [stem] * ndim,
        },
    }
    return NetworkInfo(name="pixel_unet", arguments=arguments)


def make(ndim: int = 2, trust: float = 0.5, **options: Any) -> PixelUNet:
    """A network as after learning: nothing in it cancels out."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = cast("PixelUNet", build_network(info(ndim, **options)))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                nn.init.normal_(cast("Any", module.running_mean), 0, 0.2)
                nn.init.uniform_(cast("Any", module.running_var), 0.5, 1.5)
        nn.init.normal_(cast("Any", network.unet.head).weight, std=0.3)
        n = network.scale_space.n_out
        network.standardise(torch.rand(n), torch.rand(n) + 0.5)
    network.trust.fill_(trust)
    return network.eval()


def image(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def maps(predictor: Predictor, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    source = ImageSource((pixels,), "ZYX"[3 - pixels.ndim :])
    out = np.full((3, *pixels.shape), np.nan, np.float32)
    for part in predictor.run(source, RANGE, 0):
        assert isinstance(part, TileMaps)
        out[(slice(None), *part.tile.target)] = part.maps
    return out


@pytest.mark.parametrize(
    ("shape", "tile", "options"),
    [
        ((150, 61), (48, 32), {"stem": 2}),
        ((40, 200), (64, 40), {"spacing": [2.0, 1.0]}),
        ((5, 9, 70), (8, 16, 40), {"spacing": [4.0, 1.0, 1.0]}),
    ],
)
def test_tiled_equals_whole(shape: Any, tile: Any, options: Any) -> None:
    network = make(len(shape), **options)
    halo = network.halo
    large = (1000,) * len(shape)
    whole = Predictor(network, "classes", CPU, torch.float32, tile=large, halo=halo)
    tiled = Predictor(network, "classes", CPU, torch.float32, tile=tile, halo=halo)
    source = ImageSource((np.zeros(shape),), "ZYX"[3 - len(shape) :])
    assert len(whole.tiles(source)) == 1
    assert len(tiled.tiles(source)) > 1
    pixels = image(*shape)
    np.testing.assert_allclose(maps(tiled, pixels), maps(whole, pixels), atol=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("objects", [False, True])
def test_without_trust_the_first_answer_is_the_answer(ndim: int, objects: bool) -> None:
    network = make(ndim, trust=0.0, objects=objects)
    pixels = torch.from_numpy(image(1, 1, *[16] * ndim))
    answer = network(pixels)
    assert answer.shape == (1, 2 if objects else 3, *[16] * ndim)
    classifier, unet = network.opinions(pixels)
    alone = network.average(classifier, torch.zeros_like(unet))
    torch.testing.assert_close(answer, alone)
    if objects:
        # Objects are the connected parts until the U-Net knows centres.
        assert torch.equal(answer[:, 0], answer[:, 1])


@pytest.mark.parametrize("objects", [False, True])
def test_with_full_trust_the_unet_decides(objects: bool) -> None:
    network = make(trust=1.0, objects=objects)
    pixels = torch.from_numpy(image(1, 1, 32, 32))
    _, unet = network.opinions(pixels)
    expected = unet if objects else unet.log_softmax(1)
    torch.testing.assert_close(network(pixels), expected)


def test_centres_pass_over_to_the_unet_without_a_leap() -> None:
    pixels = torch.from_numpy(image(1, 1, 32, 32))
    network = make(trust=0.0, objects=True)
    classifier, unet = network.opinions(pixels)
    unet[:, 1:] = -9.0  # a U-Net that has learnt nothing yet finds no centre
    before = network.average(classifier, unet)
    network.trust.fill_(1e-3)
    torch.testing.assert_close(
        network.average(classifier, unet), before, atol=0.1, rtol=0.0
    )
    network.trust.fill_(0.125)
    foreground, distance = network.average(classifier, unet).split(1, dim=1)
    torch.testing.assert_close(distance, (foreground - 9.0) / 2)
    for trust in (0.25, 0.5):
        network.trust.fill_(trust)
        assert torch.equal(network.average(classifier, unet)[:, 1:], unet[:, 1:])


def test_the_answer_is_the_geometric_mean() -> None:
    network = make(trust=0.25)
    pixels = torch.from_numpy(image(1, 1, 32, 32))
    classifier, unet = network.opinions(pixels)
    product = classifier.exp() ** 0.75 * unet.softmax(1) ** 0.25
    expected = product / product.sum(1, keepdim=True)
    torch.testing.assert_close(network(pixels).softmax(1), expected)


def test_a_classifier_computes_chunk_by_chunk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = make()
    features = network.scale_space(torch.from_numpy(image(2, 1, 24, 40)))
    whole = network.pixels(features)
    monkeypatch.setattr("napari_unet.networks.pixel_unet.CHUNK", {"cpu": 100})
    torch.testing.assert_close(network.pixels(features), whole)
    assert whole.shape == (2, 3, 24, 40)
    torch.testing.assert_close(
        whole.exp().sum(1), torch.ones(2, 24, 40), atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_folding_batch_norm_changes_nothing(ndim: int) -> None:
    network = make(ndim)
    pixels = torch.from_numpy(image(1, 1, *[16] * ndim))
    before = network(pixels)
    torch.testing.assert_close(fold_batch_norm(network)(pixels), before)
    kinds = (nn.BatchNorm2d, nn.BatchNorm3d)
    assert not any(isinstance(m, kinds) for m in network.modules())


@pytest.mark.parametrize("objects", [False, True])
def test_a_model_file_gives_the_same_network(tmp_path: Path, objects: bool) -> None:
    network = make(objects=objects)
    model = Model(
        network,
        ModelInfo(
            name="strokes",
            task="objects" if objects else "classes",
            spatial="YX",
            n_channels=1,
            classes=object_classes(1) if objects else make_classes([1, 2, 3], 1),
            network=info(2, objects=objects),
            normalization=NormalizationInfo(),
            decoder=DecoderInfo() if objects else None,
            voxel_size=[1.0, 1.0],
            unit="pixel",
            created="2024-01-01T00:00:00+00:00",
            training=TrainingSummary(
                images=["a"],
                n_images=1,
                annotated_voxels={},
                steps=1,
                seconds=1.0,
                score=None,
                score_name="",
                device="CPU",
                config={},
                versions={},
            ),
        ),
    )
    loaded = Model.load(model.save(tmp_path / "strokes.bioimage.io.zip"))
    pixels = torch.from_numpy(image(1, 1, 32, 48))
    assert torch.equal(loaded.network(pixels), network(pixels))
    assert float(cast("PixelUNet", loaded.network).trust) == 0.5
    assert cast("PixelUNet", loaded.network).standardised


def test_only_the_unet_and_the_classifier_have_weights() -> None:
    names = {n.split(".")[0] for n, _ in make().named_parameters()}
    assert names == {"unet", "pixels"}
