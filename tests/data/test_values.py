from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_unet.config import AugmentationConfig, training_config
from napari_unet.data.augmentation import Augmentation
from napari_unet.data.checks import training_problems, value_summary
from napari_unet.data.normalization import NormalizationInfo, measure_range
from napari_unet.data.sampling import Batch, PatchSampler, Region
from napari_unet.data.source import ImageSource
from napari_unet.data.split import split_annotations
from napari_unet.data.targets import make_target
from napari_unet.data.values import ValueAnnotation, measure_spread
from napari_unet.errors import AnnotationError


def values(array: np.ndarray, name: str = "a") -> ValueAnnotation:
    image = np.random.default_rng(0).random(array.shape, np.float32)
    return ValueAnnotation(
        array, ImageSource((image,), "TZYX"[-array.ndim :], name=name)
    )


def test_nan_and_infinity_are_not_annotated():
    array = np.arange(48, dtype=np.float64).reshape(6, 8)
    array[0, :3] = np.nan, np.inf, 1e300  # the last one is infinite in 32 bits
    annotation = values(array)
    index = annotation.read(0)
    assert (index[0, :3] == -1).all()
    assert (index.ravel()[3:] == 0).all()
    target = make_target(annotation, 0, "regression", [])
    assert target.values.shape == (1, 6, 8)
    assert np.isfinite(target.values).all()
    np.testing.assert_array_equal(target.values[0, 1:], array[1:])
    assert annotation.count_values() == {0: 45}


def test_whole_numbers_are_values():
    annotation = values(np.array([[0, 3], [7, 255]], np.uint8))
    assert annotation.count_values() == {0: 4}
    assert annotation.read_values(0).tolist() == [[0, 3], [7, 255]]


def test_targets_that_do_not_fit_are_told():
    source = ImageSource((np.zeros((4, 5)),), "YX", name="cells")
    with pytest.raises(AnnotationError, match=r"'cells' has the shape \(5, 4\)"):
        ValueAnnotation(np.zeros((5, 4)), source)
    with pytest.raises(AnnotationError, match="complex"):
        ValueAnnotation(np.zeros((4, 5), complex), source)


@pytest.mark.parametrize(
    ("array", "sentence"),
    [
        (np.full((8, 8), np.nan), "every pixel is NaN"),
        (np.full((8, 8), 2.5), "2.5 everywhere"),
        (np.eye(8), None),
    ],
)
def test_what_cannot_be_learnt_is_told_before_training(array, sentence):
    problems = training_problems([values(array)], training_config(task="regression"))
    assert bool(problems) == bool(sentence)
    if sentence:
        assert sentence in problems[0]


def test_a_summary_says_where_the_values_lie():
    array = np.linspace(0, 12.5, 100).reshape(10, 10)
    assert value_summary(array) == "values from 0 to 12.5"
    array[:5] = np.nan
    assert value_summary(array).endswith("; 50% is NaN and not annotated")
    assert value_summary(np.full((3, 3), np.nan)) == "no value"


def test_the_spread_is_that_of_the_values_in_the_boxes():
    array = np.full((10, 10), np.nan, np.float32)
    array[:5] = np.random.default_rng(0).normal(1e4, 3.0, (5, 10))
    found = measure_spread([(values(array), 0, ((0, 10), (0, 5)))])
    inside = array[:5, :5].astype(float)
    assert found.offset == pytest.approx(inside.mean())
    assert found.scale == pytest.approx(inside.std())
    assert measure_spread([(values(np.ones((4, 4))), 0, ((0, 4), (0, 4)))]).scale == 1
    with pytest.raises(AnnotationError, match="holds no value"):
        measure_spread([(values(array), 0, ((5, 10), (0, 10)))])


def test_one_image_is_cut_so_that_both_sides_hold_values():
    array = np.full((64, 200), np.nan, np.float32)
    array[:, 20:180] = 1.0
    split = split_annotations([values(array)], "regression", 0.2, 0)
    for part in (*split.training, *split.validation):
        assert part.annotation.read(part.sample, part.box).max() == 0
    assert split.note is None


def sampler(array: np.ndarray, patch: tuple[int, ...]) -> PatchSampler:
    annotation = values(array)
    intensity = measure_range(annotation.source, NormalizationInfo())
    whole = tuple((0, n) for n in array.shape)
    region = Region(annotation, intensity, 0, whole)
    return PatchSampler([region], "regression", [], patch, (0,) * len(patch))


@pytest.mark.parametrize("shape", [(20, 24), (8, 20, 24)])
def test_patches_hold_values_where_the_index_says_so(shape):
    array = np.random.default_rng(1).normal(5, 1, shape).astype(np.float32)
    array[..., :6] = np.nan
    patch = (8, 16, 16)[-len(shape) :]
    batch = sampler(array, patch).draw(6, torch.Generator().manual_seed(0))
    assert batch.values.shape == (6, 1, *patch)
    assert batch.distance is None
    known = batch.index == 0
    assert (batch.values[:, 0][known] > 0).all()
    assert (batch.values[:, 0][~known] == 0).all()
    assert known.any()


def test_patches_larger_than_the_image_hold_nothing_beyond_it():
    array = np.full((10, 12), 3.0, np.float32)
    array[0, 0] = 4.0
    batch = sampler(array, (16, 16)).draw(1, torch.Generator().manual_seed(0))
    assert int((batch.index == 0).sum()) == 120
    assert (batch.values[:, 0][batch.index < 0] == 0).all()


@pytest.mark.parametrize("patch", [(32, 32), (8, 32, 32)])
def test_bent_and_turned_values_are_never_mixed_with_unknown_ones(patch):
    """A constant stays that constant, however close the border of what is known."""
    config = AugmentationConfig(affine=1.0, elastic=1.0, intensity=0, noise=0, blur=0)
    generator = torch.Generator().manual_seed(3)
    shape = tuple(n + 8 for n in patch)
    index = torch.where(torch.rand(4, *shape, generator=generator) < 0.7, 0, -1)
    drawn = torch.where(index == 0, 7.0, 0.0).unsqueeze(1)
    batch = Batch(torch.rand(4, 1, *shape), index, None, values=drawn)
    turnable = (len(patch) == 2, True, True)[-len(patch) :]
    out = Augmentation(config, patch, turnable)(batch, generator)
    known = out.index == 0
    assert known.any()
    assert (~known).any()
    torch.testing.assert_close(
        out.values[:, 0][known], torch.full_like(out.values[:, 0][known], 7.0)
    )


def test_flips_move_values_with_their_pixels():
    config = AugmentationConfig(preset="none", flip=True)
    image = torch.rand(8, 1, 16, 16)
    batch = Batch(image, torch.zeros(8, 16, 16).long(), None, values=image * 10)
    out = Augmentation(config, (16, 16), (True, True))(
        batch, torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(out.values, out.image * 10, rtol=1e-4, atol=1e-4)
    assert not torch.equal(out.image, image)
