"""Small parts of live training: windows, messages, features, previews, verdicts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet.data.source import ImageSource
from napari_unet.live import features as module
from napari_unet.live import messages
from napari_unet.live.features import FeatureTiles
from napari_unet.live.judge import MAX_STROKES, TOO_FEW, judge
from napari_unet.live.messages import (
    Classes,
    Continue,
    FindNext,
    Limit,
    Pause,
    StartAfresh,
    Strokes,
    View,
    from_plain,
    to_plain,
)
from napari_unet.live.preview import uncertainty
from napari_unet.live.reading import read_around
from napari_unet.live.window import Window
from napari_unet.training.events import StepDone

# Messages ----------------------------------------------------------------------------

BOX = ((0, 1), (3, 64), (5, 9))


@pytest.mark.parametrize(
    "message",
    [
        Strokes(BOX, 7),
        View(BOX, "probability", 2),
        Pause(),
        Continue(),
        StartAfresh(),
        FindNext(),
        Limit(BOX),
        Limit(None),
        Classes([{"value": 1, "name": "a", "color": "#000000", "background": True}]),
    ],
)
def test_messages_survive_json(message: Any) -> None:
    assert from_plain(json.loads(json.dumps(to_plain(message)))) == message
    assert type(message).__name__ in messages._MESSAGES


# Windows -----------------------------------------------------------------------------


def test_a_window_knows_its_samples_and_their_places() -> None:
    source = ImageSource((np.zeros((5, 2, 4, 6, 7)),), "TCZYX")
    window = Window(source, ((2, 4), (1, 3), (0, 6), (2, 7)))
    assert window.spatial == ((1, 3), (0, 6), (2, 7))
    assert list(window.samples()) == [(2, (0,)), (3, (1,))]
    flat = np.arange(1000)
    assert window.arranged(flat).shape == (2, 2, 6, 5)
    assert np.shares_memory(window.arranged(flat), flat)
    around = Window.around(source, 3, ((1, 2), (0, 6), (3, 7)))
    assert around == ((3, 4), (1, 2), (0, 6), (3, 7))


def test_two_sample_axes_and_axes_in_any_order() -> None:
    source = ImageSource((np.zeros((6, 5, 3, 4)),), "YTXZ", ndim=2)
    assert source.sample_axes == "TZ"
    window = Window(source, ((0, 6), (1, 3), (0, 3), (2, 4)))
    assert [s for s, _ in window.samples()] == [6, 7, 10, 11]
    flat = np.zeros(100, np.int32)
    window.arranged(flat)[1, 0, 4, 2] = 9
    assert flat[:72].reshape(6, 2, 3, 2)[4, 1, 2, 0] == 9
    assert Window.around(source, 10, ((2, 4), (0, 3))) == (
        (2, 4),
        (2, 3),
        (0, 3),
        (2, 3),
    )


# Reading and features ----------------------------------------------------------------


class Pixels:
    spatial_shape = (40, 50)
    image = np.arange(2000, dtype=np.float32).reshape(1, 40, 50)

    def read(self, sample: int, box: Any) -> Any:
        return self.image[(slice(None), *(slice(*b) for b in box))]


@pytest.mark.parametrize("box", [((0, 40), (0, 50)), ((13, 17), (30, 50))])
@pytest.mark.parametrize("halo", [0, 5, 100])
def test_context_ends_at_the_border_and_fits_the_divisor(box: Any, halo: int) -> None:
    pixels, inner = read_around(Pixels(), 0, box, (halo, halo), (8, 4))
    assert [n % d for n, d in zip(pixels.shape[2:], (8, 4), strict=True)] == [0, 0]
    expected = Pixels.image[0][tuple(slice(*b) for b in box)]
    np.testing.assert_array_equal(pixels[0, 0][inner], expected)


@pytest.fixture
def learnt(start: Any, make_discs: Any) -> Any:
    image, truth = make_discs(300, 250)
    run = start(image)
    run.annotate(truth)
    run.until(StepDone)
    return run


@pytest.mark.parametrize(("halo", "atol"), [(64, 1e-4), (module.HALO[2], 1e-2)])
def test_features_of_tiles_fit_together(
    learnt: Any, monkeypatch: pytest.MonkeyPatch, halo: int, atol: float
) -> None:
    """Exactly with all the context, nearly with less."""
    monkeypatch.setattr(module, "TILE", {2: (96, 96)})
    monkeypatch.setattr(module, "HALO", {2: halo})
    learner = learnt.session.learner
    tiles = FeatureTiles(learner._small, learner.patches)
    rng = np.random.default_rng(0)
    voxels = np.stack([rng.integers(0, n, 500) for n in (300, 250)], axis=1)
    found = tiles.of(0, voxels)
    pixels, inner = read_around(
        learner.patches, 0, ((0, 300), (0, 250)), (0, 0), (8, 8)
    )
    whole = learner._small.scale_space(pixels)[(0, slice(None), *inner)]
    expected = whole[:, voxels[:, 0], voxels[:, 1]].T
    torch.testing.assert_close(found, expected, atol=atol, rtol=1e-3)
    assert len(tiles.cells()) == 12


def test_beliefs_are_probabilities_across_tiles(
    learnt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = learnt.session.learner.features
    whole = tiles.belief(0, ((0, 300), (0, 250)))
    np.testing.assert_allclose(whole.sum(axis=0), 1, atol=5e-3)
    part = tiles.belief(0, ((150, 230), (100, 250)))
    np.testing.assert_array_equal(part, whole[:, 150:230, 100:250])
    # Only what is kept is remembered.
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 0)
    np.testing.assert_allclose(
        FeatureTiles(
            learnt.session.learner._small, learnt.session.learner.patches
        ).belief(0, ((0, 300), (0, 250))),
        whole,
        atol=5e-3,
    )
    assert len(tiles._beliefs) <= len(tiles._kept)


@pytest.mark.parametrize("task", ["classes", "objects"])
def test_uncertainty_is_between_none_and_all(task: Any) -> None:
    sure = np.zeros((2, 3, 3), np.float32)
    sure[0] = 1
    assert uncertainty(sure, task).max() < 1e-3
    unsure = np.full((2, 3, 3), 0.5, np.float32)
    np.testing.assert_allclose(uncertainty(unsure, task), 1, atol=1e-6)
    three = np.full((3, 3, 3), 1 / 3, np.float32)
    np.testing.assert_allclose(uncertainty(three, "classes"), 1, atol=1e-6)


# Verdicts ----------------------------------------------------------------------------


def test_too_few_strokes_are_no_number(start: Any, make_discs: Any) -> None:
    image, _ = make_discs(64, 64)
    run = start(image)
    run.paint(1, 0, slice(0, 30))
    run.paint(2, 16, slice(10, 22))
    run.until(StepDone)
    verdict = judge(run.session.learner, run.session.book)
    assert (verdict.score, verdict.loss, verdict.text) == (None, None, TOO_FEW)


def test_a_verdict_has_a_score_an_interval_and_words(learnt: Any) -> None:
    learner, book = learnt.session.learner, learnt.session.book
    verdict = judge(learner, book)
    assert verdict.score is not None
    assert verdict.low is not None
    assert verdict.high is not None
    assert 0.5 < verdict.low <= verdict.score <= verdict.high <= 1
    assert verdict.text.startswith(f"Score {verdict.score:.2f} (")
    assert verdict.loss is not None
    assert 0 <= verdict.loss < 1
    assert judge(learner, book) == verdict
    assert len(book.held_out()) > MAX_STROKES


def test_the_verdict_is_about_the_newest_strokes(
    learnt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, book = learnt.session.learner, learnt.session.book
    before = judge(learner, book).score
    # From now on, everything is painted wrong.
    bright = learnt.source.arrays[0] > 140
    for y in range(12, 300, 18):
        for x in range(0, 250, 3):
            learnt.labels[y, x] = 1 if bright[y, x] else 2
    book.update(0)
    after = judge(learner, book).score
    assert before is not None
    assert after is not None
    assert after < 0.5 < before
