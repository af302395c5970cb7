"""Synthetic electron micrographs of nerve tissue with exact membranes, in a second.

Dark membranes part bright neurites of very different size. Mitochondria and vesicles
are dark, too, and membranes that were cut obliquely are broad and pale: what makes the
real task hard. The same seed gives the same image.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_unet.sample_data import (
    BACKGROUND,
    Sample,
    background_strokes,
    brush,
    smooth_noise,
)

PIXEL_UM = 0.004
"""As in the public stacks of the fly's nerve cord."""

MEMBRANE = 2
"""Value of strokes on membranes."""

_HALF_WIDTH = 2.4
"""Half of a membrane's width in pixels."""
_SPACING = 46.0
"""Typical width of a neurite in pixels."""

_Floats = NDArray[np.float32]
_Mask = NDArray[np.bool_]


def membranes(seed: int = 0, shape: tuple[int, int] = (512, 512)) -> Sample:
    """Membranes of nerve tissue in an electron micrograph, 4 nm per pixel.

    The labels are 1 on membranes and 0 elsewhere; the annotation has strokes of 2 on
    membranes and of 1 inside cells, for the task ``classes``.

    Parameters
    ----------
    seed : int
    shape : tuple of int
        Y X in pixels.
    """
    rng = np.random.default_rng(seed)
    neurites, edge = _tissue(rng, shape)
    membrane = edge < _HALF_WIDTH
    organelles, inner = _mitochondria(rng, edge, shape)
    image = _micrograph(rng, neurites, edge, inner)
    annotation = _annotate(rng, membrane, edge, organelles)
    return Sample(
        image,
        membrane.astype(np.int32),
        annotation,
        "YX",
        (PIXEL_UM, PIXEL_UM),
        name="membranes",
        task="classes",
        class_names={BACKGROUND: "inside of cells", MEMBRANE: "membrane"},
    )


def _tissue(
    rng: np.random.Generator, shape: tuple[int, int]
) -> tuple[NDArray[np.intp], _Floats]:
    """Which neurite a pixel lies in, and its distance to the edge in pixels; Y X."""
    margin = 2 * _SPACING
    high, wide = shape[0] + 2 * margin, shape[1] + 2 * margin
    count = max(4, round(high * wide / _SPACING**2))
    points = rng.uniform((-margin, -margin), (high - margin, wide - margin), (count, 2))
    # Bundles of thin neurites between the large ones.
    hubs = points[rng.permutation(count)[: max(1, count // 14)]]
    thin = hubs.repeat(7, axis=0) + rng.normal(0, 0.55 * _SPACING, (len(hubs) * 7, 2))
    points = np.concatenate([points, thin])
    y, x = np.indices(shape).astype(np.float32)
    for sigma, height in ((45.0, 26.0), (14.0, 4.5)):  # bent, not straight
        y += height * _broad_noise(rng, shape, sigma)
        x += height * _broad_noise(rng, shape, sigma)
    at = np.stack([y.ravel(), x.ravel()], axis=1)
    neurites = cKDTree(points).query(at)[1].reshape(shape)
    border = np.zeros(shape, bool)
    border[1:] = neurites[1:] != neurites[:-1]
    border[:, 1:] |= neurites[:, 1:] != neurites[:, :-1]
    return neurites, ndimage.distance_transform_edt(~border).astype(np.float32)


def _broad_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma: float
) -> _Floats:
    """As `smooth_noise`, made on a coarse grid: quick for a wide `sigma`."""
    step = max(1, int(sigma / 4))
    coarse = (math.ceil(shape[0] / step) + 1, math.ceil(shape[1] / step) + 1)
    noise = smooth_noise(rng, coarse, (sigma / step, sigma / step))
    fine: _Floats = ndimage.zoom(noise, step, order=1)
    return fine[: shape[0], : shape[1]]


def _mitochondria(
    rng: np.random.Generator, edge: _Floats, shape: tuple[int, int]
) -> tuple[NDArray[np.int32], _Floats]:
    """Their numbers, and how deep a pixel lies in one: 0 outside to 1; Y X."""
    numbers = np.zeros(shape, np.int32)
    depth = np.zeros(shape, np.float32)
    roomy = np.argwhere(edge > 14)
    if not len(roomy):
        return numbers, depth
    bumps = 1 + 0.16 * smooth_noise(rng, shape, (7.0, 7.0))
    centres: list[NDArray[np.intp]] = []
    for _ in range(400):
        if len(centres) >= shape[0] * shape[1] / 16_000:
            break
        centre = roomy[rng.integers(len(roomy))]
        if centres and min(np.hypot(*(centre - c)) for c in centres) < 50:
            continue
        centres.append(centre)
        angle, width = rng.uniform(0, math.pi), rng.uniform(8, 12)
        long = width * rng.uniform(1.1, 1.9)
        box, dy, dx = _around(centre, 40, shape)
        along = (dy * math.sin(angle) + dx * math.cos(angle)) / long
        across = (dy * math.cos(angle) - dx * math.sin(angle)) / width
        inside = np.clip(1 - np.hypot(along, across) / bumps[box], 0, None)
        inside[edge[box] < _HALF_WIDTH + 2] = 0  # they never leave their cell
        numbers[box][inside > 0] = len(centres)
        depth[box] = np.maximum(depth[box], inside)
    return numbers, depth


def _around(
    centre: NDArray[np.intp], reach: int, shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.intp], NDArray[np.intp]]:
    """A box around a pixel, and the way from it along Y and along X."""
    low = np.maximum(centre - reach, 0)
    high = np.minimum(centre + reach + 1, shape)
    box = (slice(low[0], high[0]), slice(low[1], high[1]))
    dy, dx = np.ogrid[box]
    return box, dy - centre[0], dx - centre[1]


def _micrograph(
    rng: np.random.Generator,
    neurites: NDArray[np.intp],
    edge: _Floats,
    inner: _Floats,
) -> NDArray[np.uint8]:
    """What the microscope shows: dark is what the stain has reached."""
    shape = edge.shape
    # Every neurite has a grey of its own, and a coarse cytoplasm.
    light = 168 + rng.normal(0, 9, int(neurites.max()) + 1)[neurites]
    light += 7 * smooth_noise(rng, shape, (3.0, 3.0))
    light += 8 * smooth_noise(rng, shape, (1.0, 1.0))
    # Where a membrane stands obliquely to the section it is broader and paler.
    slant = np.clip(0.5 * _broad_noise(rng, shape, 22.0), 0, 1.2)
    width = _HALF_WIDTH * 0.75 * (1 + 0.9 * slant)
    dark = (105 / (1 + 0.9 * slant)) * np.exp(-0.5 * (edge / width) ** 2)
    # Mitochondria: a dark rim, a grey matrix and cristae in rows.
    y, x = np.indices(shape)
    waves = np.sin(1.25 * y + 0.6 * x + 2 * smooth_noise(rng, shape, (9.0, 9.0)))
    rim = np.exp(-0.5 * ((inner - 0.12) / 0.09) ** 2)
    matrix = 42 + 16 * waves * (inner > 0.25)
    dark = dark + np.where(inner > 0, 45 * rim + matrix * (inner > 0.1), 0)
    # Vesicles and tubules: small dark spots in the cytoplasm.
    spots = ndimage.gaussian_filter((rng.random(shape) < 0.004).astype(float), 1.1)
    dark = dark + 260 * spots * (edge > _HALF_WIDTH + 2) * (inner == 0)
    light = ndimage.gaussian_filter(light - dark, 0.8)
    light += 6 * _broad_noise(rng, shape, 120.0)  # uneven staining
    light += rng.normal(0, 11, shape)
    return np.asarray(np.clip(light, 0, 255), np.uint8)


def _annotate(
    rng: np.random.Generator,
    membrane: _Mask,
    edge: _Floats,
    organelles: NDArray[np.int32],
) -> NDArray[np.int32]:
    """Pieces of membrane that were traced, and strokes inside cells."""
    annotation = np.zeros(membrane.shape, np.int32)
    size = (PIXEL_UM, PIXEL_UM)
    free = edge > _HALF_WIDTH + 2
    inside = background_strokes(rng, free, size, width_um=3 * PIXEL_UM)
    # Somebody who knows better paints the mitochondria as inside, rim and all.
    count = int(organelles.max())
    for number in rng.permutation(count)[: max(2, count // 3)] + 1:
        inside |= organelles == number
    traced = np.zeros_like(membrane)
    on_line = np.argwhere(membrane)
    pieces = max(4, round(membrane.size / 15_000)) if len(on_line) else 0
    for _ in range(pieces):
        centre = on_line[rng.integers(len(on_line))]
        box, dy, dx = _around(centre, 34, membrane.shape)
        lines, _ = ndimage.label(
            membrane[box] & (np.hypot(dy, dx) < rng.uniform(18, 34))
        )
        here = lines[centre[0] - box[0].start, centre[1] - box[1].start]
        traced[box] |= lines == here
    # Beside what was traced, the inside is painted close to the line.
    beside = ndimage.binary_dilation(traced, brush(7 * PIXEL_UM, size)) & free
    annotation[inside | beside] = BACKGROUND
    annotation[traced] = MEMBRANE
    return annotation
