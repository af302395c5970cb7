"""Patches from images that lie on the device equal those that are read anew."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.config import Task
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes, object_classes
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.patch_cache import SHARE, cached_bytes, mirror
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.source import ImageSource

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _also_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SHARE, "cpu", 0.1)


def sampler(task: Task, ndim: int, patch: tuple[int, ...]) -> PatchSampler:
    rng = np.random.default_rng(0)
    shape = (6, 20, 24)[-ndim:]
    regions = []
    for seed in range(2):
        labels = np.zeros(shape, np.int32)
        labels[..., 2:8, 3:9] = 1
        labels[..., 9:15, 12:20] = 2 + seed
        source = ImageSource((rng.random((2, *shape)),), f"C{'ZYX'[-ndim:]}")
        box = tuple((1, n - 1) for n in shape)
        known = IntensityRange(np.float32([0.1, 0.2]), np.float32([0.8, 0.9]))
        regions.append(Region(Annotation(labels, source, "complete"), known, 0, box))
    classes = object_classes(0) if task == "objects" else make_classes([0, 1, 2, 3], 0)
    return PatchSampler(regions, task, classes, patch, (2,) * ndim)


@pytest.mark.parametrize("task", ["classes", "objects"])
@pytest.mark.parametrize(
    "patch", [(8, 8), (30, 8), (70, 70), (3, 8, 8), (16, 12, 40)], ids=str
)
def test_nothing_differs(task: Task, patch: tuple[int, ...]) -> None:
    read, cached = (sampler(task, len(patch), patch) for _ in range(2))
    assert cached.keep_on(CPU, 10**9)
    generators = [torch.Generator().manual_seed(1) for _ in range(2)]
    for _ in range(8):
        one = read.draw(3, generators[0])
        other = cached.draw(3, generators[1])
        assert torch.equal(one.image, other.image)
        assert one.image.dtype == other.image.dtype == torch.float32
        assert torch.equal(one.index, other.index)
        assert one.index.dtype == other.index.dtype
        assert (one.distance is None) == (other.distance is None)
        if one.distance is not None and other.distance is not None:
            assert torch.equal(one.distance, other.distance)


def test_a_batch_can_be_changed_without_changing_the_image() -> None:
    cached = sampler("objects", 2, (8, 8))
    cached.keep_on(CPU, 10**9)
    generator = torch.Generator().manual_seed(0)
    before = cached.draw(2, generator)
    kept = before.image.clone()
    for tensor in (before.image, before.index, before.distance):
        assert tensor is not None
        tensor.zero_()
    again = cached.draw(2, torch.Generator().manual_seed(0))
    assert torch.equal(again.image, kept)


def test_images_that_do_not_fit_are_left_where_they_are() -> None:
    made = sampler("classes", 2, (8, 8))
    assert not made.keep_on(CPU, 10_000)
    assert made.draw(1, torch.Generator()).image.shape == (1, 2, 12, 12)


def test_what_is_needed_is_what_is_allocated() -> None:
    made = sampler("objects", 3, (3, 8, 8))
    item = made._loaded[0]
    # Two channels and the distance in float32, the index in int16.
    assert cached_bytes(item.region, item.target) == 4 * 18 * 22 * (2 * 4 + 4 + 2)


def test_mirrored_like_numpy() -> None:
    for length in (1, 2, 5):
        places = np.arange(-9, length + 11)
        wanted = np.pad(np.arange(length), (9, 11), mode="reflect")
        np.testing.assert_array_equal(mirror(places, length), wanted)
