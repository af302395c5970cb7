from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet.errors import DataError
from napari_unet.live import session as sessions
from napari_unet.live.messages import ModeChanged, Pause
from napari_unet.live.project import Project
from napari_unet.live.project_info import ANNOTATION_NAME, RUN_NAME, load_annotation
from napari_unet.training.checkpoint import Checkpoint
from napari_unet.training.events import Notice, Saved, StepDone


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.fixture
def kept(
    start: Any, make_discs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A run that was killed after a few steps, and its folder."""
    monkeypatch.setattr(sessions, "SECONDS_BETWEEN_PROJECTS", 0.0)
    image, truth = make_discs(96, 96)
    folder = tmp_path / "project"
    run = start(image, project=Project(folder))
    run.annotate(truth)
    saved = run.until(Saved, lambda s: s.step >= 5)
    assert saved.path == str(folder)
    run.folder, run.image = folder, image
    return run


def again(start: Any, kept: Any, **options: Any) -> Any:
    """What a viewer does the next day: the layer first, then the run."""
    labels = load_annotation(kept.folder)
    # The shared array is filled only after the run has begun.
    run = start(
        kept.image,
        labels=np.zeros_like(labels),
        **{"project": Project(kept.folder)} | options,
    )
    run.until(ModeChanged)
    run.labels[:] = labels
    return run


def test_a_run_goes_on_where_it_was(start: Any, kept: Any) -> None:
    old = kept.session
    run = again(start, kept)
    np.testing.assert_array_equal(run.labels, kept.labels)
    run.tell()
    assert run.until(StepDone).step == old.learner.step_count
    new = run.session
    for name, tensor in old.learner.average.network.unet.state_dict().items():
        assert torch.equal(new.learner.average.network.unet.state_dict()[name], tensor)
    held = np.where(old.book.samples[0].stroke < 0, old.book.samples[0].stroke, 0)
    assert held.any()
    np.testing.assert_array_equal(
        np.where(new.book.samples[0].stroke < 0, new.book.samples[0].stroke, 0), held
    )
    for value in ("1", "2"):
        assert new.book.counters()[value] == old.book.counters()[value]
    assert new.learning_seconds >= old.learning_seconds > 0
    run.until(ModeChanged, lambda m: m.mode == "learning")
    step = run.until(StepDone)
    assert step.step == old.learner.step_count + 1
    assert files(kept.folder) == [ANNOTATION_NAME, RUN_NAME]


def test_strokes_that_came_later_are_learnt_too(start: Any, kept: Any) -> None:
    run = again(start, kept)
    run.labels[94:96, 60:90] = 1
    run.tell()
    run.until(StepDone)
    index = run.session.book.samples[0].index
    assert (index[94:96, 60:90] == 0).all()
    assert run.session.learner.step_count >= 5


def test_a_run_whose_strokes_are_gone_waits_for_others(start: Any, kept: Any) -> None:
    run = again(start, kept)
    run.labels[:] = 0
    run.tell()
    before = kept.session.learner.step_count
    run.calls = [lambda: None] * 3 + [
        lambda: (run.labels.__setitem__(..., kept.labels), run.tell())
    ]
    run.until(ModeChanged, lambda m: m.mode == "learning")
    assert run.session.learner.step_count >= before


def test_what_is_painted_while_it_pauses_or_waits_is_kept(
    start: Any, kept: Any, tmp_path: Path
) -> None:
    kept.send(Pause())
    kept.until(ModeChanged, lambda m: m.mode == "paused")
    kept.paint(2, 95, slice(0, 30))
    kept.until(Saved)
    np.testing.assert_array_equal(load_annotation(kept.folder), kept.labels)
    waiting = start(kept.image, project=Project(tmp_path / "other"))
    waiting.paint(1, 5, slice(0, 30))
    waiting.until(Saved)
    assert files(tmp_path / "other") == [ANNOTATION_NAME]
    np.testing.assert_array_equal(load_annotation(tmp_path / "other"), waiting.labels)
    assert waiting.stop() is None


def test_nothing_is_written_over_before_the_first_strokes(
    start: Any, kept: Any
) -> None:
    before = {n: (kept.folder / n).read_bytes() for n in files(kept.folder)}
    run = again(start, kept)
    run.session.keep_annotation()
    assert run.stop() is None
    assert {n: (kept.folder / n).read_bytes() for n in files(kept.folder)} == before


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [_truncate, _zero, lambda p: p.write_bytes(b"")])
def test_damage_is_one_sentence(start: Any, kept: Any, damage: Any) -> None:
    damage(kept.folder / RUN_NAME)
    run = again(start, kept)
    run.tell()
    with pytest.raises(DataError, match="cannot be read"):
        run.until(StepDone)
    damage(kept.folder / ANNOTATION_NAME)
    with pytest.raises(DataError, match="the project is damaged"):
        load_annotation(kept.folder)


def test_a_project_of_something_else_is_one_sentence(
    start: Any, kept: Any, make_discs: Any
) -> None:
    image, truth = make_discs(32, 32)
    small = start(image, project=Project(kept.folder))
    small.annotate(truth)
    with pytest.raises(DataError, match="belongs to another image"):
        small.until(StepDone)
    Checkpoint({"step": 1}, {}).save(kept.folder / RUN_NAME)
    foreign = again(start, kept)
    foreign.tell()
    with pytest.raises(DataError, match="of another kind"):
        foreign.until(StepDone)


def test_other_settings_begin_anew_with_what_was_held_out(
    start: Any, kept: Any
) -> None:
    run = again(start, kept, config={"base_channels": 6})
    run.tell()
    assert run.until(Notice).text.startswith("The settings, channels or classes")
    assert run.session.learner.step_count == 0
    held, before = (
        np.flatnonzero(r.session.book.samples[0].stroke < 0) for r in (run, kept)
    )
    np.testing.assert_array_equal(held, before)
    run.until(StepDone, lambda s: s.step == 2)


@pytest.mark.parametrize("name", [ANNOTATION_NAME, RUN_NAME])
def test_a_crash_while_saving_leaves_the_last_one(
    kept: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = (kept.folder / name).read_bytes()
    fsync = os.fsync
    todo = [None] if name == RUN_NAME else []

    def crash(descriptor: int) -> None:
        if not todo:
            raise KeyboardInterrupt
        todo.pop()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", crash)
    with pytest.raises(KeyboardInterrupt):
        Project(kept.folder).save(kept.session)
    assert (kept.folder / name).read_bytes() == before
    assert files(kept.folder) == [ANNOTATION_NAME, RUN_NAME]
