"""The starter that comes with the package."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_unet.data.source import ImageSource
from napari_unet.live import starters
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


def begun(start: Any, image: np.ndarray, mask: np.ndarray, **options: Any) -> Any:
    run = start(image, starter=True, config=AS_USUAL, **options)
    run.annotate(mask.astype(np.int32))
    run.look()
    run.until_shown()
    return run.session


def begins_with_starter(session: Any) -> bool:
    started: bool = session.progress.head_start > 0
    return started


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


def test_a_run_on_nuclei_begins_with_it(start: Any, nuclei: Any) -> None:
    assert begins_with_starter(begun(start, *nuclei))


def test_channels_are_no_hindrance(start: Any, nuclei: Any) -> None:
    image, mask = nuclei
    colours = np.stack([image, image], axis=-1)
    assert begins_with_starter(begun(start, colours, mask, axes="YXC"))


def test_a_run_on_something_else_begins_from_scratch(start: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    stripes = (np.arange(128) // 16 % 2 == 1) & np.ones((128, 1), bool)
    assert not begins_with_starter(begun(start, noise, stripes))


def test_a_package_without_starter_begins_from_scratch(
    start: Any, nuclei: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starters, "STARTER", STARTER.with_name("none.unet.zip"))
    assert not begins_with_starter(begun(start, *nuclei))
