from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_unet.config import TrainingConfig, training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, DataError
from napari_unet.networks.catalogue import own_networks
from napari_unet.training.recipe import Choice, recipe_text
from napari_unet.training.trainer import Trainer
from napari_unet.workflows import exhaust, train
from napari_unet.workflows.augmentation import grid, preview_patches, write_preview
from napari_unet.workflows.training import TrainingSetup


def annotated(shape=(96, 96), voxel_size=(), seed=0) -> Annotation:
    rng = np.random.default_rng(seed)
    image = rng.random(shape, np.float32)
    labels = np.zeros(shape, np.int32)
    labels[..., : shape[-1] // 2] = 1
    labels[..., :8, :8] = 2
    labels[..., -8:, -8:] = 2
    source = ImageSource((image,), "ZYX"[-len(shape) :], voxel_size, name=f"i{seed}")
    return Annotation(labels, source)


def setup(*pairs: Annotation, **wishes: object) -> TrainingSetup:
    base = {"annotation": "complete", "device": "cpu", "base_channels": 4}
    config = training_config(**{**base, **wishes})
    return TrainingSetup.prepare(pairs or (annotated(),), config, (), None, "m")


def choices(*pairs: Annotation, **wishes: object) -> dict[str, Choice]:
    return {c.title: c for c in setup(*pairs, **wishes).recipe()}


def test_every_choice_names_a_setting_that_exists():
    for choice in choices().values():
        assert choice.value
        assert choice.reason
        for name in choice.setting.split(", "):
            field = TrainingConfig.model_fields[name.partition(".")[0]]
            if inner := name.partition(".")[2]:
                assert inner in field.annotation.model_fields


@pytest.mark.parametrize("shape", [(96, 96), (16, 48, 48)], ids=str)
@pytest.mark.parametrize("network", list(own_networks()))
def test_every_network_can_be_explained(network, shape):
    found = choices(annotated(shape), network=network)
    assert found["Network"].value == own_networks()[network].title
    far = [int(n) for n in found["What it sees"].value.split(" ")[: 2 * len(shape) : 2]]
    assert all(n % 2 == 1 for n in far)
    assert far[-1] > 20
    assert "multiples of" in found["What it sees"].reason
    if "Depth and width" in found:
        assert found["Pooling"].value


@pytest.mark.parametrize(
    ("title", "wishes", "value"),
    [
        ("Patch", {"patch_size": (30, 30)}, "32 × 32 pixels"),
        ("Batch", {"batch_size": 3}, "3 patches a step"),
        ("Depth and width", {"levels": 2}, "2 levels, 4 to 8 channels"),
        ("Intensities", {"low_percentile": 5}, "percentile 5 becomes 0, 99.8 becomes"),
        ("Loss", {"loss": "tversky"}, "cross-entropy + Tversky"),
        ("Class weights", {"loss": {"class_weights": (1, 2, 3)}}, "1, 2, 3"),
        ("Regularisation", {"dropout": 0.25}, "dropout 0.25"),
        ("Augmentation", {"augmentation": "gentle"}, "gentle"),
        ("Learning rate", {"learning_rate": 0.5}, "0.5,"),
        ("Length", {"max_steps": 1234}, "1,234 steps"),
    ],
)
def test_a_wish_is_followed_and_called_one(title, wishes, value):
    found = choices(**wishes)[title]
    assert value in found.value
    if title != "Intensities":
        assert "as you chose" in found.reason
    assert "as you chose" not in choices()["Learning rate"].reason


def test_long_voxels_shape_patch_and_pooling_and_say_so():
    stack = annotated((16, 64, 64), (4.0, 1.0, 1.0))
    found = choices(stack)
    assert "Z once" in found["Pooling"].value or "Z never" in found["Pooling"].value
    assert "4.0 times longer" in found["Pooling"].reason
    assert "never turned into Z" in found["Augmentation"].reason
    even = choices(annotated((48, 64, 64), (4.0, 1.0, 1.0)), anisotropy=1.0)
    assert "every axis" in even["Pooling"].value
    shallow = choices(stack, anisotropy=1.0)["Pooling"]
    assert "an axis stops" in shallow.reason


def test_rare_classes_are_named_and_balanced_on_wish():
    assert "class 2 is" in choices()["Class weights"].reason
    weights = setup(loss={"class_weights": "balanced"}).plan.class_weights
    assert weights[2] == max(weights)
    assert len(weights) == 3
    with pytest.raises(ConfigError, match="2 class weights, but 3 classes"):
        setup(loss={"class_weights": (1, 2)})


def test_the_text_has_every_choice():
    made = setup().recipe()
    text = recipe_text(made)
    assert all(c.value in text and f"[{c.setting}]" in text for c in made)


def test_percentiles_reach_the_model():
    config = training_config(
        annotation="complete", device="cpu", base_channels=4, max_steps=1,
        low_percentile=3.0, high_percentile=90.0,
    )  # fmt: skip
    model = exhaust(train([annotated()], config))
    assert (model.info.normalization.low, model.info.normalization.high) == (3.0, 90.0)


def test_runs_with_dropout_repeat_and_leave_the_callers_random_numbers_alone():
    import torch

    config = training_config(
        annotation="complete", device="cpu", base_channels=4, max_steps=4, dropout=0.5
    )
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, two = (exhaust(train([annotated()], config)) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    plain = exhaust(train([annotated()], config.model_copy(update={"dropout": 0.0})))
    weights = [dict(m.network.state_dict()) for m in (one, two, plain)]
    assert all(torch.equal(v, weights[1][k]) for k, v in weights[0].items())
    assert any(not torch.equal(v, weights[2][k]) for k, v in weights[0].items())


def test_the_chosen_loss_is_what_trains(monkeypatch):
    first: list[float] = []
    step = Trainer._step

    def noted(self: Trainer) -> float:
        first.append(step(self))
        return first[-1]

    monkeypatch.setattr(Trainer, "_step", noted)
    for loss in ("auto", "cross-entropy", "focal", "boundary"):
        config = training_config(
            annotation="complete", device="cpu", base_channels=4, max_steps=1, loss=loss
        )
        exhaust(train([annotated()], config))
    assert len(set(first)) == 4


@pytest.mark.parametrize("shape", [(96, 96), (16, 48, 48)])
def test_previews_show_what_training_draws(shape, tmp_path: Path):
    ready = setup(annotated(shape))
    state = ready.trainer.generator.get_state()
    found = preview_patches(ready, 5)
    assert ready.trainer.generator.get_state().equal(state)
    assert found.image.shape == (5, 1, *ready.plan.patch_size)
    assert found.index.shape == (5, *ready.plan.patch_size)
    assert set(np.unique(found.index)) <= {-1, 0, 1, 2}
    path = tmp_path / "p.png"
    write_preview(path, found)
    assert len(np.unique(np.asarray(Image.open(path)).reshape(-1, 3), axis=0)) > 50
    with pytest.raises(DataError, match="could not be written"):
        write_preview(tmp_path / "p.png" / "q.png", found)


def test_patches_lie_side_by_side():
    patches = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 4, 6))
    out = grid(patches.astype(np.float32), -1)
    assert out.shape == (2 * 4 + 2, 3 * 6 + 4)
    assert (out[:4, 8:14] == 1).all()
    assert (out[6:, 8:14] == 4).all()
    assert (out[6:, 16:] == -1).all()
