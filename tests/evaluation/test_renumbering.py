"""One class with two numbers is one class."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_unet.evaluation.pairs import Pair, make_pair
from napari_unet.evaluation.renumbering import with_numbers_of
from napari_unet.evaluation.run import evaluate_pairs, known_values
from napari_unet.evaluation.settings import evaluation_settings
from napari_unet.generators import exhaust

SETTINGS = evaluation_settings(task="classes", resamples=0)


def compared(truth: Any, prediction: Any) -> tuple[Pair, list[int], str]:
    pair = make_pair(np.asarray(truth), np.asarray(prediction), "YX")
    values = known_values([pair.truth], SETTINGS)
    changed, said = with_numbers_of(pair, values)
    return changed, values, said


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


def test_several_classes_are_for_the_user_to_number() -> None:
    pair, _, said = compared([[0, 1, 4]], [[0, 2, 3]])
    assert said.startswith("No class has the same number in both")
    assert "has 2, 3, the reference 1, 4" in said
    np.testing.assert_array_equal(pair.prediction[:], [[0, 2, 3]])


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
