"""Variation of training patches, a whole batch at a time on the device.

One resampling does flips, turns, scaling, shear-free rotation and elastic deformation
together; intensities follow. Every draw comes from the generator that is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from napari_unet.config import AugmentationConfig
from napari_unet.data.annotation import UNANNOTATED
from napari_unet.data.sampling import Batch
from napari_unet.device import lacking

ELASTIC_GRID = 4
"""Control points of the deformation along each axis of a patch."""
ELASTIC_SIGMA = 0.02
"""Standard deviation of their displacement, as a share of the patch."""


class Augmentation:
    """Varies batches as `config` says.

    Parameters
    ----------
    config : AugmentationConfig
    patch_size : tuple
        (Z) Y X of the patches that come out; what goes in is larger by a margin.
    turnable : tuple of bool
        Per axis: whether patches may be turned in it. Coarsely sampled Z may not: it
        is flipped but never mixed with Y and X.
    """

    def __init__(
        self,
        config: AugmentationConfig,
        patch_size: tuple[int, ...],
        turnable: tuple[bool, ...],
    ) -> None:
        self.config = config
        self.patch_size = patch_size
        self.turnable = turnable

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """Varied patches of exactly `patch_size`."""
        home = batch.image.device
        if lacking(home, len(self.patch_size), ["resampling"]):
            # Patches are small: the network need not leave the device for them.
            batch = batch.to(torch.device("cpu"))
        batch = self._resample(batch, generator)
        image = self._intensity(batch.image, generator)
        return replace(batch, image=image).to(home)

    def _resample(self, batch: Batch, generator: Generator) -> Batch:
        grid = self._grid(batch.image, generator)
        image = F.grid_sample(
            batch.image, grid, padding_mode="reflection", align_corners=False
        )
        # grid_sample fills with 0 outside, and 0 has to mean "not annotated" then.
        index = F.grid_sample(
            (batch.index + 1).unsqueeze(1).float(),
            grid,
            mode="nearest",
            align_corners=False,
        )
        distance = None
        if batch.distance is not None:
            distance = F.grid_sample(
                batch.distance.unsqueeze(1), grid, align_corners=False
            ).squeeze(1)
        belief = batch.belief
        if belief is not None:
            belief = F.grid_sample(
                belief, grid, padding_mode="reflection", align_corners=False
            )
        index = index.squeeze(1).long() - 1
        values = batch.values
        if values is not None:
            index, values = _resample_values(values, batch.index, index, grid)
        weight = batch.weight
        if weight is not None:
            weight = F.grid_sample(weight.unsqueeze(1), grid, align_corners=False)
            weight = weight.squeeze(1)
        return Batch(image, index, distance, belief, values, weight)

    def _grid(self, image: Tensor, generator: Generator) -> Tensor:
        """Where in the input each output voxel is read, ``N (Z) Y X ndim``."""
        n, ndim, device = image.shape[0], len(self.patch_size), image.device
        drawn = torch.tensor(image.shape[2:], dtype=torch.float32)
        patch = torch.tensor(self.patch_size, dtype=torch.float32)
        matrix = self._matrices(n, generator)
        # From normalised output coordinates over voxels to normalised input ones.
        matrix = matrix * (patch / drawn.unsqueeze(1))
        # Torch counts coordinates X first, we count Z or Y first.
        matrix = matrix.flip(1, 2)
        theta = torch.cat([matrix, torch.zeros(n, ndim, 1)], dim=2).to(device)
        grid = F.affine_grid(theta, [n, 1, *self.patch_size], align_corners=False)
        bent = torch.rand(n, generator=generator) < self.config.elastic
        if bent.any():
            shape = [n, ndim, *([ELASTIC_GRID] * ndim)]
            coarse = torch.randn(shape, generator=generator) * ELASTIC_SIGMA * 2
            coarse *= (patch / drawn).flip(0).reshape(1, ndim, *([1] * ndim))
            if not all(self.turnable):
                coarse[:, ndim - 1] = 0.0
            coarse *= bent.reshape(n, *([1] * (ndim + 1)))
            mode = "bicubic" if ndim == 2 else "trilinear"
            field = F.interpolate(
                coarse.to(device), self.patch_size, mode=mode, align_corners=True
            )
            grid = grid + field.movedim(1, -1)
        return grid

    def _matrices(self, n: int, generator: Generator) -> Tensor:
        """Inverse linear maps of `n` patches in voxels, axes (Z) Y X."""
        c, ndim = self.config, len(self.patch_size)
        # All at once: on a GPU many small steps would cost more than the network.
        r = torch.rand(n, ndim + 5, generator=generator)
        matrix = torch.eye(ndim).repeat(n, 1, 1)
        if c.flip:
            matrix *= torch.where(r[:, :ndim] < 0.5, 1.0, -1.0).unsqueeze(2)
            if self._square():
                swapped = matrix.clone()
                swapped[:, [-1, -2]] = matrix[:, [-2, -1]]
                swap = (r[:, ndim] < 0.5).reshape(n, 1, 1)
                matrix = torch.where(swap, swapped, matrix)
        angle = math.radians(c.rotation_degrees) * (2 * r[:, ndim + 2] - 1)
        turn = torch.eye(ndim).repeat(n, 1, 1)
        turn[:, -2, -2] = turn[:, -1, -1] = angle.cos()
        turn[:, -2, -1], turn[:, -1, -2] = -angle.sin(), angle.sin()
        scale = 1 + c.scaling * (2 * r[:, ndim + 3] - 1)
        free = torch.tensor(self.turnable)
        factors = torch.where(free, 1 / scale.unsqueeze(1), 1.0)
        turned = (turn * factors.unsqueeze(2)) @ matrix
        chosen = (r[:, ndim + 1] < c.affine).reshape(n, 1, 1)
        return torch.where(chosen, turned, matrix)

    def _square(self) -> bool:
        return self.patch_size[-1] == self.patch_size[-2]

    def _intensity(self, image: Tensor, generator: Generator) -> Tensor:
        c, n = self.config, image.shape[0]
        shape = (n,) + (1,) * (image.ndim - 1)

        def uniform(low: float, high: float) -> Tensor:
            values = torch.rand(n, generator=generator) * (high - low) + low
            return values.reshape(shape).to(image.device)

        def chosen(share: float) -> Tensor:
            return (torch.rand(n, generator=generator) < share).reshape(shape)

        # Each is drawn whether used or not: the sequence of draws is then the same
        # for every batch, which makes runs easy to compare. What is chosen is asked on
        # the CPU: a GPU would have to finish first.
        blurred = chosen(c.blur)
        sigma = torch.rand(n, generator=generator) * 1.2 + 0.3
        if bool(blurred.any()):
            smooth = gaussian_blur(image, sigma.tolist())
            image = torch.where(blurred.to(image.device), smooth, image)
        changed = chosen(c.intensity).to(image.device)
        contrast, brightness = uniform(0.7, 1.3), uniform(-0.15, 0.15)
        gamma = uniform(-0.4, 0.4).exp()
        power = image.clamp(min=0).pow(gamma) + image.clamp(max=0)
        image = torch.where(changed, power * contrast + brightness, image)
        noisy, level = chosen(c.noise), uniform(0.0, 0.12)
        if bool(noisy.any()):
            noise = _noise(image, generator)
            image = image + noise * level * noisy.to(image.device)
        return image


def _noise(image: Tensor, generator: Generator) -> Tensor:
    """Normal noise like `image`, drawn where the image is."""
    if image.device.type == "cpu":
        return torch.randn(image.shape, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    own = torch.Generator(image.device).manual_seed(seed)
    return torch.randn(image.shape, generator=own, device=image.device)


def _resample_values(
    values: Tensor, annotated: Tensor, index: Tensor, grid: Tensor
) -> tuple[Tensor, Tensor]:
    """Index and values where `grid` says; no value is mixed with what is unknown.

    Parameters
    ----------
    values : Tensor, N V (Z) Y X
    annotated, index : Tensor, N (Z) Y X
        -1 where not annotated, before and after.
    """
    known = (annotated != UNANNOTATED).unsqueeze(1).float()
    # Weighted by what is known, then divided by how much of it there was.
    weight = F.grid_sample(known, grid, align_corners=False)
    found = F.grid_sample(values * known, grid, align_corners=False)
    found = found / weight.clamp(min=1e-3)
    index = torch.where(weight.squeeze(1) > 1e-3, index, UNANNOTATED)
    return index, found


def gaussian_blur(image: Tensor, sigma: Sequence[float]) -> Tensor:
    """Blur each patch of ``N C (Z) Y X`` with its own `sigma` in voxels (Y and X).

    Z is left alone: its sampling is often coarser than the blur.
    """
    n, c = image.shape[:2]
    radius = max(1, math.ceil(2.5 * max(sigma)))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernels = torch.exp(-0.5 * (x / torch.tensor(sigma).unsqueeze(1)) ** 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).to(image.device)
    depth = math.prod(image.shape[2:-2])
    # Patches become groups of one 2D convolution, planes of a stack its batch.
    planes = image.reshape(n * c, depth, *image.shape[-2:]).movedim(0, 1)
    weight = kernels.repeat_interleave(c, 0).unsqueeze(1)
    pad = [radius] * 4
    if min(image.shape[-2:]) > radius:
        planes = F.pad(planes, pad, mode="reflect")
    else:
        planes = F.pad(planes, pad, mode="replicate")
    planes = F.conv2d(planes, weight.unsqueeze(2), groups=n * c)
    planes = F.conv2d(planes, weight.unsqueeze(3), groups=n * c)
    return planes.movedim(1, 0).reshape(image.shape)
