from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_unet.data.classes import make_classes
from napari_unet.live import learner as learning
from napari_unet.live import progress, screen, session
from napari_unet.live.judge import Verdict
from napari_unet.live.messages import (
    Advice,
    Classes,
    Continue,
    FindNext,
    Limit,
    LiveScore,
    ModeChanged,
    NextRegion,
    Pause,
    Preview,
    StartAfresh,
)
from napari_unet.live.preview import Previewer
from napari_unet.live.starters import STARTER_STEPS
from napari_unet.models.model import Model
from napari_unet.training.events import Finished, Notice, Saved, Started, StepDone


def modes(run: Any) -> list[str]:
    return [e.mode for e in run.told(ModeChanged)]


def plain(values: list[int]) -> list[dict[str, Any]]:
    return [c.model_dump() for c in make_classes(values, 1)]


# The loop ----------------------------------------------------------------------------


def test_strokes_become_a_preview_and_the_preview_becomes_good(
    start: Any, make_discs: Any, overlap: Any
) -> None:
    image, truth = make_discs(64, 96)
    run = start(image)
    run.look()
    run.annotate(truth)
    first = run.until_shown()
    assert run.last == Preview(run.whole, 1, 0, "first answer", "", (0, 64))
    assert overlap(first, truth) > 0.9
    shown = run.until_shown(steps=12)
    assert run.last.source == "network"
    assert shown.shape == (64, 96)
    assert set(np.unique(shown)) == {0, 2}
    assert overlap(shown, truth) > 0.9
    # What was painted is shown as painted, whatever the network says.
    painted = run.labels > 0
    expected = np.where(run.labels == 2, 2, 0)
    np.testing.assert_array_equal(shown[painted], expected[painted])
    assert isinstance(run.events[0], Started)
    assert modes(run) == ["waiting", "learning"]
    assert run.told(StepDone)
    assert not run.told(Notice)


def test_one_class_is_not_enough_and_leaves_nothing(
    start: Any, make_discs: Any, tmp_path: Path
) -> None:
    image, _ = make_discs(64, 64)
    run = start(image, autosave=tmp_path / "a.bioimage.io.zip")
    run.look()
    run.paint(1, 3, slice(0, 30))
    run.calls = [lambda: None] * 5 + [lambda: setattr(run, "_stopping", True)]
    run.until(Finished)
    assert run.stop() is None
    assert [e.text for e in run.told(ModeChanged)] == [
        "Paint a few strokes of two classes or more: then learning begins.",
        "Only 'background' is painted: paint another class, too; then learning begins.",
    ]
    assert run.events[-1] == Finished(0, "stopped", None, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_the_next_preview_knows_a_new_stroke(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until_shown(steps=2)
    assert run.last.serial == 1
    run.paint(2, slice(0, 2), slice(0, 20))
    run.until(Preview)
    assert run.last.serial == 1
    shown = run.until_shown()
    assert run.last.serial == 2
    assert (shown[0:2, 0:20] == 2).all()
    # What changes nothing is known, too.
    run.paint(2, 0, slice(0, 5))
    run.until_shown(serial=3)


def test_pause_and_go_on(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until_shown(steps=2)
    run.send(Pause())
    run.until(ModeChanged, lambda m: m.mode == "paused")
    steps = run.session.learner.step_count
    # Previews go on, also with new strokes.
    box = ((10, 40), (20, 50))
    run.look(box)
    assert run.until_shown(box).shape == (30, 30)
    run.paint(2, slice(0, 2), slice(0, 20))
    run.until_shown(box, serial=2)
    assert run.session.learner.step_count == steps
    run.send(Continue())
    run.until(ModeChanged, lambda m: m.mode == "learning")
    run.until(StepDone, lambda s: s.step > steps)


def test_paused_while_it_waits(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.send(Pause())
    run.until(ModeChanged, lambda m: m.mode == "paused")
    run.look()
    run.annotate(truth)
    run.until_shown()
    assert run.session.learner.step_count == 0
    run.send(Continue())
    run.until(StepDone)
    assert modes(run) == ["waiting", "paused", "learning"]


def test_everything_erased_waits_and_an_undo_goes_on(
    start: Any, make_discs: Any
) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until_shown(steps=2)
    before = run.labels.copy()
    for _ in range(2):
        run.paint(0, slice(None), slice(None))
        run.until(ModeChanged, lambda m: m.mode == "waiting")
        steps = run.session.learner.step_count
        run.send(Continue(), FindNext())
        run.until(NextRegion)
        assert modes(run)[-1] == "waiting"
        run.labels[:] = before
        run.tell()
        run.until(ModeChanged, lambda m: m.mode == "learning")
        run.until(StepDone)
        assert run.session.learner.step_count > steps


def test_afresh_forgets_the_weights_and_keeps_what_is_held_out(
    start: Any, make_discs: Any
) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until_shown(steps=5)
    held = run.session.book.samples[0].stroke.copy()
    old = run.session.learner
    run.send(StartAfresh())
    run.until(Preview, lambda p: p.step < 3)
    assert run.session.learner is not old
    np.testing.assert_array_equal(run.session.book.samples[0].stroke, held)
    run.until(StepDone, lambda s: s.step >= 2)


def test_afresh_without_strokes_is_no_harm(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.send(StartAfresh())
    run.annotate(truth)
    run.until(StepDone)
    run.paint(0, slice(None), slice(None))
    run.until(ModeChanged, lambda m: m.mode == "waiting")
    run.send(StartAfresh())
    run.annotate(truth)
    run.until(StepDone)


def test_only_inside_a_limit(start: Any, make_discs: Any, overlap: Any) -> None:
    image, truth = make_discs(64, 96)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until_shown()
    run.send(Limit(((0, 64), (0, 48))))
    run.look(((0, 64), (0, 95)))
    run.until_shown(((0, 64), (0, 95)))
    assert run.session.book.samples[0].points[0][:, 1].max() < 48
    # Nothing wrong outside is learnt.
    run.paint(1, slice(0, 64), slice(60, 96))
    run.look()
    shown = run.until_shown(serial=2)
    assert overlap(shown[:, :48], truth[:, :48]) > 0.9
    for _ in range(4):
        run.send(FindNext())
        region = run.until(NextRegion)
        assert region.box is None or region.box[1][1] <= 48
    run.send(Limit(None))
    run.look(((0, 64), (0, 95)))
    run.until_shown(((0, 64), (0, 95)))
    assert run.session.book.samples[0].points[0][:, 1].max() > 48


def test_a_limit_without_strokes_waits(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 96)
    run = start(image)
    run.annotate(truth, box=((0, 64), (0, 48)))
    run.until(StepDone)
    run.send(Limit(((0, 64), (60, 96))))
    run.until(ModeChanged, lambda m: m.mode == "waiting")
    run.send(Limit(None))
    run.until(ModeChanged, lambda m: m.mode == "learning")


def test_objects_say_what_is_missing_and_begin_once_it_is_there(
    start: Any, make_discs: Any
) -> None:
    image, truth = make_discs(64, 64)
    run = start(image, task="objects")
    run.labels[truth == 1] = 2
    run.tell()
    run.until(ModeChanged, lambda m: "No background is painted: paint some" in m.text)
    run.send(Limit(((40, 64), (0, 64))))
    run.until(ModeChanged, lambda m: "whole objects inside the box" in m.text)
    run.send(Limit(None))
    run.until(ModeChanged, lambda m: "background with label 1" in m.text)
    run.paint(1, slice(0, 2), slice(0, 60))
    run.until(ModeChanged, lambda m: m.mode == "learning")
    run.labels[truth == 1] = 0
    run.tell()
    run.until(ModeChanged, lambda m: "Only background is painted" in m.text)


def test_a_class_that_is_new_while_it_runs(start: Any) -> None:
    image = np.zeros((64, 96), np.uint8)
    image[:, 32:64], image[:, 64:] = 100, 200
    run = start(image)
    run.look(show="probability", channel=2)
    run.paint(1, slice(0, 64, 8), slice(2, 20))
    run.paint(2, slice(0, 64, 8), slice(35, 60))
    run.until_shown(steps=3)
    run.send(Classes(plain([1, 2, 7])))
    run.paint(7, slice(0, 64, 8), slice(66, 90))
    shown = run.until_shown(serial=3)
    assert (shown[:, 4:28] == 0).mean() > 0.8
    assert (shown[:, 36:60] == 2).mean() > 0.8
    assert (shown[:, 68:92] == 7).mean() > 0.8
    # The U-Net is not forgotten.
    assert run.last.step >= 3
    model = run.stop()
    assert [c.value for c in model.info.classes] == [1, 2, 7]


def test_a_class_that_is_renamed_or_removed(start: Any) -> None:
    image = np.zeros((64, 96), np.uint8)
    image[:, 32:64], image[:, 64:] = 100, 200
    run = start(image, values=(1, 2, 3))
    run.look()
    for i, value in enumerate((1, 2, 3)):
        run.paint(value, slice(0, 64, 8), slice(32 * i + 2, 32 * i + 28))
    run.until_shown(steps=2)
    kept = run.session.learner
    classes = plain([1, 2, 3])
    classes[1]["name"] = "nucleus"
    run.send(Classes(classes))
    run.until_shown()
    assert run.session.learner is kept
    run.send(Classes([classes[0], classes[2]]))
    run.paint(1, slice(0, 64, 8), slice(34, 60))
    shown = run.until_shown(serial=4)
    assert set(np.unique(shown)) <= {0, 3}
    assert (shown[:, 68:92] == 3).mean() > 0.8
    run.send(Classes([classes[0]]))
    run.until(ModeChanged, lambda m: m.mode == "waiting")
    run.send(Classes(classes))
    run.until(ModeChanged, lambda m: m.mode == "learning")
    assert run.stop().info.classes[1].name == "nucleus"


def test_classes_removed_in_the_middle_of_a_preview(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "STRIP_VOXELS", {"cpu": 1, "gpu": 1})
    image, truth = make_discs(160, 64)
    run = start(image, values=(1, 2, 3))
    run.look()
    run.annotate(truth)
    run.paint(3, slice(150, 160), slice(0, 20))
    run.until(Preview, lambda p: p.rows == (128, 160))
    run.send(Classes(plain([1, 2])))
    assert set(np.unique(run.until_shown(serial=2))) == {0, 2}


# What is looked at -------------------------------------------------------------------


def test_a_large_preview_comes_in_strips_and_follows_the_view(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "STRIP_VOXELS", {"cpu": 64 * 64, "gpu": 1})
    image, truth = make_discs(160, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    rows = [run.until(Preview).rows for _ in range(3)]
    assert sorted(rows) == [(0, 64), (64, 128), (128, 160)]
    run.paint(2, slice(150, 152), slice(0, 2))
    # The strip with the newest stroke comes first.
    assert run.until(Preview, lambda p: p.serial == 2).rows == (128, 160)
    box = ((100, 160), (0, 30))
    run.look(box)
    assert run.until(Preview).rows == (0, 60)
    assert run.until(Preview).box == box


LAYOUTS = {
    "part of a plane": ("YX", 0, (64, 64), ((7, 45), (20, 61))),
    "time-lapse, one time": ("TYX", 0, (3, 64, 64), ((1, 2), (0, 64), (0, 64))),
    "time-lapse, all times": ("TYX", 0, (2, 64, 64), ((0, 2), (5, 60), (0, 64))),
    "planes": ("ZYX", 2, (3, 64, 64), ((2, 3), (0, 64), (3, 50))),
    "stack, one plane": ("ZYX", 3, (12, 64, 64), ((6, 7), (0, 64), (0, 64))),
    "stack, all of it": ("ZYX", 3, (12, 64, 64), ((0, 12), (0, 64), (0, 64))),
    "stacks over time": (
        "TZYX",
        0,
        (2, 12, 32, 64),
        ((1, 2), (4, 9), (0, 32), (1, 64)),
    ),
    "depth last": ("YXZ", 3, (64, 64, 12), ((0, 64), (0, 64), (5, 6))),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_preview_is_of_what_is_looked_at(
    start: Any, make_discs: Any, overlap: Any, layout: str
) -> None:
    axes, ndim, shape, box = LAYOUTS[layout]
    spatial = "ZYX" if ndim != 2 and "Z" in axes else "YX"
    sizes = [shape[axes.index(a)] for a in spatial]
    lead = [a for a in axes if a not in spatial]
    pairs = [
        make_discs(*sizes, seed=i)
        for i in range(int(np.prod([shape[axes.index(a)] for a in lead], dtype=int)))
    ]
    order = [("".join(lead) + spatial).index(a) for a in axes]
    both = [
        np.stack([p[k] for p in pairs])
        .reshape(*(shape[axes.index(a)] for a in lead), *sizes)
        .transpose(order)
        for k in (0, 1)
    ]
    run = start(both[0], axes, ndim=ndim)
    truth = both[1]
    run.look(box)
    assert run.labels.shape == truth.shape
    if axes == "YXZ":
        run.annotate(truth, box=((0, 64), (0, 64), (4, 7)), every=1)
    else:
        run.annotate(truth)
    key = tuple(slice(*b) for b in box)
    shown = run.until_shown(box)
    assert overlap(shown, truth[key]) > 0.85
    shown = run.until_shown(box, steps=2)
    assert shown.shape == tuple(b - a for a, b in box)
    assert overlap(shown, truth[key]) > 0.85
    # Beyond the box nothing is written.
    assert (run.shared.preview[shown.size :] == 0).all()


def test_another_plane_shows_another_plane(start: Any, make_discs: Any) -> None:
    _, truth = make_discs(3, 64, 64)
    truth = np.stack([np.roll(truth[1], 16 * z, axis=1) for z in range(3)])
    run = start(((truth > 0) * 150 + 30).astype(np.uint8), ndim=2)
    run.annotate(truth)
    for z in (0, 2, 1):
        box = ((z, z + 1), (0, 64), (0, 64))
        run.look(box)
        shown = run.until_shown(box)
        assert ((shown[0] > 0) == (truth[z] > 0)).mean() > 0.95


@pytest.mark.parametrize("kind", ["RGB", "two layers", "C first"])
def test_channels(start: Any, make_discs: Any, overlap: Any, kind: str) -> None:
    image, truth = make_discs(64, 64)
    other = np.random.default_rng(1).integers(0, 255, image.shape).astype(np.uint8)
    if kind == "RGB":
        run = start(np.stack([other, image, other], axis=-1), "YXC")
    elif kind == "C first":
        run = start(np.stack([other, image]), "CYX")
    else:
        run = start((other, image), "YX")
    run.look()
    run.annotate(truth, every=6)
    assert overlap(run.until_shown(steps=3), truth) > 0.8
    assert run.stop().info.n_channels == (3 if kind == "RGB" else 2)


def test_maps_of_probability_and_uncertainty(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look(show="probability", channel=1)
    run.annotate(truth)
    run.until_shown(show="probability")
    probability = run.shown(run.shared.map)
    inside, outside = truth > 0, truth == 0
    assert probability[inside].mean() > 180
    assert probability[outside].mean() < 80
    run.look(show="probability", channel=0)
    run.until_shown(show="probability")
    np.testing.assert_allclose(
        run.shown(run.shared.map).astype(int) + probability, 255, atol=60
    )
    run.look(show="uncertainty")
    run.until_shown(show="uncertainty")
    unsure = run.shown(run.shared.map)
    from scipy import ndimage

    edge = ndimage.binary_dilation(inside) & ~ndimage.binary_erosion(inside)
    assert unsure[edge].mean() > 1.5 * unsure[~edge].mean()
    run.shared.map[:] = 7
    run.look()
    run.until_shown(show="")
    assert (run.shared.map == 7).all()


def test_next_is_another_region_without_annotation(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(192, 192)
    run = start(image)
    run.send(FindNext())
    assert run.until(NextRegion).box is None
    run.look()
    run.annotate(truth, box=((0, 64), (0, 64)))
    run.until_shown(steps=1)
    boxes = []
    while True:
        run.send(FindNext())
        box = run.until(NextRegion).box
        if box is None:
            break
        assert not run.labels[tuple(slice(*b) for b in box)].any()
        boxes.append(box)
    # Nine blocks, one of them annotated.
    assert len(set(boxes)) == len(boxes) == 8


def test_stop_does_not_wait_for_the_answer_to_next(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = make_discs(640, 64)
    run = start(image)
    run.annotate(truth, box=((0, 64), (0, 64)))
    run.until(StepDone)
    looked = []
    maps = Previewer.maps

    def stopped_meanwhile(self: Any, *args: Any) -> Any:
        looked.append(args[-1])
        run._stopping = True
        return maps(self, *args)

    monkeypatch.setattr(Previewer, "maps", stopped_meanwhile)
    run.send(FindNext())
    run.until(Finished)
    assert len(looked) == 1
    assert looked[0][0][1] - looked[0][0][0] < 640
    assert not run.told(NextRegion)


# The end -----------------------------------------------------------------------------


def test_the_model_predicts_what_the_preview_showed(
    start: Any, make_discs: Any, tmp_path: Path
) -> None:
    import torch

    from napari_unet.data.normalization import NormalizationInfo, measure_range
    from napari_unet.prediction.predictor import Predictor

    image, truth = make_discs(96, 128)
    path = tmp_path / "a.bioimage.io.zip"
    run = start(image, autosave=path)
    run.look(show="probability", channel=1)
    run.annotate(truth)
    run.until_shown(steps=10)
    run.send(Pause())
    run.until(ModeChanged, lambda m: m.mode == "paused")
    run.look(show="probability", channel=1)
    run.send(Continue(), Pause())
    box = ((0, 96), (0, 127))
    run.look(box, show="probability", channel=1)
    run.until_shown(box)
    shown = run.shown(run.shared.map, box) / 255.0
    model = run.stop()
    loaded = Model.load(path)
    assert loaded.info.training.steps == model.info.training.steps >= 10
    assert loaded.info.training.annotated_voxels["background"] > 50
    predictor = Predictor(loaded.network, "classes", torch.device("cpu"), torch.float32)
    intensity = measure_range(run.source, NormalizationInfo())
    (tile,) = predictor.run(run.source, intensity, 0)
    difference = np.abs(tile.maps[1][:, :127] - shown)
    assert difference.mean() < 0.02
    assert np.quantile(difference, 0.99) < 0.1


@pytest.mark.parametrize("ndim", [2, 3])
def test_objects_from_a_few_and_background(
    start: Any, make_discs: Any, ndim: int
) -> None:
    shape = (96, 128) if ndim == 2 else (12, 64, 64)
    image, truth = make_discs(*shape)
    run = start(image, task="objects")
    run.look()
    for number in range(1, truth.max() if ndim == 2 else 4):
        run.labels[truth == number] = number + 1
    run.labels[..., 0:2, :] = np.where(truth[..., 0:2, :] == 0, 1, 0)
    run.labels[..., 30:34, :] = np.where(truth[..., 30:34, :] == 0, 1, 0)
    run.tell()
    first = run.until_shown()
    assert first.max() == truth.max()
    assert run.last.rows == (0, shape[-2])
    shown = run.until_shown(steps=20)
    # Each object is one, and in its place.
    for number in range(1, truth.max() + 1):
        mine = shown[truth == number]
        assert (mine == np.bincount(mine).argmax()).mean() > 0.8
        assert np.bincount(mine).argmax() > 0
    assert len(np.unique(shown)) - 1 <= 1.5 * truth.max()
    model = run.stop()
    assert model.info.task == "objects"
    assert model.info.decoder.min_size > 20


def test_it_rests_when_nothing_improves_and_wakes_with_a_stroke(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_VERDICTS", 0.0)
    monkeypatch.setattr(progress, "PATIENCE_STEPS", 5)
    losses = iter([0.5, 0.3] + [0.4] * 1000)
    monkeypatch.setattr(
        progress,
        "judge",
        lambda *a: Verdict(0.8, 0.7, 0.9, next(losses), "good"),
    )
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until(StepDone, lambda s: s.step == 2)
    run.until(ModeChanged, lambda m: m.mode == "resting")
    learner = run.session.learner
    assert learner.step_count == 7
    # What is kept is the best, not the last.
    for name, tensor in learner.average.network.unet.state_dict().items():
        assert tensor.equal(learner._best[f"unet.{name}"])
    assert run.told(LiveScore)[-1].text == "good"
    run.look(((0, 30), (0, 30)))
    run.until(Preview)
    assert learner.step_count == 7
    run.paint(1, slice(0, 2), slice(0, 20))
    run.until(ModeChanged, lambda m: m.mode == "learning")
    run.until(ModeChanged, lambda m: m.mode == "resting")
    run.send(Continue())
    run.until(ModeChanged, lambda m: m.mode == "learning")
    run.until(ModeChanged, lambda m: m.mode == "resting")
    run.send(StartAfresh())
    run.until(ModeChanged, lambda m: m.mode == "learning")


def test_without_a_verdict_time_decides(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_VERDICTS", 0.0)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    image, truth = make_discs(64, 64)
    run = start(image, config={"validation_fraction": 0.0})
    run.annotate(truth)
    run.until(ModeChanged, lambda m: m.mode == "resting")
    score = run.told(LiveScore)[0]
    assert score.score is None
    assert score.text.startswith("Too few annotations to tell")


# Trouble -----------------------------------------------------------------------------


def test_memory_runs_out_once_and_again(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = make_discs(64, 64)
    run = start(image, config={"batch_size": 4})
    run.annotate(truth)
    step = learning.LiveLearner._step
    fails = iter([True, False, True, True, False])

    def scarce(self: Any) -> float:
        if next(fails, False):
            raise MemoryError
        return step(self)

    monkeypatch.setattr(learning.LiveLearner, "_step", scarce)
    run.until(Notice)
    assert run.session.learner.batch_size == 2
    note = run.until(Notice).text
    assert note == "Memory ran out: smaller patches are used."
    assert run.session.learner.batch_size == 1
    run.until(StepDone, lambda s: s.step >= 4)
    monkeypatch.setattr(
        learning.LiveLearner, "_step", lambda self: (_ for _ in ()).throw(MemoryError)
    )
    with pytest.raises(MemoryError):
        run.until(StepDone, lambda s: s.step >= 9)


def test_memory_runs_out_in_a_preview(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = make_discs(256, 64)
    monkeypatch.setattr(screen, "STRIP_VOXELS", {"cpu": 2**14, "gpu": 1})
    maps = Previewer.maps

    def scarce(self: Any, patches: Any, sample: int, box: Any) -> Any:
        if box[0][1] - box[0][0] > 64:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return maps(self, patches, sample, box)

    monkeypatch.setattr(Previewer, "maps", scarce)
    run = start(image)
    run.look()
    run.annotate(truth)
    run.until_shown(steps=1)
    notes = {n.text for n in run.told(Notice)}
    assert notes == {"Memory ran out: previews come in smaller pieces."}
    assert run.last.rows == (192, 256)


def test_an_infinite_loss_starts_afresh_but_not_for_ever(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.look()
    run.annotate(truth)
    step = learning.LiveLearner._step
    losses = iter([1.0, float("nan"), 1.0])
    monkeypatch.setattr(
        learning.LiveLearner,
        "_step",
        lambda self: step(self) and next(losses, float("inf")),
    )
    assert run.until(Notice).text.endswith("learning starts afresh.")
    assert run.session.learner.step_count == 0
    run.until(ModeChanged, lambda m: m.mode == "paused")
    assert "again and again" in run.told(Notice)[-1].text
    run.until_shown()
    monkeypatch.setattr(learning.LiveLearner, "_step", step)
    run.send(Continue())
    run.until(StepDone, lambda s: s.step >= 2)
    for tensor in run.stop().network.state_dict().values():
        assert tensor.isfinite().all()


def test_a_full_disk_does_not_end_the_run(
    start: Any, make_discs: Any, tmp_path: Path
) -> None:
    image, truth = make_discs(64, 64)
    place = tmp_path / "folder"
    place.write_text("in the way")
    run = start(image, autosave=place / "a.bioimage.io.zip")
    run.annotate(truth)
    assert run.until(Notice).text.startswith("The work could not be saved")
    run.until(StepDone, lambda s: s.step >= 3)
    place.unlink()
    assert run.stop() is not None
    assert run.told(Saved)[-1].path == str(place / "a.bioimage.io.zip")
    Model.load(place / "a.bioimage.io.zip")


def test_advice_is_told_when_it_changes(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_ADVICE", 0.0)
    image, truth = make_discs(64, 64)
    run = start(image)
    run.paint(1, 1, slice(0, 40))
    run.paint(2, 16, slice(10, 20))
    run.until(Advice, lambda a: [h.kind for h in a.hints] == ["few strokes"] * 2)
    run.until(StepDone, lambda s: s.step >= 4)
    assert len(run.told(Advice)) == 1
    run.annotate(truth)
    run.until(Advice, lambda a: a.hints == ())


def test_weights_of_a_model_are_taken(start: Any, make_discs: Any) -> None:
    import torch

    image, truth = make_discs(64, 64)
    first = start(image)
    first.annotate(truth)
    first.until(StepDone, lambda s: s.step >= 3)
    model = first.stop()
    run = start(image, start=model)
    run.annotate(truth)
    run.look()
    run.until_shown()
    own = dict(run.session.learner.network.unet.state_dict())
    given = {
        k.removeprefix("unet."): v
        for k, v in model.network.state_dict().items()
        if k.startswith("unet.")
    }
    assert given
    assert all(torch.equal(own[k], v) for k, v in given.items())


def test_a_head_start_is_no_step_of_this_run(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starter(learner: Any) -> bool:
        learner.adopt({}, STARTER_STEPS)
        return True

    monkeypatch.setattr(session, "try_starter", starter)
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_VERDICTS", 0.0)
    image, truth = make_discs(64, 64)
    run = start(image, starter=True)
    run.annotate(truth)
    run.until(StepDone, lambda s: s.step >= 3)
    assert run.told(StepDone)[0].step == 1
    assert run.told(LiveScore)[0].step == 1
    assert run.session.learner.step_count > STARTER_STEPS
    assert run.stop().info.training.steps < STARTER_STEPS
    assert run.events[-1].step == run.model.info.training.steps


def test_percentiles_and_held_out_share_are_those_of_the_settings(
    start: Any, make_discs: Any
) -> None:
    image, truth = make_discs(64, 64)
    wishes = {"low_percentile": 10, "high_percentile": 90, "validation_fraction": 0.0}
    run = start(image, config=wishes)
    run.annotate(truth)
    run.until(StepDone)
    assert run.session.book.held_out() == []
    assert run.session.intensity.low == np.percentile(image, 10)
    stored = run.stop().info.normalization
    assert (stored.low, stored.high) == (10, 90)


def test_what_does_not_fit_of_a_model_is_told(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    first = start(image, config={"base_channels": 8})
    first.annotate(truth)
    first.until(StepDone)
    model = first.stop()
    run = start(image, start=model)
    run.annotate(truth)
    text = run.until(Notice).text
    assert text.startswith(f"Nothing of the model {model.info.name!r} fits")
    # A model of other classes is taken but for its last layer, which is no news.
    again = start(image, values=(1, 2, 3), start=model, config={"base_channels": 8})
    again.annotate(truth)
    again.paint(3, slice(0, 2), slice(0, 20))
    again.until(StepDone)
    assert not again.told(Notice)
