"""The demo in a viewer: the steps follow each other, and failures end it in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage.io import imread

from napari_unet.demo import DemoError
from napari_unet.errors import DataError
from napari_unet.image_io import read_image
from napari_unet.metrics.objects import match_objects
from napari_unet.models.library import FOLDER_VARIABLE
from napari_unet.models.model_file import read_info
from napari_unet.sample_data import nuclei_2d
from napari_unet.widgets import engine_host
from napari_unet.widgets.demo import (
    FAILED,
    PICTURES,
    Demo,
    run_in_viewer,
    starved_in_words,
)

pytestmark = pytest.mark.viewer

MINUTES = 15 * 60_000
"""A guard against hangs, in milliseconds; the tests need seconds."""


@pytest.fixture
def real_host(monkeypatch: pytest.MonkeyPatch, qapp: Any) -> Iterator[Any]:
    """A real engine in the place of the one that widgets share."""
    from napari_unet.engine.client import Engine

    made = engine_host.EngineHost(Engine(threads=1))
    monkeypatch.setattr(engine_host, "_host", made)
    made.start()
    yield made
    made.close()


@pytest.fixture
def start(
    make_napari_viewer: Callable[..., Any], tmp_path: Path
) -> Callable[..., Demo]:
    """Start a demo on a small sample, for a number of steps."""

    def go(**settings: str) -> Demo:
        made = Demo(make_napari_viewer(), tmp_path, minutes=15, stay=False)
        made.sample = nuclei_2d(shape=(160, 192))
        made.start()
        for name, value in settings.items():
            made._train.advanced.field(name).value = value
        return made

    return go


@pytest.mark.usefixtures("real_host")
def test_it_paints_trains_predicts_and_leaves_its_files_behind(
    start: Callable[..., Demo],
    tmp_path: Path,
    model_folder: Path,
    qtbot: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo = start(
        max_steps="150",
        base_channels="8",
        learning_rate="0.005",
        batch_size="4",
        patch_size="64 64",
        device="cpu",
        precision="float32",
    )
    qtbot.waitUntil(lambda: demo.finished or bool(demo.error), timeout=MINUTES)
    assert demo.error == ""
    pictures = [imread(tmp_path / name) for name in PICTURES]
    assert all(p.shape[0] > 400 and p.std() > 5 for p in pictures)
    assert not np.array_equal(pictures[0], pictures[2])
    assert not (tmp_path / FAILED).exists()

    sample = demo.sample
    written = read_image(tmp_path / "labels.tif")
    labels = np.asarray(written.arrays[0])
    assert labels.shape == sample.labels.shape
    assert written.voxel_size == pytest.approx(sample.voxel_size)
    assert match_objects(sample.labels, labels, (0.5,)).ap[0] > 0.5
    (model,) = model_folder.iterdir()
    assert read_info(model).training.steps <= 150
    told = capsys.readouterr().out
    assert str(tmp_path / "labels.tif") in told
    assert "Against the exact truth" in told


def test_a_failure_is_its_sentence_and_a_picture(
    start: Callable[..., Demo],
    tmp_path: Path,
    host: Any,
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    monkeypatch.setattr(engine_host, "_host", host)
    engine.refuse = DataError("The disk is full: make room.")
    demo = start()
    qtbot.waitUntil(lambda: bool(demo.error), timeout=MINUTES)
    assert demo.error == "The disk is full: make room."
    assert not demo.finished
    assert imread(tmp_path / FAILED).size


def test_few_nuclei_are_told_with_what_to_do() -> None:
    truth = nuclei_2d(shape=(160, 192)).labels
    assert starved_in_words(truth, truth, 1, 900) == ""
    few = np.where(truth <= 3, truth, 0)
    text = starved_in_words(truth, few, 0.5, 40)
    assert text.startswith(f"Only 3 of {len(np.unique(truth)) - 1} nuclei were found")
    assert "0.5 minutes of training gave 40 steps" in text
    assert text.endswith("--minutes 2.")
    assert starved_in_words(truth, np.zeros_like(truth), 1, 0).startswith("Only 0 of")


def test_a_window_that_is_closed_early_is_no_success(
    make_napari_viewer: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import napari

    monkeypatch.setattr(napari, "Viewer", lambda title: make_napari_viewer(title=title))
    monkeypatch.setattr(napari, "run", lambda **options: None)
    monkeypatch.setattr(Demo, "start", lambda self: None)
    (tmp_path / PICTURES[0]).write_text("of an earlier demo")
    (tmp_path / "notes.txt").write_text("of its owner")
    with pytest.raises(DemoError, match="closed before"):
        run_in_viewer(tmp_path, minutes=1, stay=False)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    assert os.environ[FOLDER_VARIABLE] == str(tmp_path / "models")
