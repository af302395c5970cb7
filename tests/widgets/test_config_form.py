"""The form made from the training configuration."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_unet.config import TrainingConfig
from napari_unet.errors import ConfigError
from napari_unet.widgets.config_form import ConfigForm, build_config

pytestmark = pytest.mark.viewer


@pytest.fixture
def form(qtbot: Any) -> Any:
    widget = QWidget()
    qtbot.addWidget(widget)
    made = ConfigForm(TrainingConfig, QFormLayout(widget), frozenset({"task"}))
    made.kept = widget  # type: ignore[attr-defined]
    return made


def test_an_untouched_form_wishes_nothing(form: ConfigForm) -> None:
    assert form.wishes() == {}
    assert build_config(form.wishes()) == TrainingConfig()


def test_every_setting_can_be_reached(form: ConfigForm) -> None:
    for name in TrainingConfig.model_fields:
        if name not in ("task", "augmentation", "loss"):
            assert form.field(name) is not None
    with pytest.raises(KeyError):
        form.field("task")


def test_text_becomes_numbers(form: ConfigForm) -> None:
    heard: list[None] = []
    form.changed.connect(lambda: heard.append(None))
    form.field("patch_size").value = "32, 64 64"
    form.field("minutes").value = "0,5"
    form.field("batch_size").value = " 4 "
    form.field("background").value = False
    form.field("device").value = "cpu"
    config = build_config(form.wishes())
    assert config.patch_size == (32, 64, 64)
    assert config.minutes == 0.5
    assert config.batch_size == 4
    assert config.background is False
    assert config.device == "cpu"
    assert len(heard) == 5


def test_an_emptied_field_is_automatic_again(form: ConfigForm) -> None:
    form.field("levels").value = "3"
    form.field("levels").value = "  "
    assert form.wishes() == {}


def test_parts_are_filled_in_too(form: ConfigForm) -> None:
    part = form._parts["augmentation"]
    part.field("flip").value = False
    part.field("noise").value = "0.7"
    config = build_config(form.wishes())
    assert (config.augmentation.flip, config.augmentation.noise) == (False, 0.7)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("batch_size", "many", "Batch size cannot be 'many'"),
        ("levels", "9", "Levels cannot be '9': input should be less than or equal"),
        ("patch_size", "1 2 3 4", "Patch size cannot be '1 2 3 4': give 2 or 3"),
    ],
)
def test_wrong_values_are_called_by_their_title(
    form: ConfigForm, name: str, text: str, sentence: str
) -> None:
    form.field(name).value = text
    with pytest.raises(ConfigError, match=sentence):
        build_config(form.wishes())


def test_wrong_values_of_parts_are_called_by_their_title() -> None:
    with pytest.raises(ConfigError, match="Gaussian noise cannot be '2'"):
        build_config({"augmentation": {"noise": "2"}})


def test_what_is_left_out_is_hidden_and_wishes_nothing(form: ConfigForm) -> None:
    form.kept.show()  # type: ignore[attr-defined]
    form.field("minutes").value = "wrong"
    form.field("levels").value = "4"
    form.leave_out(frozenset({"minutes", "augmentation"}))
    assert form.wishes() == {"levels": "4"}
    assert not form.field("minutes").native.isVisible()
    assert form.field("levels").native.isVisible()
    form.leave_out(frozenset())
    assert form.wishes() == {"levels": "4", "minutes": "wrong"}
    assert form.field("minutes").native.isVisible()


def test_a_network_is_chosen_by_title_and_told_in_a_sentence(form: ConfigForm) -> None:
    choice = form.field("network")
    assert "The default" in choice.about.text()
    choice.value = "hrnet"
    assert "resolutions side by side" in choice.about.text()
    assert build_config(form.wishes()).network == "hrnet"
    form.fill({})
    assert choice.value == "unet"
    assert "The default" in choice.about.text()
    form.leave_out(frozenset({"network"}))
    assert choice.about.isHidden()
    form.leave_out(frozenset())
    assert not choice.about.isHidden()
