from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet import workflows
from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.errors import ConfigError, DataError
from napari_unet.models.info import CalibrationInfo
from napari_unet.models.model import Model
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.training.events import (
    Finished,
    Notice,
    Saved,
    Started,
    StepDone,
    Validated,
)
from napari_unet.training.trainer import Trainer
from napari_unet.training.validation import Validation
from napari_unet.workflows import exhaust, predict
from napari_unet.workflows.training import TrainingSetup


def blobs(task: str, ndim: int = 2, size: int = 64, seed: int = 0) -> Annotation:
    rng = np.random.default_rng(seed)
    grid = np.indices((size,) * 2 if ndim == 2 else (size // 4, size, size))
    labels = np.zeros(grid.shape[1:], np.int32)
    for number in range(1, 13):
        centre = [rng.integers(4, n - 4) for n in labels.shape]
        square = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        labels[(square < 36) & (labels == 0)] = number
    image = (labels > 0) * 800 + rng.normal(300, 60, labels.shape)
    source = ImageSource((image.astype(np.uint16),), "ZYX"[3 - ndim :])
    return Annotation(labels if task == "objects" else labels > 0, source)


SMALL = {
    "annotation": "complete",
    "device": "cpu",
    "base_channels": 4,
    "batch_size": 2,
    "levels": 2,
}


def run(config: dict, **options: object) -> tuple[Model, list]:
    events: list = []
    generator = workflows.train(
        [blobs(config.get("task", "classes"))],
        training_config(**{**SMALL, **config}),
        **options,
    )
    return exhaust(generator, events.append), events


def weights(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.network.state_dict())


@pytest.mark.parametrize("precision", ["float32", "auto"])
def test_stop_and_resume_is_bit_equal_to_no_stop(
    tmp_path: Path, precision: str
) -> None:
    config = {"task": "objects", "max_steps": 12, "seed": 5, "precision": precision}
    straight, _ = run(config)

    checkpoint = tmp_path / "run.checkpoint.zip"
    calls = iter([False] * 4 + [True] * 99)
    _, events = run(config, checkpoint=checkpoint, stop=lambda: next(calls))
    assert isinstance(events[-1], Finished)
    assert events[-1].reason == "stopped"
    assert not events[-1].failed
    assert events[-1].step == 5
    resumed, events = run(config, resume=checkpoint)
    assert next(e.step for e in events if isinstance(e, StepDone)) == 6
    for name, tensor in weights(straight).items():
        assert torch.equal(tensor, weights(resumed)[name]), name
    assert straight.info.decoder == resumed.info.decoder
    assert straight.info.training.score == resumed.info.training.score


def test_seeds_repeat_and_differ() -> None:
    one, _ = run({"max_steps": 3, "seed": 1})
    two, _ = run({"max_steps": 3, "seed": 1})
    three, _ = run({"max_steps": 3, "seed": 2})
    name = next(iter(weights(one)))
    assert torch.equal(weights(one)[name], weights(two)[name])
    assert not torch.equal(weights(one)[name], weights(three)[name])


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run.zip"
    run({"max_steps": 1}, checkpoint=checkpoint)
    with pytest.raises(ConfigError, match="other settings"):
        run({"max_steps": 1, "base_channels": 5}, resume=checkpoint)
    (tmp_path / "junk.zip").write_bytes(b"junk")
    with pytest.raises(DataError, match="cannot be read"):
        run({"max_steps": 1}, resume=tmp_path / "junk.zip")
    with pytest.raises(DataError, match="no checkpoint"):
        run({"max_steps": 1}, resume=tmp_path / "missing.zip")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_loss_ends_the_run_and_keeps_the_last_good_weights(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bad: float
) -> None:
    good_step = Trainer._step

    def step(self: Trainer) -> float:
        if self.progress.step < 4:
            return good_step(self)
        with torch.no_grad():
            for p in self.network.parameters():
                p.fill_(bad)
        return bad

    monkeypatch.setattr(Trainer, "_step", step)
    checkpoint = tmp_path / "run.zip"
    model, events = run({"max_steps": 50}, checkpoint=checkpoint)
    assert events[-1].step == 4
    assert events[-1].failed
    assert not checkpoint.exists()  # going on from there would fail again
    assert "not a number" in events[-1].reason
    assert all(torch.isfinite(t).all() for t in weights(model).values())


def test_events_tell_the_whole_story(tmp_path: Path) -> None:
    autosave = tmp_path / "best.bioimage.io.zip"
    model, events = run(
        {"task": "objects", "max_steps": 20, "patience": 100}, autosave=autosave
    )
    assert isinstance(events[0], Started)
    assert events[0].notes == []
    assert "CPU" in events[0].device
    steps = [e for e in events if isinstance(e, StepDone)]
    assert [e.step for e in steps] == list(range(1, 21))
    assert steps[-1].progress == 1.0
    scores = [e for e in events if isinstance(e, Validated)]
    assert scores[-1].step == 20
    # The decoder is fitted to the kept weights at the end, which can only help.
    assert max(s.score for s in scores) <= model.info.training.score
    assert isinstance(events[-1], Finished)
    assert model.info.training.steps == 20


def test_the_best_weights_reach_the_disk_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows.training, "SECONDS_BETWEEN_SAVES", 0.0)
    path, checkpoint = tmp_path / "a.bioimage.io.zip", tmp_path / "a.checkpoint.zip"
    generator = workflows.train(
        [blobs("classes")],
        training_config(**SMALL, max_steps=50),
        autosave=path,
        checkpoint=checkpoint,
    )
    saved = [e for e, _ in zip(generator, range(20), strict=False)]
    generator.close()
    assert {e.path for e in saved if isinstance(e, Saved)} == {
        str(path),
        str(checkpoint),
    }
    Model.load(path)
    assert {p.name for p in tmp_path.iterdir()} == {checkpoint.name, path.name}


def test_patience_ends_a_run_that_does_not_improve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    validation = "napari_unet.training.validation.Validation"
    monkeypatch.setattr(f"{validation}.score", lambda *a: 0.5)
    monkeypatch.setattr(f"{validation}.loss", lambda *a: 1.0)
    _, events = run({"task": "objects", "max_steps": 100, "patience": 2})
    assert events[-1].reason == "the score no longer improves"
    assert events[-1].step == 35


def test_among_equal_scores_the_loss_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([0.9, 0.7, 0.8, 0.5, 0.6])
    validation = "napari_unet.training.validation.Validation"
    monkeypatch.setattr(f"{validation}.score", lambda *a: 1.0)
    monkeypatch.setattr(f"{validation}.loss", lambda *a: next(losses))
    _, events = run({"task": "objects", "max_steps": 5})
    best = [e.best for e in events if isinstance(e, Validated)]
    assert best == [True, True, False, True, False]


def test_time_ends_a_run() -> None:
    _, events = run({"minutes": 0.01})
    assert events[-1].reason == "time is up"


def test_thresholds_stay_in_the_middle_where_the_score_cannot_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "napari_unet.training.validation.Validation._object_score", lambda *a: 1.0
    )
    model, _ = run({"task": "objects", "max_steps": 2})
    decoder = model.info.decoder
    assert decoder is not None
    assert (decoder.foreground_threshold, decoder.prominence) == (0.5, 0.1)


@pytest.mark.parametrize("ndim", [2, 3])
def test_outputs_that_only_help_learning_are_not_in_the_model(ndim: int) -> None:
    annotation = blobs("objects", ndim)
    config = training_config(
        task="objects", annotation="complete", max_steps=2, base_channels=4
    )
    setup = TrainingSetup.prepare([annotation], config, (), None, "model")
    trained = setup.trainer.network.state_dict()
    for _ in setup.trainer.run():
        pass
    model = setup.model(None)
    assert model.network.state_dict()["head.bias"].shape == (2,)
    assert trained["head.bias"].shape == (2 + ndim,)
    best = setup.trainer.best or setup.trainer.average.network.state_dict()
    for name, tensor in model.network.state_dict().items():
        kept = best[name][tuple(slice(n) for n in tensor.shape)]
        torch.testing.assert_close(tensor, kept)


@pytest.mark.parametrize("task", ["classes", "objects"])
def test_how_sure_a_model_may_be_is_fitted_and_its_decoder_to_that(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(
        "napari_unet.training.validation.fit_temperature", lambda pairs: 2.0
    )
    fit = Validation.fit_decoder

    def watched(self: Validation, maps: Any) -> DecoderInfo:
        seen.extend(m.copy() for m in maps)
        return fit(self, maps)

    monkeypatch.setattr(Validation, "fit_decoder", watched)
    model, _ = run({"task": task, "max_steps": 3})
    calibration = model.info.calibration
    assert calibration.temperature == 2.0
    assert calibration.ece_before is not None
    assert calibration.ece_after is not None
    source = blobs(task, 2).source
    found = exhaust(predict(model, source, probabilities=True))
    once = replace(
        model, info=model.info.model_copy(update={"calibration": CalibrationInfo()})
    )
    plain = exhaust(predict(once, source, probabilities=True))
    bold = plain.probabilities[0].astype(float).clip(1e-3, 1 - 1e-3)
    cool = found.probabilities[0].astype(float)
    if task == "objects":
        assert seen
    inner = np.abs(bold - 0.5) < 0.45
    expected = 1 / (1 + ((1 - bold) / bold) ** 0.5)
    np.testing.assert_allclose(cool[inner], expected[inner], atol=0.01)


@pytest.mark.parametrize("task", ["classes", "objects"])
def test_background_between_objects_can_count_most(task: str) -> None:
    model, events = run(
        {"task": task, "max_steps": 3, "loss": "weighted-cross-entropy"}
    )
    assert all(np.isfinite(e.loss) for e in events if isinstance(e, StepDone))
    assert model.info.training.config["loss"]["border_weight"] == 10
    (choice,) = [c for c in events[0].recipe if c["setting"] == "loss.kind"]
    assert "as in the U-Net paper" in choice["reason"]


def test_two_deterministic_runs_are_equal_to_the_bit() -> None:
    wishes = {"max_steps": 4, "deterministic": True, "dropout": 0.2, "task": "objects"}
    (first, _), (second, _) = run(wishes), run(wishes)
    other, _ = run({**wishes, "seed": 1})
    same = weights(second)
    assert all(torch.equal(v, same[k]) for k, v in weights(first).items())
    assert any(not torch.equal(v, same[k]) for k, v in weights(other).items())
    # Nothing of it stays behind in the caller's process.
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_a_device_cannot_repeat_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def warns(self: Trainer) -> float:
        assert torch.are_deterministic_algorithms_enabled()
        text = "some_op does not have a deterministic implementation, but you set"
        warnings.warn(text, UserWarning, stacklevel=1)
        return 0.5

    monkeypatch.setattr(Trainer, "_learn", warns)
    _, events = run({"max_steps": 3, "deterministic": True})
    notices = [e.text for e in events if isinstance(e, Notice)]
    assert len(notices) == 1
    assert "cannot repeat" in notices[0]
