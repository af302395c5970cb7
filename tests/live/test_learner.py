from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet.data.sampling import Batch
from napari_unet.errors import ConfigError, DataError
from napari_unet.live import strokes
from napari_unet.live.losses import objects_strokes_loss, strokes_loss
from napari_unet.training.checkpoint import Checkpoint
from napari_unet.training.events import StepDone


def batch(shape: tuple[int, ...] = (2, 8, 8), k: int = 3, **options: Any) -> Batch:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(-1, k, shape, generator=generator)
    index[:, : shape[1] // 2] = -1
    belief = torch.rand(shape[0], k, *shape[1:], generator=generator).softmax(1)
    distance = torch.rand(shape, generator=generator)
    parts = {"index": index, "belief": belief, "distance": distance} | options
    return Batch(image=torch.zeros(shape[0], 1, *shape[1:]), **parts)


def gradient(loss: Any, logits: torch.Tensor, *args: Any) -> torch.Tensor:
    logits = logits.detach().clone().requires_grad_()
    loss(logits, *args, 0.5).backward()
    assert logits.grad is not None
    return logits.grad


@pytest.mark.parametrize("loss", [strokes_loss, objects_strokes_loss])
def test_where_nothing_is_annotated_the_belief_is_the_only_target(loss: Any) -> None:
    """There, a network that agrees with the classifier is left alone."""
    k = 3 if loss is strokes_loss else 2
    given = batch(k=k)
    assert given.belief is not None
    free = given.index < 0
    if loss is strokes_loss:
        logits = given.belief.log()
    else:
        odds = given.belief[:, 1:].log() - given.belief[:, :1].log()
        # Belief is never below 0.2 here, so that no centre is asked for.
        logits = torch.cat([odds, torch.randn(odds.shape)], dim=1)
        sure = given.belief.clamp(0.3, 0.7)
        given = batch(k=k, belief=sure)
        odds = sure[:, 1:].log() - sure[:, :1].log()
        logits = torch.cat([odds, logits[:, 1:]], dim=1)
    found = gradient(loss, logits, given, torch.ones(k))
    where = free.unsqueeze(1).expand_as(found)
    assert found[where].abs().max() < 1e-6
    assert found[~where].abs().max() > 1e-4


def test_annotated_pixels_have_no_soft_target() -> None:
    given = batch()
    sure = torch.zeros_like(given.belief) + 1e-3
    other = batch(belief=torch.where(given.index.unsqueeze(1) < 0, given.belief, sure))
    logits = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    args = (torch.ones(3),)
    assert torch.equal(
        gradient(strokes_loss, logits, given, *args),
        gradient(strokes_loss, logits, other, *args),
    )


def test_weights_make_rare_classes_count() -> None:
    given = batch()
    logits = torch.zeros(2, 3, 8, 8)
    even = gradient(strokes_loss, logits, given, torch.ones(3))
    rare = gradient(strokes_loss, logits, given, torch.tensor([1.0, 1.0, 5.0]))
    here = given.index == 2
    assert rare[:, 2][here].abs().sum() > 1.5 * even[:, 2][here].abs().sum()


def test_strokes_that_are_known_teach_nothing_more() -> None:
    """Exceptions that are learnt by heart would spread to where they are none."""
    index = torch.zeros(1, 1, 2, dtype=torch.int64)
    given = batch((1, 1, 2), 2, index=index)
    logits = torch.zeros(1, 2, 1, 2)
    logits[0, 0] = torch.tensor([1.5, 3.0])  # 0.82 and 0.95 for the right class
    found = gradient(strokes_loss, logits, given, torch.ones(2)).abs().sum(1)[0, 0]
    assert found[0] > 0.01
    assert found[1] == 0


@pytest.mark.parametrize("loss", [strokes_loss, objects_strokes_loss])
@pytest.mark.parametrize("value", [-1, 0, 1])
def test_gradients_are_finite_whatever_is_annotated(loss: Any, value: int) -> None:
    index = torch.full((2, 8, 8), value)
    k = 3 if loss is strokes_loss else 2
    for belief in (0.0, 1.0):
        held = torch.full((2, k, 8, 8), belief)
        given = batch(k=k, index=index, belief=held)
        for size in (0.0, 1e4):
            logits = size * torch.randn(
                2, k, 8, 8, generator=torch.Generator().manual_seed(1)
            )
            assert gradient(loss, logits, given, torch.ones(k)).isfinite().all()


def test_centres_are_asked_for_in_objects_and_in_sure_background_alone() -> None:
    index = torch.full((1, 4, 4), -1)
    index[0, 0], index[0, 1] = 1, 0
    belief = torch.full((1, 2, 4, 4), 0.5)
    belief[0, 1, 2], belief[0, 0, 2] = 0.05, 0.95
    given = batch((1, 4, 4), 2, index=index, belief=belief)
    found = gradient(
        objects_strokes_loss, torch.zeros(1, 2, 4, 4), given, torch.ones(2)
    )
    centre = found[0, 1].abs().amax(dim=1)
    assert (centre[:3] > 0).all()
    assert centre[3] == 0


# The learner -------------------------------------------------------------------------


@pytest.fixture
def learnt(start: Any, make_discs: Any) -> Any:
    """A run that has learnt a little."""
    image, truth = make_discs(64, 96)
    run = start(image)
    run.annotate(truth)
    run.until(StepDone, lambda s: s.step >= 3)
    return run


def test_a_checkpoint_is_the_whole_state(
    learnt: Any, start: Any, tmp_path: Any
) -> None:
    first = learnt.session.learner
    first.remember_best()
    path = tmp_path / "run.checkpoint"
    first.checkpoint().save(path)
    other = start(learnt.source.arrays[0], labels=learnt.labels)
    other.tell()
    other.until(StepDone)
    second = other.session.learner
    second.resume(Checkpoint.load(path))
    assert second.step_count == first.step_count
    assert second.since_strokes <= first.since_strokes
    for a, b in (
        (first.network.unet, second.network.unet),
        (first.average.network.unet, second.average.network.unet),
    ):
        for name, tensor in a.state_dict().items():
            assert torch.equal(b.state_dict()[name], tensor), name
    first.return_to_best()
    second.return_to_best()
    # The optimiser's memory, too: both take the same step.
    state = first.generator.get_state()
    second.generator.set_state(state)
    for own, mine in zip(
        first.optimizer.state.values(), second.optimizer.state.values(), strict=True
    ):
        for name in ("step", "exp_avg", "exp_avg_sq"):
            assert torch.equal(own[name], mine[name])


def test_a_checkpoint_of_another_network_is_one_sentence(
    learnt: Any, start: Any
) -> None:
    state = learnt.session.learner.checkpoint()
    image = learnt.source.arrays[0]
    other = start(image, labels=learnt.labels, config={"base_channels": 6})
    other.tell()
    other.until(StepDone)
    with pytest.raises(DataError, match="other settings, channels or classes"):
        other.session.learner.resume(state)


def test_everything_annotated_is_no_trouble(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    run = start(image)
    run.labels[:] = np.where(truth > 0, 2, 1)
    run.tell()
    run.until(StepDone, lambda s: s.step >= 3)
    run.paint(2, slice(0, 3), slice(0, 3))
    run.until(StepDone, lambda s: s.step >= 6)
    assert math.isfinite(run.told(StepDone)[-1].loss)


def test_a_patch_of_the_wrong_dimensions_is_one_sentence(
    start: Any, make_discs: Any
) -> None:
    image, truth = make_discs(64, 64)
    run = start(image, config={"patch_size": (16, 32, 32)})
    run.annotate(truth)
    with pytest.raises(ConfigError, match="one number per axis"):
        run.until(StepDone)


def test_runs_with_one_seed_are_alike(start: Any, make_discs: Any) -> None:
    image, truth = make_discs(64, 64)
    losses = []
    for _ in range(2):
        run = start(image, config={"seed": 3})
        run.annotate(truth)
        run.until(StepDone, lambda s: s.step >= 4)
        losses.append([s.loss for s in run.told(StepDone)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


def test_the_trust_in_the_unet_grows_from_nothing(learnt: Any) -> None:
    network = learnt.session.learner.average.network
    early = float(network.trust)
    assert 0 < early < 0.2
    learnt.until(StepDone, lambda s: s.step >= 8)
    assert early < float(network.trust) < 0.5


def test_class_weights_know_all_voxels_of_a_large_fill(
    start: Any, make_discs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strokes, "MAX_POINTS", 50)
    image, truth = make_discs(64, 64)
    run = start(image, config={"validation_fraction": 0.0})
    run.labels[:] = np.where(truth > 0, 0, 1)
    run.labels[truth == 1] = 2
    run.tell()
    run.until(StepDone)
    background, disc = run.session.book.voxels().tolist()
    weights = run.session.learner._weights
    assert background > 5 * disc > 5 * 50
    assert float(weights[1] / weights[0]) == pytest.approx(
        math.sqrt(background / disc), rel=1e-3
    )
