from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_unet.networks import scale_space
from napari_unet.networks.scale_space import SIGMAS, ScaleSpace, gaussian

CASES = [
    ((1.0, 1.0), 1),
    ((1.0, 1.0), 3),
    ((2.5, 1.0), 1),
    ((1.0, 1.0, 1.0), 1),
    ((4.0, 1.0, 1.0), 2),
]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("spacing", "n_in"), CASES)
def test_shape_and_order_of_the_features(spacing: tuple[float, ...], n_in: int) -> None:
    space = ScaleSpace(n_in, SIGMAS, spacing)
    ndim = len(spacing)
    sizes = [2 * d for d in space.divisor]
    image = noise(2, n_in, *sizes)
    features = space(image)
    assert features.shape == (2, space.n_out, *sizes)
    assert space.n_out == n_in * (1 + 6 * (2 + ndim))
    assert torch.equal(features[:, :n_in], image)
    for scale in range(6):
        first = n_in * (1 + scale * (2 + ndim))
        gradient = features[:, first + n_in : first + 2 * n_in]
        assert (gradient >= 0).all()
        eigenvalues = features[:, first + 2 * n_in : first + (2 + ndim) * n_in]
        for a, b in zip(
            eigenvalues.split(n_in, 1)[:-1], eigenvalues.split(n_in, 1)[1:], strict=True
        ):
            assert (a >= b - 1e-5).all()


def test_coarsely_sampled_z_is_blurred_less_and_pooled_less() -> None:
    space = ScaleSpace(1, SIGMAS, (4.0, 1.0, 1.0))
    assert space.divisor == (2, 8, 8)
    assert space.reach[0] < space.reach[1]


@pytest.mark.parametrize("sigmas", [(0.7, 1.3), (2.0, 2.0), (0.1, 3.0), (1, 2, 0.5)])
def test_gaussian_is_that_of_scipy(sigmas: tuple[float, ...]) -> None:
    image = noise(1, 2, *[20 + 3 * i for i in range(len(sigmas))])
    found = gaussian(image, sigmas)
    seen = [s if s >= 0.3 else 0.0 for s in sigmas]
    # SciPy rounds the radius to the nearest voxel, ours is the next larger one.
    for channel in (0, 1):
        expected = ndimage.gaussian_filter(
            image[0, channel].numpy(),
            seen,
            mode="nearest",
            radius=[int(np.ceil(3 * s)) for s in seen],
        )
        np.testing.assert_allclose(found[0, channel], expected, atol=1e-6)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.0, 1.0), (2.0, 1.0, 1.0)])
def test_derivatives_of_a_quadratic_are_exact(spacing: tuple[float, ...]) -> None:
    """x² has the second derivative 2 and the gradient 2x, whatever the units."""
    space = ScaleSpace(1, (1.0,), spacing)
    ndim, size = len(spacing), 24
    grid = torch.meshgrid(*(torch.arange(size) * s for s in spacing), indexing="ij")
    centre = [size * s / 2 for s in spacing]
    rates = [3.0, 1.0, -0.5][:ndim]
    image = sum(r * (g - c) ** 2 for r, g, c in zip(rates, grid, centre, strict=True))
    assert isinstance(image, torch.Tensor)
    features = space(image[None, None].float())[0]
    middle = (slice(8, 16),) * ndim
    eigenvalues = features[3:]
    for found, rate in zip(eigenvalues, sorted(rates, reverse=True), strict=True):
        torch.testing.assert_close(
            found[middle], torch.full_like(found[middle], 2 * rate), atol=2e-2, rtol=0
        )
    expected = sum(
        (2 * r * (g - c)) ** 2 for r, g, c in zip(rates, grid, centre, strict=True)
    )
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(
        features[2][middle], expected.sqrt()[middle].float(), atol=2e-2, rtol=1e-3
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_eigenvalues_are_those_of_numpy(ndim: int) -> None:
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(500, ndim, ndim, generator=generator)
    matrix = matrix + matrix.mT
    # Equal, nearly equal and zero ones are what a closed form stumbles over.
    matrix[0] = 0
    matrix[1] = torch.eye(ndim)
    matrix[2] = torch.eye(ndim) + 1e-6 * matrix[2]
    matrix[3] = torch.diag(torch.tensor([2.0, 2.0, 1.0])[:ndim])
    hessian = [[matrix[:, i, j] for j in range(ndim)] for i in range(ndim)]
    found = torch.stack(scale_space._eigenvalues(hessian), dim=1)
    expected = np.linalg.eigvalsh(matrix.numpy())[:, ::-1]
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (3.0, 1.0), (1.0, 1.0, 1.0)])
def test_features_depend_on_no_more_than_the_reach(spacing: tuple[float, ...]) -> None:
    """What lies farther away than `reach` may be anything."""
    sigmas = SIGMAS if len(spacing) == 2 else (0.7, 2.0, 4.0)
    space = ScaleSpace(1, sigmas, spacing)
    ndim = len(spacing)
    core = [2 * d for d in space.divisor]
    grown = [-(-r // d) * d for r, d in zip(space.reach, space.divisor, strict=True)]
    shape = [c + 4 * g for c, g in zip(core, grown, strict=True)]
    image = noise(1, 1, *shape)
    whole = space(image)
    outer = tuple(slice(g, 3 * g + c) for g, c in zip(grown, core, strict=True))
    inner = tuple(slice(g, g + c) for g, c in zip(grown, core, strict=True))
    part = space(image[(..., *outer)])
    middle = tuple(slice(2 * g, 2 * g + c) for g, c in zip(grown, core, strict=True))
    torch.testing.assert_close(
        part[(..., *inner)], whole[(..., *middle)], atol=2e-5, rtol=1e-4
    )
    assert ndim == len(inner)


def test_a_flat_image_has_no_structure() -> None:
    features = ScaleSpace(1, SIGMAS, (1.0, 1.0))(torch.full((1, 1, 32, 32), 0.4))[0]
    per_scale = features[1:].reshape(6, 4, 32, 32)
    torch.testing.assert_close(per_scale[:, 0], torch.full((6, 32, 32), 0.4))
    assert per_scale[:, 1:].abs().max() < 1e-3


def test_an_image_of_one_period_is_large_enough() -> None:
    space = ScaleSpace(1, SIGMAS, (1.0, 1.0, 1.0))
    assert torch.isfinite(space(noise(1, 1, *space.divisor))).all()


def test_half_precision_around_it_changes_nothing() -> None:
    space = ScaleSpace(1, SIGMAS, (1.0, 1.0))
    image = noise(1, 1, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        inside = space(image)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, space(image))
