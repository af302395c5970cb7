from __future__ import annotations

import math

import pytest

from napari_unet.config import PRESET_MINUTES, TrainingConfig, training_config
from napari_unet.errors import ConfigError


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"minutes": 0}, "'minutes' cannot be 0: "),
        ({"minutes": "long"}, "'minutes' cannot be 'long'"),
        ({"patch_size": (8,)}, "give 2 or 3 positive numbers"),
        ({"patch_size": (8, 0)}, "give 2 or 3 positive numbers"),
        ({"levels": 1}, "'levels'"),
        ({"validation_fraction": 0.9}, "'validation_fraction'"),
        ({"task": "boxes"}, "'task' cannot be 'boxes'"),
        ({"augmentation": {"noise": 2}}, r"'augmentation\.noise' cannot be 2"),
        ({"speed": 3}, "'speed' cannot be 3"),
        ({"augmentation": "huge"}, r"'augmentation\.preset' cannot be 'huge'"),
        ({"loss": "mse"}, "^The loss mse does not fit the task classes"),
        ({"task": "regression", "loss": "focal"}, "choose mse or huber"),
        (
            {"loss": {"kind": "focal", "label_smoothing": 0.1}},
            "^Label smoothing belongs to the cross-entropy",
        ),
        ({"loss": {"class_weights": (1, 0)}}, r"'loss\.class_weights' cannot be"),
        ({"loss": {"class_weights": "x"}}, r"'loss\.class_weights' cannot be 'x'"),
        ({"low_percentile": 60, "high_percentile": 40}, "^The dark percentile must"),
    ],
)
def test_a_wrong_wish_is_one_sentence_that_names_it(wish, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        training_config(**wish)
    assert str(caught.value).endswith(".")
    assert "Value error" not in str(caught.value)


def test_wishes_survive_a_file():
    config = training_config(task="objects", patch_size=[16, 64, 64], minutes=3)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    assert config.patch_size == (16, 64, 64)


@pytest.mark.parametrize("preset", PRESET_MINUTES)
def test_the_preset_gives_the_time_unless_something_else_does(preset):
    assert training_config(preset=preset).budget_minutes() == PRESET_MINUTES[preset]
    assert training_config(preset=preset, minutes=3).budget_minutes() == 3
    assert math.isinf(training_config(preset=preset, max_steps=5).budget_minutes())


def test_a_configuration_cannot_change_under_a_run():
    with pytest.raises(ValueError, match="frozen"):
        TrainingConfig().seed = 3


def test_a_preset_of_augmentation_is_a_start_from_which_one_thing_may_differ():
    strong = training_config(augmentation="strong").augmentation
    assert strong.noise > training_config().augmentation.noise
    one = training_config(augmentation={"preset": "strong", "noise": 0.0}).augmentation
    assert one == strong.model_copy(update={"noise": 0.0})
    nothing = training_config(augmentation="none").augmentation
    assert not nothing.flip
    assert nothing.affine == nothing.intensity == nothing.noise == nothing.blur == 0


def test_patches_of_values_are_not_scaled_unless_wished():
    assert training_config(task="regression").augmentation.scaling == 0
    wished = training_config(task="regression", augmentation={"scaling": 0.1})
    assert wished.augmentation.scaling == 0.1
    again = TrainingConfig.model_validate_json(wished.model_dump_json())
    assert again == wished


def test_class_weights_are_a_word_or_numbers():
    def weights(wish):
        return training_config(loss={"class_weights": wish}).loss.class_weights

    assert weights(["balanced"]) == "balanced"
    assert weights(["1", "2.5"]) == (1.0, 2.5)
