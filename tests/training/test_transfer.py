"""Starting from a model with other classes, channels or dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError
from napari_unet.models.info import ModelInfo
from napari_unet.models.model import Model
from napari_unet.networks.info import NetworkInfo
from napari_unet.networks.registry import build_network
from napari_unet.training.events import Started, TrainingEvent
from napari_unet.training.transfer import matching_outputs, transfer_model
from napari_unet.workflows import exhaust, train

UNET: dict[str, Any] = {
    "channels": [4, 8, 16],
    "strides": [(2, 2), (2, 2)],
    "kernels": [(3, 3)] * 3,
    "convolutions": [1, 2, 2],
    "stem": (1, 1),
}
UNET_3D = UNET | {
    "strides": [(2, 2, 2)] * 2,
    "kernels": [(3, 3, 3)] * 3,
    "stem": (1, 1, 1),
}
NAMES = ("background", "nucleus", "wall")


def a_network(arguments: dict[str, Any], n_in: int = 1, n_out: int = 3) -> Any:
    info = NetworkInfo(name="unet", arguments={**arguments, "n_in": n_in,
                                               "n_out": n_out})  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(sum(arguments["stem"]) + n_in + n_out)
        network = build_network(info).eval()
        for name, value in network.state_dict().items():
            if value.is_floating_point() and "head" in name:
                value.normal_()
            elif name.endswith(("running_mean", "bias")):
                value.normal_(std=0.1)
    return network


def a_model(
    arguments: dict[str, Any] = UNET,
    n_in: int = 1,
    names: tuple[str, ...] = NAMES,
    **changes: Any,
) -> Model:
    network = a_network(arguments, n_in, len(names))
    info = {
        "name": "old",
        "task": "classes",
        "spatial": "YX" if len(arguments["stem"]) == 2 else "ZYX",
        "n_channels": n_in,
        "classes": [
            ClassInfo(value=v, name=n, color="#ffffff", background=v == 0)
            for v, n in enumerate(names)
        ],
        "network": NetworkInfo(
            name="unet", arguments={**arguments, "n_in": n_in, "n_out": len(names)}
        ),
    }
    return Model(network, ModelInfo(**info | changes))


def begun(network: Any, start: Model, names: tuple[str, ...], **how: Any) -> Any:
    """`network` with what it takes over, and what that was."""
    n_channels = how.pop("n_channels", 1)
    found = transfer_model(network, start, "classes", names, n_channels, **how)
    network.load_state_dict(found.weights, strict=False)
    return found


def outputs(network: Any, image: torch.Tensor) -> NDArray[np.float32]:
    with torch.inference_mode():
        found: NDArray[np.float32] = network.eval()(image).numpy()
    return found


def test_the_same_network_answers_the_same():
    start, network = a_model(), a_network(UNET, n_out=3)
    found = begun(network, start, NAMES)
    image = torch.rand(1, 1, 16, 16)
    assert found.taken == found.total > 5
    np.testing.assert_array_equal(
        outputs(network, image), outputs(start.network, image)
    )


def test_classes_are_matched_by_name_and_may_come_in_another_order():
    start, network = a_model(), a_network(UNET, n_out=4)
    begun(network, start, ("background", "new", " Wall", "nucleus"))
    image = torch.rand(1, 1, 16, 16)
    old, new = outputs(start.network, image)[0], outputs(network, image)[0]
    np.testing.assert_allclose(new[[0, 2, 3]], old[[0, 2, 1]], rtol=1e-4, atol=1e-5)
    assert not np.allclose(new[1], old[1])


def test_a_channel_given_twice_is_seen_as_the_one_it_was():
    start, network = a_model(), a_network(UNET, n_in=2)
    found = begun(network, start, NAMES, n_channels=2)
    image = torch.rand(1, 1, 16, 16)
    assert len(found.adapted) == 1
    np.testing.assert_allclose(
        outputs(network, image.expand(1, 2, 16, 16)),
        outputs(start.network, image),
        rtol=1e-4,
        atol=1e-4,
    )


def test_three_channels_become_one():
    start, network = a_model(n_in=3), a_network(UNET)
    begun(network, start, NAMES)
    image = torch.rand(1, 1, 16, 16)
    np.testing.assert_allclose(
        outputs(network, image),
        outputs(start.network, image.expand(1, 3, 16, 16)),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("stem", [1, 2])
def test_every_plane_of_a_stack_is_seen_as_in_2d(stem: int):
    flat = UNET | {"stem": (stem,) * 2}
    # No pooling along Z: planes do not mix, and must come out as they were.
    deep = UNET_3D | {"stem": (1, stem, stem), "strides": [(1, 2, 2)] * 2}
    start, network = a_model(flat), a_network(deep)
    begun(network, start, NAMES, inflation="centre")
    stack = torch.rand(1, 1, 3, 16, 16)
    found = outputs(network, stack)
    for z in range(3):
        np.testing.assert_allclose(
            found[:, :, z], outputs(start.network, stack[:, :, z]), rtol=1e-3, atol=1e-4
        )


def test_equal_planes_are_seen_as_one_where_weights_are_spread():
    start, network = a_model(), a_network(UNET_3D)
    begun(network, start, NAMES, inflation="spread")
    image = torch.rand(1, 1, 16, 16)
    stack = image.unsqueeze(2).expand(1, 1, 64, 16, 16)
    middle = outputs(network, stack)[:, :, 32]
    np.testing.assert_allclose(
        middle, outputs(start.network, image), rtol=1e-3, atol=1e-4
    )


def test_a_3d_model_becomes_a_2d_one():
    flat, deep, network = a_model(), a_model(UNET_3D), a_network(UNET)
    begun(deep.network, flat, NAMES)
    found = begun(network, deep, NAMES)
    image = torch.rand(1, 1, 16, 16)
    assert found.taken == found.total
    np.testing.assert_allclose(
        outputs(network, image), outputs(flat.network, image), rtol=1e-4, atol=1e-4
    )


def test_wider_networks_take_what_fits():
    wider = UNET | {"channels": [4, 8, 32]}
    network = a_network(wider)
    found = begun(network, a_model(), NAMES)
    assert 0 < found.taken < found.total
    assert not found.adapted
    for name, tensor in network.state_dict().items():
        assert found.weights.get(name, tensor).shape == tensor.shape


def test_objects_and_classes_share_no_outputs():
    info = a_model().info
    assert matching_outputs(info, "objects", ()) == [None, None]
    assert matching_outputs(info, "classes", ("x", "wall")) == [None, 2]
    objects = info.model_copy(update={"task": "objects"})
    assert matching_outputs(objects, "objects", (), 2) == [0, 1, None, None]


# Complete training --------------------------------------------------------------------


def annotation(shape: tuple[int, ...], axes: str) -> Annotation:
    rng = np.random.default_rng(0)
    pixels = rng.random(shape, dtype=np.float32)
    truth = np.zeros([n for n, a in zip(shape, axes, strict=True) if a != "C"], int)
    truth[..., 8:24, 8:24] = 1
    pixels += truth
    return Annotation(truth, ImageSource((pixels,), axes, name="x"), "complete")


def trained(
    pair: Annotation, start: Model | None, **wishes: Any
) -> tuple[Model, list[str]]:
    config = training_config(
        annotation="complete",
        **{"max_steps": 1, "batch_size": 2, "validation_fraction": 0, **wishes},
    )
    events: list[TrainingEvent] = []
    model = exhaust(train([pair], config, start=start), events.append)
    first = events[0]
    assert isinstance(first, Started)
    return model, first.notes


@pytest.mark.parametrize(
    ("shape", "axes", "words"),
    [
        ((32, 32), "YX", "layers are taken from the model 'old'"),
        ((2, 32, 32), "CYX", "adapted from 1 to 2 channels"),
        ((16, 32, 32), "ZYX", "which is a 2D one"),
    ],
)
def test_a_training_begins_with_a_model_and_says_so(
    shape: tuple[int, ...], axes: str, words: str
):
    model, notes = trained(annotation(shape, axes), a_model())
    assert words in notes[-1]
    # Its network, not the one that these images would get.
    assert model.info.network.arguments["channels"] == UNET["channels"]
    assert model.info.training.start == "old"


def test_what_the_user_wishes_counts_more_than_the_network_of_the_model():
    model, notes = trained(annotation((32, 32), "YX"), a_model(), base_channels=6)
    assert model.info.network.arguments["channels"][0] == 6
    assert "Nothing of the model 'old' fits" in notes[-1]


def test_a_kept_encoder_does_not_change():
    start = a_model()
    model, _ = trained(
        annotation((32, 32), "YX"), start, max_steps=3, freeze_encoder=True
    )
    before, after = start.network.state_dict(), model.network.state_dict()
    encoder = [n for n in before if n.startswith("encoder.")]
    assert encoder
    for name in encoder:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=0)
    assert not torch.equal(
        after["decoder.0.0.0.weight"], before["decoder.0.0.0.weight"]
    )


def test_there_is_nothing_to_keep_without_a_model():
    with pytest.raises(ConfigError, match="choose a model to start from"):
        trained(annotation((32, 32), "YX"), None, freeze_encoder=True)


def test_a_model_of_another_program_is_no_start():
    model = a_model(network=NetworkInfo(name="bioimageio", arguments={}))
    with pytest.raises(ConfigError, match="comes from another program"):
        trained(annotation((32, 32), "YX"), model)
