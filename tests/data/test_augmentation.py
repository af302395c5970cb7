from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.config import AugmentationConfig
from napari_unet.data import augmentation
from napari_unet.data.augmentation import Augmentation, gaussian_blur
from napari_unet.data.sampling import Batch

NOTHING = AugmentationConfig(
    flip=False, affine=0, elastic=0, intensity=0, noise=0, blur=0
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(shape: tuple[int, ...], n: int = 4) -> Batch:
    """An image that shows its own target, so that both can be compared after."""
    index = torch.randint(-1, 3, (n, *[s // 4 for s in shape]), generator=generator())
    for axis in range(len(shape)):
        index = index.repeat_interleave(4, 1 + axis)
    image = index.unsqueeze(1).float()
    return Batch(image, index, (index == 1).float())


@pytest.mark.parametrize("patch", [(32, 32), (8, 32, 32)])
def test_nothing_chosen_cuts_the_middle_and_changes_nothing(patch) -> None:
    drawn = batch(tuple(p + 8 for p in patch))
    augment = Augmentation(NOTHING, patch, (True,) * len(patch))
    out = augment(drawn, generator())
    key = (..., *[slice(4, -4)] * len(patch))
    torch.testing.assert_close(out.image, drawn.image[key], atol=1e-3, rtol=0)
    assert torch.equal(out.index, drawn.index[key])


@pytest.mark.parametrize("patch", [(32, 32), (8, 32, 32), (8, 16, 32)])
def test_flips_move_voxels_and_keep_their_values(patch) -> None:
    drawn = batch(patch)
    config = NOTHING.model_copy(update={"flip": True})
    out = Augmentation(config, patch, (True,) * len(patch))(drawn, generator())
    assert not torch.equal(out.index, drawn.index)
    for before, after in zip(drawn.index, out.index, strict=True):
        assert torch.equal(
            before.flatten().sort().values, after.flatten().sort().values
        )
    torch.testing.assert_close(out.image[:, 0], out.index.float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("patch", [(64, 64), (16, 64, 64)])
def test_image_and_target_are_bent_alike(patch) -> None:
    drawn = batch(tuple(p + 16 for p in patch), n=6)
    config = NOTHING.model_copy(update={"flip": True, "affine": 1.0, "elastic": 1.0})
    out = Augmentation(config, patch, (len(patch) == 2, True, True)[-len(patch) :])(
        drawn, generator()
    )
    assert out.image.shape == (6, 1, *patch)
    known = out.index >= 0
    # Interpolated at edges between blocks, equal inside them.
    agree = ((out.image[:, 0] - out.index).abs() < 0.3)[known].float().mean()
    assert agree > 0.75
    assert set(out.index.unique().tolist()) == {-1, 0, 1, 2}


def test_coarse_z_is_never_mixed_with_y_and_x() -> None:
    planes = torch.arange(8.0).reshape(1, 1, 8, 1, 1).expand(4, 1, 8, 48, 48)
    drawn = Batch(planes.contiguous(), torch.zeros(4, 8, 48, 48).long(), None)
    config = NOTHING.model_copy(update={"flip": True, "affine": 1.0, "elastic": 1.0})
    out = Augmentation(config, (8, 32, 32), (False, True, True))(drawn, generator())
    spread = out.image.amax((3, 4)) - out.image.amin((3, 4))
    assert spread.max() < 1e-3


def test_what_was_outside_is_not_annotated() -> None:
    drawn = Batch(torch.ones(8, 1, 32, 32), torch.zeros(8, 32, 32).long(), None)
    config = NOTHING.model_copy(update={"affine": 1.0})
    out = Augmentation(config, (32, 32), (True, True))(drawn, generator())
    assert set(out.index.unique().tolist()) == {-1, 0}
    torch.testing.assert_close(out.image, torch.ones_like(out.image))


def test_the_same_generator_gives_the_same_patches() -> None:
    drawn = batch((40, 40))
    augment = Augmentation(AugmentationConfig(), (32, 32), (True, True))
    one, two = augment(drawn, generator(5)), augment(drawn, generator(5))
    assert torch.equal(one.image, two.image)
    other = augment(drawn, generator(6))
    assert not torch.equal(one.image, other.image)


@pytest.mark.parametrize("shape", [(2, 3, 40, 50), (2, 1, 5, 40, 50)])
def test_blur_agrees_with_scipy(shape: tuple[int, ...]) -> None:
    from scipy.ndimage import gaussian_filter1d

    image = torch.rand(shape, generator=generator())
    blurred = gaussian_blur(image, [0.8, 1.4])
    for n, sigma in enumerate([0.8, 1.4]):
        expected = image[n].numpy()
        for axis in (-2, -1):
            # scipy's "mirror" is torch's "reflect".
            expected = gaussian_filter1d(
                expected, sigma, axis=axis, mode="mirror", radius=4
            )
        np.testing.assert_allclose(blurred[n].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("patch", [(32, 32), (16, 32, 32)])
def test_what_is_held_true_is_bent_like_the_image(patch) -> None:
    drawn = batch(tuple(p + 8 for p in patch))
    smooth = torch.rand(4, 1, *[4] * len(patch), generator=generator())
    mode = "bilinear" if len(patch) == 2 else "trilinear"
    share = torch.nn.functional.interpolate(smooth, drawn.image.shape[2:], mode=mode)
    drawn = replace(drawn, image=share, belief=torch.cat([share, 1 - share], dim=1))
    config = NOTHING.model_copy(update={"flip": True, "affine": 1.0, "elastic": 1.0})
    out = Augmentation(config, patch, (len(patch) == 2, True, True)[-len(patch) :])(
        drawn, generator()
    )
    assert out.belief.shape == (4, 2, *patch)
    torch.testing.assert_close(out.belief[:, :1], out.image, atol=1e-4, rtol=0)
    # Beyond the border it is mirrored, never nothing: they stay probabilities.
    torch.testing.assert_close(
        out.belief.sum(1), torch.ones(4, *patch), atol=1e-4, rtol=0
    )
    assert not torch.equal(out.image, share[(..., *[slice(4, -4)] * len(patch))])


def test_intensities_change_but_not_what_is_held_true() -> None:
    drawn = batch((32, 32))
    drawn = replace(drawn, belief=torch.rand(4, 2, 32, 32, generator=generator()))
    config = NOTHING.model_copy(update={"intensity": 1.0, "noise": 1.0, "blur": 1.0})
    out = Augmentation(config, (32, 32), (True, True))(drawn, generator())
    torch.testing.assert_close(out.belief, drawn.belief, atol=1e-3, rtol=0)
    assert not torch.allclose(out.image, drawn.image, atol=1e-3)


def test_where_the_device_cannot_resample_the_cpu_does(monkeypatch) -> None:
    asked: list[tuple[str, int, list[str]]] = []

    def lacks(device: torch.device, ndim: int, operations: list[str]) -> list[str]:
        asked.append((device.type, ndim, operations))
        return operations

    moved: list[str] = []
    real = Batch.to

    def to(patches: Batch, device: torch.device) -> Batch:
        moved.append(device.type)
        return real(patches, device)

    augment = Augmentation(AugmentationConfig(), (16, 16), (True, True))
    expected = augment(batch((20, 20)), generator())
    monkeypatch.setattr(augmentation, "lacking", lacks)
    monkeypatch.setattr(Batch, "to", to)
    found = augment(batch((20, 20)), generator())
    assert asked == [("cpu", 2, ["resampling"])]
    assert moved == ["cpu", "cpu"]
    assert torch.equal(found.image, expected.image)


def test_a_batch_moves_as_a_whole() -> None:
    index = torch.zeros(1, 4, 4, dtype=torch.long)
    here = Batch(torch.rand(1, 1, 4, 4), index, None, values=torch.rand(1, 1, 4, 4))
    there = here.to(torch.device("meta"))
    assert {there.image.device.type, there.index.device.type} == {"meta"}
    assert there.values is not None
    assert there.values.device.type == "meta"
    assert there.distance is None
    assert here.to(torch.device("cpu")) is here
