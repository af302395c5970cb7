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
