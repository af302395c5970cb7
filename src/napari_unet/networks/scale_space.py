"""Features of pixels at several scales: what a person would call bright, edgy, tubular.

Fixed, not learnt: Gaussian smoothing (Lindeberg 1994), gradient magnitude and the
eigenvalues of the Hessian (Frangi et al. 1998), scale-normalised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.networks.blocks import Size

SIGMAS = (0.7, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Scales in voxels of the finest axis."""
COARSEST = 2.0
"""Scales above this many voxels are computed on a coarser grid."""
TRUNCATE = 3.0
"""Reach of a Gaussian in standard deviations."""

_F: Any = F
_POOL = {2: _F.avg_pool2d, 3: _F.avg_pool3d}
_CONVOLVE = {2: _F.conv2d, 3: _F.conv3d}


class ScaleSpace(nn.Module):
    """Image ``N C (Z) Y X`` to features ``N F (Z) Y X``, always in float32.

    The first features are the image itself; then, scale by scale, come the smoothed
    image, the gradient magnitude and the eigenvalues of the Hessian, largest first.

    Parameters
    ----------
    n_in : int
        Channels of the image.
    sigmas : sequence of float
        Scales in voxels of the finest axis.
    spacing : sequence of float
        Voxel size along (Z) Y X over the smallest one.

    Notes
    -----
    Sizes have to be divisible by :attr:`divisor`.
    """

    def __init__(
        self, n_in: int, sigmas: Sequence[float], spacing: Sequence[float]
    ) -> None:
        super().__init__()
        self.n_in = n_in
        self.ndim = len(spacing)
        self.sigmas = tuple(float(s) for s in sigmas)
        self.spacing = tuple(float(s) for s in spacing)
        self.n_out = n_in * (1 + len(self.sigmas) * (2 + self.ndim))

    @property
    def divisor(self) -> Size:
        """What sizes along (Z) Y X must be divisible by."""
        steps = [self._steps(sigma) for sigma in self.sigmas]
        return tuple(max(s[axis] for s in steps) for axis in range(self.ndim))

    @property
    def reach(self) -> Size:
        """Voxels along (Z) Y X on which a feature may depend on either side."""
        reaches = []
        for axis in range(self.ndim):
            far = 0
            for sigma in self.sigmas:
                step = self._steps(sigma)[axis]
                radius = math.ceil(TRUNCATE * self._residual(sigma, axis))
                # The blur, one more for derivatives, one for coming back up.
                far = max(far, (radius + 1 + (step > 1)) * step)
            reaches.append(far)
        return tuple(reaches)

    def _steps(self, sigma: float) -> Size:
        """How much coarser along each axis a scale is computed: powers of two."""
        return tuple(
            2 ** max(0, math.ceil(math.log2(sigma / size / COARSEST)))
            for size in self.spacing
        )

    def _residual(self, sigma: float, axis: int) -> float:
        """Blur along an axis that is left to do on the coarser grid, in its voxels."""
        step = self._steps(sigma)[axis]
        # Averaging over `step` voxels has blurred by their variance already.
        variance = (sigma / self.spacing[axis]) ** 2 - (step**2 - 1) / 12
        return math.sqrt(max(variance, 0.0)) / step

    def forward(self, image: Tensor) -> Tensor:
        """Features of an image ``N C (Z) Y X``."""
        with torch.autocast(image.device.type, enabled=False):
            image = image.float().contiguous()
            parts = [image]
            parts += [p for sigma in self.sigmas for p in self._scale(image, sigma)]
            return torch.cat(parts, dim=1)

    def _scale(self, image: Tensor, sigma: float) -> list[Tensor]:
        steps = self._steps(sigma)
        coarse = image
        if max(steps) > 1:
            coarse = _POOL[self.ndim](image, steps)
        widths = [self._residual(sigma, axis) for axis in range(self.ndim)]
        smooth = gaussian(coarse, widths)
        # In units of the scale, so that all scales have values of one size.
        units = [sigma / (s * d) for s, d in zip(self.spacing, steps, strict=True)]
        gradient, hessian = _derivatives(smooth, units)
        features = [smooth, gradient, *_eigenvalues(hessian)]
        if max(steps) > 1:
            size = image.shape[2:]
            mode = "bilinear" if self.ndim == 2 else "trilinear"
            features = [
                F.interpolate(f, size, mode=mode, align_corners=False) for f in features
            ]
        return features


def gaussian(image: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Blur ``N C (Z) Y X`` by `sigmas` in voxels along (Z) Y X; borders repeat."""
    ndim, channels = len(sigmas), image.shape[1]
    for axis, sigma in enumerate(sigmas):
        if sigma < 0.3:
            continue  # less than a voxel sees
        radius = math.ceil(TRUNCATE * sigma)
        x = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
        kernel = torch.exp(-0.5 * (x / sigma) ** 2)
        shape = [1] * (ndim + 2)
        shape[2 + axis] = -1
        weight = (kernel / kernel.sum()).reshape(shape)
        padding = [0] * (2 * ndim)
        padding[2 * (ndim - 1 - axis)] = padding[2 * (ndim - 1 - axis) + 1] = radius
        padded = F.pad(image, padding, mode="replicate")
        weight = weight.expand(channels, *([-1] * (ndim + 1)))
        image = _CONVOLVE[ndim](padded, weight, groups=channels)
    return image


def _derivatives(
    image: Tensor, units: Sequence[float]
) -> tuple[Tensor, list[list[Tensor]]]:
    """Gradient magnitude, and the second derivatives as a matrix."""
    ndim = len(units)
    padded = F.pad(image, [1] * (2 * ndim), mode="replicate")

    def at(*offset: int) -> Tensor:
        key: Any = (..., *(slice(1 + o, n - 1 + o) for o, n in zip(
            offset, padded.shape[2:], strict=True)))  # fmt: skip
        shifted: Tensor = padded[key]
        return shifted

    def unit(axis: int, sign: int = 1) -> list[int]:
        return [sign * (a == axis) for a in range(ndim)]

    squares = torch.zeros_like(image)
    hessian: list[list[Tensor]] = [[image] * ndim for _ in range(ndim)]
    for i, u in enumerate(units):
        forward, backward = at(*unit(i)), at(*unit(i, -1))
        squares += ((forward - backward) * (u / 2)) ** 2
        hessian[i][i] = (forward + backward - 2 * image) * u**2
        for j in range(i + 1, ndim):
            mixed = torch.zeros_like(image)
            for si in (1, -1):
                for sj in (1, -1):
                    both = [
                        a + b for a, b in zip(unit(i, si), unit(j, sj), strict=True)
                    ]
                    mixed += si * sj * at(*both)
            hessian[i][j] = mixed * (u * units[j] / 4)
    return squares.sqrt(), hessian


def _eigenvalues(hessian: list[list[Tensor]]) -> list[Tensor]:
    """Eigenvalues of symmetric 2 × 2 or 3 × 3 matrices, largest first.

    In closed form (Smith 1961), since a solver per voxel would take seconds.
    """
    if len(hessian) == 2:
        mean = (hessian[0][0] + hessian[1][1]) / 2
        half = (hessian[0][0] - hessian[1][1]) / 2
        # Not `hypot`, which ONNX does not have.
        root = (half * half + hessian[0][1] * hessian[0][1]).sqrt()
        return [mean + root, mean - root]
    a, b, c = hessian[0][0], hessian[1][1], hessian[2][2]
    d, e, f = hessian[0][1], hessian[1][2], hessian[0][2]
    mean = (a + b + c) / 3
    a, b, c = a - mean, b - mean, c - mean
    p = ((a * a + b * b + c * c + 2 * (d * d + e * e + f * f)) / 6).sqrt()
    safe = p.clamp(min=1e-12)
    determinant = a * (b * c - e * e) - d * (d * c - e * f) + f * (d * e - b * f)
    angle = (determinant / (2 * safe**3)).clamp(-1, 1).arccos() / 3
    first = mean + 2 * p * angle.cos()
    last = mean + 2 * p * (angle + 2 * math.pi / 3).cos()
    return [first, 3 * mean - first - last, last]
