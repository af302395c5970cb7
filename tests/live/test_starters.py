"""The starter that comes with the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from napari_unet.data.source import ImageSource
from napari_unet.live import session, starters
from napari_unet.live.starters import STARTER, load_starter
from napari_unet.sample_data import nuclei_2d
from napari_unet.workflows import exhaust, predict

ALL_STARTERS = 10 * 2**20
"""Bytes that starters may add to the package."""

AS_USUAL = {"base_channels": 16, "levels": None, "patch_size": (128, 128)}
"""The network of a live run on a CPU, not the small one of other tests."""


@pytest.fixture
def nuclei() -> tuple[np.ndarray, np.ndarray]:
    """An image of nuclei, and which pixels are nuclei."""
    sample = nuclei_2d(shape=(192, 192))
    return sample.image, sample.labels > 0


@dataclass
class Beginning:
    """What a run began with, before its first step."""

    started: bool = False
    trunk: bool = False
    """Whether a layer deep inside is that of the starter …"""
    head: bool = False
    """… and the last one, too."""


@pytest.fixture
def beginning(start: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Begin a run on an image whose foreground is known."""
    found = Beginning()
    model = load_starter()
    assert model is not None
    theirs: Any = model.network.unet

    def look(learner: Any) -> bool:
        found.started = starters.try_starter(learner)
        own = learner.network.unet
        deep, their_deep = (net.encoder[-1][0][0].weight for net in (own, theirs))
        if deep.shape == their_deep.shape:
            found.trunk = torch.equal(deep, their_deep)
            answer = theirs.head.weight[:, 0] / 2
            found.head = torch.equal(own.head.weight[:, 1], answer)
        return found.started

    monkeypatch.setattr(session, "try_starter", look)

    def begin(image: np.ndarray, mask: np.ndarray, **options: Any) -> Beginning:
        config = AS_USUAL if mask.ndim == 2 else None
        run = start(image, starter=True, config=config, **options)
        run.annotate(mask.astype(np.int32))
        run.look()
        run.until_shown()
        return found

    return begin


def test_it_is_small() -> None:
    assert STARTER.is_file()
    assert sum(p.stat().st_size for p in STARTER.parent.iterdir()) < ALL_STARTERS


def test_it_segments_nuclei_at_once(nuclei: Any) -> None:
    image, mask = nuclei
    model = load_starter()
    assert model is not None
    assert model.info.task == "objects"
    assert {t.dtype for t in model.network.parameters()} == {torch.float32}
    found = exhaust(predict(model, ImageSource((image,), "YX"))).labels
    dice = 2 * (mask & (found > 0)).sum() / (mask.sum() + (found > 0).sum())
    assert dice > 0.85


def test_a_run_on_nuclei_begins_with_all_of_it(beginning: Any, nuclei: Any) -> None:
    assert beginning(*nuclei) == Beginning(started=True, trunk=True, head=True)


def test_channels_are_no_hindrance(beginning: Any, nuclei: Any) -> None:
    image, mask = nuclei
    colours = np.stack([image, image], axis=-1)
    assert beginning(colours, mask, axes="YXC").trunk


def test_where_it_is_wrong_its_answer_is_left_out(beginning: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    stripes = (np.arange(128) // 16 % 2 == 1) & np.ones((128, 1), bool)
    assert beginning(noise, stripes) == Beginning(started=True, trunk=True)


def test_a_volume_begins_from_scratch(beginning: Any, nuclei: Any) -> None:
    image, mask = (np.stack([a[:64, :64]] * 16) for a in nuclei)
    assert beginning(image, mask) == Beginning()


def test_a_package_without_starter_begins_from_scratch(
    beginning: Any, nuclei: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starters, "STARTER", STARTER.with_name("none.unet.zip"))
    assert not beginning(*nuclei).started
