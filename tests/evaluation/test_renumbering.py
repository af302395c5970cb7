"""Classes may have other numbers in the prediction than in the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_unet
from napari_unet.cli import main
from napari_unet.errors import ConfigError
from napari_unet.evaluation.numbers import parse_numbers
from napari_unet.evaluation.pairs import Pair, make_pair
from napari_unet.evaluation.renumbering import (
    class_numbers,
    predicted_values,
    with_numbers,
)
from napari_unet.evaluation.run import evaluate_pairs, known_values
from napari_unet.evaluation.settings import evaluation_settings
from napari_unet.generators import exhaust
from napari_unet.image_io import write_labels

SETTINGS = evaluation_settings(task="classes", resamples=0)


def compared(truth: Any, prediction: Any, **how: Any) -> tuple[Pair, list[int], str]:
    settings = evaluation_settings(task="classes", **how)
    pair = make_pair(np.asarray(truth), np.asarray(prediction), "YX")
    values = known_values([pair.truth], settings)
    numbers, said = class_numbers(values, predicted_values(pair), settings)
    return with_numbers(pair, numbers), values, said


def test_the_only_class_is_the_same_whatever_its_number() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (16, 16)).astype(np.uint8)
    pair, values, said = compared(truth, np.where(truth, 300, 0).astype(np.uint16))
    assert "300 in the prediction and 1 in the reference" in said
    made = exhaust(evaluate_pairs([pair], 1, SETTINGS, values))
    (dice,) = [s.value for s in made.scores if s.name == "mean Dice"]
    assert dice == 1
    back, _, said = compared(np.where(truth, 300, 0), truth.astype(bool))
    assert "1 in the prediction and 300 in the reference" in said
    np.testing.assert_array_equal(back.prediction[:], np.where(truth, 300, 0))


@pytest.mark.parametrize("predicted", [[0, 2, 3], [0, 1, 5]])
def test_several_classes_are_for_the_user_to_number(predicted: list[int]) -> None:
    pair, _, said = compared([[0, 1, 4]], [predicted])
    low, high = predicted[1:]
    assert f"the prediction has {low}, {high} and the reference 1, 4" in said
    assert f"{low}=1, {high}=4" in said
    np.testing.assert_array_equal(pair.prediction[:], [predicted])


def test_numbers_that_have_something_in_common_stay() -> None:
    for truth, prediction in (
        ([[0, 1, 2]], [[0, 2, 2]]),
        ([[0, 1, 1]], [[0, 1, 1]]),
        ([[0, 1, 1]], [[0, 0, 0]]),
        ([[0, 0, 0]], [[0, 0, 2]]),
    ):
        pair, _, said = compared(truth, prediction)
        assert said == ""
        np.testing.assert_array_equal(pair.prediction[:], prediction)


def test_numbers_are_read_as_the_user_says() -> None:
    numbers = parse_numbers("2 = 1,3=2")
    pair, _, said = compared([[0, 1, 2]], [[0, 2, 3]], renumber=numbers)
    assert said == ""
    np.testing.assert_array_equal(pair.prediction[:], [[0, 1, 2]])
    _, _, said = compared([[0, 1, 2]], [[0, 2, 3]], renumber={7: 1})
    assert said == "Renumber: the prediction has no class 7; it has 2, 3."
    _, _, said = compared([[0, 1, 2]], [[0, 2, 3]], renumber={2: 9})
    assert said == "Renumber: the reference has no class 9; it has 1, 2."


@pytest.mark.parametrize("text", ["2", "2=", "2=1 2=3", "a=b", "2=-1", "2=1=3"])
def test_what_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="Renumber cannot be read at"):
        parse_numbers(text)


def test_maps_of_classes_follow_their_numbers() -> None:
    pair = make_pair(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), "YX")
    pair = Pair("a", pair.truth, pair.prediction, map_values=(0, 2))
    assert with_numbers(pair, {2: 1}).map_values == (0, 1)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two images: masks with 1, and predictions that call the same 2."""
    for k in range(2):
        truth = np.zeros((16, 16), np.uint8)
        truth[4:10, 3 : 9 + k] = 1
        write_labels(tmp_path / "t" / f"{k}.tif", truth, "YX")
        write_labels(tmp_path / "p" / f"{k}.tif", 2 * truth, "YX")
    # In one of the images there is nothing to go by.
    nothing = np.zeros((16, 16), np.uint8)
    write_labels(tmp_path / "t" / "2.tif", nothing, "YX")
    write_labels(tmp_path / "p" / "2.tif", nothing, "YX")
    return tmp_path


def score(folders: Path, *more: str) -> float:
    compare = ("--predictions", folders / "p", "--labels", folders / "t")
    words = ("evaluate", *compare, "--task", "classes", "--json", folders / "s.json")
    assert main([*map(str, words), "--overwrite", "--resamples", "0", *more]) == 0
    scores = json.loads((folders / "s.json").read_text())["scores"]
    return next(float(s["value"]) for s in scores if s["score"] == "mean Dice")


def test_the_command_takes_the_only_class_of_folders_for_the_same(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(folders) == 1
    assert "The only class is 2 in the prediction" in capsys.readouterr().out
    assert score(folders, "--renumber", "2=1") == 1
    assert "The only class" not in capsys.readouterr().out
    assert score(folders, "--renumber", "2=3") == 0
    assert "the reference has no class 3; it has 1." in capsys.readouterr().out


def test_python_takes_the_only_class_for_the_same_and_warns() -> None:
    truth = np.array([[0, 1, 1, 0]])
    with pytest.warns(UserWarning, match="The only class is 2 in the prediction"):
        scores = napari_unet.evaluate([2 * truth], [truth], task="classes")
    with pytest.warns(UserWarning, match="such as 2=1, 3=2"):
        napari_unet.evaluate(
            np.array([[0, 2, 3]]), np.array([[0, 1, 2]]), task="classes"
        )
    again = napari_unet.evaluate([2 * truth], [truth], task="classes", renumber={2: 1})
    assert again == scores
    assert again["classes"]["1"]["dice"] == 1
