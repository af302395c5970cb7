"""What can be typed, and the help that explains it."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from typing import Any, get_args

import pytest

from napari_unet import cli
from napari_unet.cli.options import choices
from napari_unet.cli.parser import make_parser
from napari_unet.config import (
    AnnotationRule,
    AugmentationPreset,
    DeviceName,
    LossName,
    PrecisionName,
    Preset,
    Task,
)
from napari_unet.evaluation.settings import ComparedTask
from napari_unet.exchange.shapes import Meaning
from napari_unet.models.library_entries import SORT_KEYS


def commands() -> dict[str, argparse.ArgumentParser]:
    (found,) = (
        action
        for action in make_parser()._actions  # argparse has no public way to them
        if isinstance(action, argparse._SubParsersAction)
    )
    return found.choices


def test_choices_are_those_of_the_modules_that_know() -> None:
    assert set(choices.TASKS) == set(get_args(Task))
    assert set(choices.COMPARED_TASKS) == set(get_args(ComparedTask))
    assert set(choices.RULES) == set(get_args(AnnotationRule))
    assert set(choices.PRESETS) == set(get_args(Preset))
    assert set(choices.DEVICES) == set(get_args(DeviceName))
    assert set(choices.PRECISIONS) == set(get_args(PrecisionName))
    assert set(choices.LOSSES) == set(get_args(LossName))
    assert set(choices.AUGMENTATIONS) == set(get_args(AugmentationPreset))
    assert choices.SORT_KEYS == SORT_KEYS
    assert choices.MEANINGS == get_args(Meaning)


@pytest.mark.parametrize("command", commands())
def test_every_command_explains_itself(command: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    assert end.value.code == 0
    help_text = capsys.readouterr().out
    assert help_text.count(f"napari-unet {command}") > 1
    assert "Examples:" in help_text


@pytest.mark.parametrize("command", commands())
def test_every_command_is_done_by_a_module(command: str) -> None:
    parser = commands()[command]
    module = import_module(f"napari_unet.cli.{parser.get_default('module')}")
    assert callable(module.run)
    assert parser.get_default("debug") is False


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from napari_unet.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'napari', 'scipy'} & set(sys.modules)\n"
        "sys.exit(bool(heavy))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize("wrong", ["", "train", "fly", "predict m a.tif", "models"])
def test_what_is_not_understood_is_one_line(wrong: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(wrong.split())
    assert end.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_python_m_is_the_command() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "napari_unet", "--version"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout[0].isdigit()
