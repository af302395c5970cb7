"""Networks that other packages bring."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, EntryPoint
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.generators import exhaust
from napari_unet.models.model import Model
from napari_unet.networks import catalogue
from napari_unet.networks.catalogue import known_networks, own_networks
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import NETWORKS, build_network, design_network
from napari_unet.workflows import predict, train

EXAMPLE = Path(__file__).parents[2] / "docs/examples/dilated_network.py"
REQUEST = NetworkRequest(1, 2, (16, 16), (1.0, 1.0), "cpu")


class Package(Distribution):
    """A package that is not installed."""

    def read_text(self, filename: str) -> str | None:
        return "Name: my-networks\n" if filename == "METADATA" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, catalogue.GROUP)._for(Package())


@pytest.fixture
def package(monkeypatch):
    """A package with the network of the documentation, as if it were installed."""
    spec = cast("ModuleSpec", spec_from_file_location("my_networks", EXAMPLE))
    module = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "my_networks", module)
    points = [
        entry("dilated", "my_networks:DilatedNetwork"),
        entry("unet", "my_networks:DilatedNetwork"),
        entry("missing", "my_networks:Nothing"),
        entry("no_module", "my_networks:torch"),
    ]
    monkeypatch.setattr(catalogue, "entry_points", lambda group: points)
    return points


def annotated(ndim: int = 2) -> Annotation:
    rng = np.random.default_rng(0)
    labels = np.zeros((24,) * ndim, np.uint8)
    labels[(..., slice(8, 16))] = 1
    image = (labels + rng.normal(0, 0.2, labels.shape)).astype(np.float32)
    source = ImageSource((image,), "ZYX"[-ndim:], ndim=ndim)
    return Annotation(labels, source, "complete")


def test_names_and_ours_come_first(package):
    known = known_networks()
    assert list(known)[: len(own_networks())] == list(own_networks())
    assert known["dilated"].summary == "From the package my-networks."
    assert known["unet"] == own_networks()["unet"]
    assert design_network("unet", REQUEST)[0].package == ""


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_example_learns_is_saved_and_predicts(package, ndim, tmp_path):
    config = training_config(
        annotation="complete",
        network="dilated",
        base_channels=4,
        patch_size=(16,) * ndim,
        batch_size=2,
        max_steps=2,
        device="cpu",
    )
    pair = annotated(ndim)
    model = exhaust(train([pair], config, name="m"))
    assert model.info.network.package == "my-networks"
    path = model.save(tmp_path / "m.bioimage.io.zip", quick=True)
    again = Model.load(path)
    image = pair.source
    before, after = (exhaust(predict(m, image)).labels for m in (model, again))
    np.testing.assert_array_equal(before, after)


def test_a_model_without_its_package_says_which_one(package, tmp_path, monkeypatch):
    info, _ = design_network("dilated", REQUEST)
    monkeypatch.setattr(catalogue, "entry_points", lambda group: [])
    with pytest.raises(
        ModelFileError,
        match="network 'dilated' of the package my-networks, which is not installed: "
        "install it",
    ):
        build_network(info)


def test_a_network_that_cannot_be_used_says_why(package):
    with pytest.raises(ConfigError, match="'missing' of the package my-networks"):
        design_network("missing", REQUEST)
    with pytest.raises(ConfigError, match=r"no torch\.nn\.Module"):
        design_network("no_module", REQUEST)
    with pytest.raises(ConfigError, match="There is no network 'vnet': choose one of"):
        design_network("vnet", REQUEST)
    with pytest.raises(ModelFileError, match="cannot be loaded"):
        build_network(NetworkInfo(name="missing", arguments={}))


def test_a_network_for_other_dimensions_says_so(package, monkeypatch):
    kind = sys.modules["my_networks"].DilatedNetwork
    monkeypatch.setattr(
        kind, "design", classmethod(lambda cls, r: {"n_in": 1, "n_out": 2, "ndim": 3})
    )
    with pytest.raises(ConfigError, match="is not for 2D images"):
        design_network("dilated", REQUEST)


def test_every_network_of_the_catalogue_is_there():
    assert set(own_networks()) | {"pixel_unet"} == set(NETWORKS)
    for spec in own_networks().values():
        assert spec.summary.endswith(".")
        assert "arXiv" in spec.paper


def test_a_setting_that_a_network_lacks_is_refused():
    config = training_config(
        annotation="complete", network="hrnet", levels=3, device="cpu", max_steps=1
    )
    with pytest.raises(ConfigError, match="'hrnet' has no setting 'levels': leave it"):
        exhaust(train([annotated()], config))


def test_the_callers_random_numbers_stay(package):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    design_network("dilated", REQUEST)
    assert torch.equal(torch.rand(1), expected)
