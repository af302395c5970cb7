from __future__ import annotations

import numpy as np
import torch

from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import make_classes
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.source import ImageSource


def sampler(
    image: np.ndarray,
    labels: np.ndarray,
    patch: tuple[int, ...],
    *,
    task: str = "classes",
    rule: str = "sparse",
    margin: int = 0,
    box: object = None,
) -> PatchSampler:
    source = ImageSource((image,), "ZYX"[3 - image.ndim :])
    one = Annotation(labels, source, rule)
    whole = tuple((0, n) for n in image.shape)
    region = Region(one, measure_range(source, NormalizationInfo()), 0, box or whole)
    values = [v for v in one.count_values() if v != one.background_value]
    classes = make_classes(values, one.background_value)
    return PatchSampler([region], task, classes, patch, (margin,) * len(patch))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_a_class_of_ten_pixels_is_in_every_second_patch_or_more() -> None:
    labels = np.ones((400, 400), np.int32)
    labels[200, 200:210] = 2
    drawn = sampler(np.zeros((400, 400)), labels, (32, 32)).draw(200, generator())
    with_rare = (drawn.index == 1).flatten(1).any(1).float().mean()
    # A quarter is drawn around it on purpose; by chance it would be one in a hundred.
    assert 0.15 < with_rare < 0.4


def test_every_patch_holds_annotation_however_sparse() -> None:
    labels = np.zeros((60, 500, 500), np.int32)
    labels[30, 100, 100:120], labels[31, 400, 400:420] = 1, 2
    drawn = sampler(np.zeros(labels.shape), labels, (8, 32, 32)).draw(50, generator())
    assert drawn.image.shape == (50, 1, 8, 32, 32)
    assert (drawn.index >= 0).flatten(1).any(1).all()


def test_image_and_target_stay_together_also_beyond_the_border() -> None:
    image = np.random.default_rng(0).integers(0, 4, (50, 41)).astype(np.uint8)
    drawn = sampler(image, image + 1, (24, 64), margin=6).draw(40, generator())
    assert drawn.image.shape == (40, 1, 36, 76)
    known = drawn.index >= 0
    # Values 0 … 3 are normalised in order, and are the classes.
    levels = torch.unique(drawn.image)
    assert len(levels) == 4
    rank = torch.bucketize(drawn.image[:, 0], levels)
    assert torch.equal(rank[known], drawn.index[known])
    assert not known.all()


def test_patches_stay_in_their_region() -> None:
    image = np.zeros((64, 64), np.float32)
    image[:, 32:] = 1  # held out: must never be seen
    labels = np.random.default_rng(0).integers(1, 3, (64, 64))
    region = ((0, 64), (0, 32))
    drawn = sampler(image, labels, (32, 32), margin=10, box=region).draw(
        60, generator()
    )
    assert (drawn.image == 0).all()


def test_distance_comes_with_objects() -> None:
    labels = np.zeros((64, 64), np.int32)
    labels[10:30, 10:30] = 3
    drawn = sampler(
        np.zeros((64, 64)), labels, (32, 32), task="objects", rule="complete"
    ).draw(8, generator())
    assert drawn.distance is not None
    assert ((drawn.distance > 0) == (drawn.index == 1)).all()


def test_big_endian_and_boolean_images_are_read() -> None:
    for dtype in (">u2", bool, "f2", "i8"):
        image = np.eye(40).astype(dtype)
        labels = np.random.default_rng(0).integers(1, 3, (40, 40))
        drawn = sampler(image, labels, (16, 16)).draw(2, generator())
        assert drawn.image.dtype == torch.float32
        assert torch.isfinite(drawn.image).all()
