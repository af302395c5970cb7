"""Synthetic cells in two channels, nuclei and membranes, with exact truth in a second.

Only both channels together tell the cells apart: the membranes have gaps, and a nucleus
alone does not say how far its cell reaches. The same seed gives the same image.
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
    annotate_objects,
    nucleus,
    photograph,
    smooth_noise,
    whole_pieces,
)

PIXEL_UM = 0.4
_SPACING_UM = 17.0
"""Typical width of a cell."""
_REACH_UM = 12.0
"""A cell ends this far from its nucleus where it has no neighbour."""

_Floats = NDArray[np.float32]
_Labels = NDArray[np.int32]


def cells_two_channels(seed: int = 0, shape: tuple[int, int] = (512, 512)) -> Sample:
    """A layer of cells with stained nuclei and membranes, 0.4 µm per pixel.

    The image is C Y X; the objects of labels and annotation are whole cells.

    Parameters
    ----------
    seed : int
    shape : tuple of int
        Y X in pixels.
    """
    rng = np.random.default_rng(seed)
    size = (PIXEL_UM, PIXEL_UM)
    centres = _centres(rng, shape)
    labels = _cells(rng, centres, shape)
    nuclei, depth = _nuclei(rng, centres, labels)
    image = np.stack(
        [photograph(rng, nuclei, depth, size), _membrane_channel(rng, labels)]
    )
    return Sample(
        image,
        labels,
        _annotate(rng, labels),
        "CYX",
        size,
        name="cells",
        channel_names=("nuclei", "membranes"),
    )


def _annotate(rng: np.random.Generator, labels: _Labels) -> _Labels:
    """Some whole cells, and the inside of half the holes between cells."""
    annotation = annotate_objects(rng, labels, (PIXEL_UM, PIXEL_UM))
    holes, count = ndimage.label(ndimage.binary_erosion(labels == 0, iterations=5))
    if count:
        painted = rng.permutation(count)[: max(2, count // 2)] + 1
        annotation[np.isin(holes, painted)] = BACKGROUND
    return annotation


def _centres(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Where the nuclei lie: Y X in µm, apart from each other, with holes between."""
    extent = np.array(shape) * PIXEL_UM
    kept: list[NDArray[np.float64]] = []
    holes = rng.uniform(0, extent, (max(1, round(float(np.prod(extent)) / 9000)), 2))
    for place in rng.uniform(0, extent, (1500, 2)):
        if kept and min(np.linalg.norm(k - place) for k in kept) < 0.72 * _SPACING_UM:
            continue
        if np.linalg.norm(holes - place, axis=1).min() > 1.1 * _SPACING_UM:
            kept.append(place)
    return np.array(kept or [extent / 2])


def _cells(
    rng: np.random.Generator, centres: NDArray[np.float64], shape: tuple[int, int]
) -> _Labels:
    """Each pixel belongs to the nearest nucleus within reach; borders are bent."""
    y, x = np.indices(shape).astype(np.float32) * np.float32(PIXEL_UM)
    for sigma_um, height_um in ((6.0, 1.7), (2.0, 0.5)):
        sigma = (sigma_um / PIXEL_UM,) * 2
        y += height_um * smooth_noise(rng, shape, sigma)
        x += height_um * smooth_noise(rng, shape, sigma)
    at = np.stack([y.ravel(), x.ravel()], axis=1)
    apart, owner = cKDTree(centres).query(at)
    labels = np.where(apart < _REACH_UM, owner + 1, 0).reshape(shape)
    return whole_pieces(labels.astype(np.int32))


def _nuclei(
    rng: np.random.Generator, centres: NDArray[np.float64], labels: _Labels
) -> tuple[_Labels, _Floats]:
    """Nuclei that stay inside their cells, and how deep a pixel lies in one."""
    made: _Labels = np.zeros_like(labels)
    depth: _Floats = np.zeros(labels.shape, np.float32)
    inner = ndimage.distance_transform_edt(_inside(labels))
    for number, centre in enumerate(centres, start=1):
        box, found = nucleus(rng, centre, labels.shape, np.array((PIXEL_UM, PIXEL_UM)))
        found[(inner[box] < 2) | (depth[box] > 0)] = 0
        made[box][found > 0] = number
        depth[box] = np.maximum(depth[box], found)
    return made, depth


def _inside(labels: _Labels) -> NDArray[np.bool_]:
    """Pixels in cells that do not lie on a border."""
    lowest = ndimage.minimum_filter(labels, 3)
    return np.asarray((labels > 0) & (lowest == ndimage.maximum_filter(labels, 3)))


def _membrane_channel(rng: np.random.Generator, labels: _Labels) -> NDArray[np.uint16]:
    """Bright borders of uneven strength, over a faint cytoplasm."""
    shape = labels.shape
    border = ~_inside(labels) & (ndimage.maximum_filter(labels, 3) > 0)
    strength = np.clip(1 + 0.55 * smooth_noise(rng, shape, (9.0, 9.0)), 0.08, None)
    count = int(labels.max())
    each = np.append(0.02, 0.13 * rng.lognormal(0, 0.35, count))[labels]
    grain = 1 + 0.25 * smooth_noise(rng, shape, (1.6, 1.6))
    light = ndimage.gaussian_filter(border * strength, 1.1) * 1.5 + each * grain
    light += 0.12 * ndimage.gaussian_filter(light, 12.0)  # haze
    y, x = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle = rng.uniform(0, 2 * math.pi)
    light *= 1 + 0.15 * (math.sin(angle) * y + math.cos(angle) * x)
    counts = (
        16 * (rng.poisson(60 * np.clip(light, 0, None)) + rng.normal(0, 2.0, shape))
        + 300
    )
    return np.asarray(np.clip(counts, 0, 65535), np.uint16)
