"""Scores for people who do not know what AP is."""

from __future__ import annotations

import pytest

from napari_unet.models.info import TrainingSummary
from napari_unet.training.validation import SCORE_NAMES
from napari_unet.widgets.score_words import (
    IN_WORDS,
    exact_score,
    interval_in_words,
    meaning,
    score_in_words,
)


def made(**values: object) -> TrainingSummary:
    return TrainingSummary.model_validate(values)


def test_every_score_of_ours_has_words() -> None:
    assert set(SCORE_NAMES.values()) < set(IN_WORDS)


@pytest.mark.parametrize(
    ("score", "shown"), [(0.774, 77), (0.996, 99), (1.0, 100), (0.004, 0)]
)
def test_a_score_is_a_share(score: float, shown: int) -> None:
    said = score_in_words(made(score=score, score_name="mean AP@0.5:0.9"))
    assert said == f"objects found and outlined well: {shown} %"


def test_the_exact_name_is_kept() -> None:
    name = "mean AP@0.5:0.9"
    summary = made(score=0.7744, score_name=name, intervals={name: (0.7, 0.83)})
    assert exact_score(summary).startswith("mean AP@0.5:0.9 0.774 on annotation")
    assert interval_in_words(summary) == " (70 to 83 %)"


def test_a_score_of_another_program_is_left_alone() -> None:
    summary = made(score=0.5, score_name="wonder", intervals={"wonder": (0.4, 0.6)})
    assert score_in_words(summary) == "wonder: 0.50"
    assert interval_in_words(summary) == " (0.40 to 0.60)"


def test_without_a_score_nothing_is_said() -> None:
    summary = made()
    assert score_in_words(summary) == exact_score(summary) == ""
    assert interval_in_words(summary) == ""


def test_scores_of_an_evaluation_are_explained() -> None:
    assert meaning("mean AP, IoU 0.50 to 0.95").startswith("How well objects")
    assert meaning("Dice, class 2").startswith("How well areas agree")
    assert meaning("wonder") == ""
