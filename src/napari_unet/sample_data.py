"""Synthetic fluorescent nuclei with exact truth, made in about a second.

They look like a real DAPI image where it matters for segmentation: sizes, brightness
and texture vary, many nuclei touch, some are out of focus, the illumination is uneven,
and the camera adds photon and read-out noise. The same seed gives the same image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_unet.config import Task

BACKGROUND = 1
"""Value of background strokes in a sparse annotation."""

_RADIUS_UM = 4.0
SIZE_SPREAD = 0.16
"""Standard deviation of the logarithm of the radius."""
_Floats = NDArray[np.float32]
_Labels = NDArray[np.int32]


@dataclass(frozen=True)
class Sample:
    """An image, its exact truth, and what a person might paint of it.

    Parameters
    ----------
    image : array of uint16 or uint8, (C) (Z) Y X
    labels : array of int32, (Z) Y X
        The truth: 0 is background, 1, 2, … are nuclei.
    annotation : array of int32, (Z) Y X
        A sparse annotation: 0 is not annotated, 1 background, and 2, 3, … complete
        nuclei (task ``objects``) or 2 strokes inside nuclei (task ``classes``).
    axes : str
        Of the image: ``"YX"``, ``"ZYX"`` or ``"CYX"``.
    voxel_size : tuple of float
        Along (Z) Y X, in `unit`.
    class_names : dict of int to str
        Names of values in the annotation.
    channel_names : tuple of str
        A name for each channel; empty where there is one.
    """

    image: NDArray[Any]
    labels: _Labels
    annotation: _Labels
    axes: str
    voxel_size: tuple[float, ...]
    unit: str = "micrometer"
    name: str = "nuclei"
    task: Task = "objects"
    class_names: dict[int, str] = field(
        default_factory=lambda: {BACKGROUND: "background"}
    )
    channel_names: tuple[str, ...] = ()


def nuclei_2d(
    seed: int = 0, shape: tuple[int, int] = (512, 512), *, task: Task = "objects"
) -> Sample:
    """Nuclei in one plane, 0.3 µm per pixel.

    Parameters
    ----------
    seed : int
    shape : tuple of int
        Y X in pixels.
    task : {"objects", "classes"}
        What the annotation is made for.
    """
    return _nuclei(seed, shape, (0.3, 0.3), "nuclei", task)


def nuclei_3d(
    seed: int = 0,
    shape: tuple[int, int, int] = (24, 192, 192),
    *,
    task: Task = "objects",
) -> Sample:
    """Nuclei in a stack with voxels of 1 × 0.3 × 0.3 µm (Z Y X)."""
    return _nuclei(seed, shape, (1.0, 0.3, 0.3), "nuclei 3D", task)


def _nuclei(
    seed: int,
    shape: Sequence[int],
    voxel_size: tuple[float, ...],
    name: str,
    task: Task,
) -> Sample:
    rng = np.random.default_rng(seed)
    labels, depth = _place(rng, tuple(shape), voxel_size)
    image = photograph(rng, labels, depth, voxel_size)
    if task == "objects":
        annotation = annotate_objects(rng, labels, voxel_size)
    else:
        annotation = _annotate_classes(rng, labels, voxel_size)
    axes = "ZYX"[3 - len(shape) :]
    return Sample(image, labels, annotation, axes, voxel_size, name=name, task=task)


# -- shapes ---------------------------------------------------------------------------


def _place(
    rng: np.random.Generator, shape: tuple[int, ...], voxel_size: tuple[float, ...]
) -> tuple[_Labels, _Floats]:
    """Labels, and how deep each voxel lies in its nucleus: 0 at the edge to 1."""
    labels: _Labels = np.zeros(shape, np.int32)
    depth: _Floats = np.zeros(shape, np.float32)
    voxel = np.array(voxel_size)
    extent = np.array(shape) * voxel
    one = math.pi * _RADIUS_UM**2 if len(shape) == 2 else 4.19 * _RADIUS_UM**3
    wanted = max(1, round(0.3 * float(np.prod(extent)) / one))
    centres: list[NDArray[np.float64]] = []
    for _ in range(wanted * 12):
        if len(centres) == wanted:
            break
        if centres and rng.random() < 0.55:  # beside a neighbour: nuclei that touch
            step = rng.normal(size=len(shape))
            step *= _RADIUS_UM * rng.uniform(1.7, 2.1) / np.linalg.norm(step)
            centre = centres[rng.integers(len(centres))] + step
        else:
            centre = rng.uniform(0, 1, len(shape)) * extent
        if ((centre < 0) | (centre >= extent)).any():
            continue
        box, inside = nucleus(rng, centre, shape, voxel)
        taken = (inside > 0) & (depth[box] > 0)
        size = np.count_nonzero(inside > 0)
        if size < 20 or np.count_nonzero(taken) > 0.12 * size:
            continue
        centres.append(centre)
        deeper = inside > depth[box]
        labels[box][deeper] = len(centres)
        depth[box][deeper] = inside[deeper]
    return whole_pieces(labels), depth


def nucleus(
    rng: np.random.Generator,
    centre: NDArray[np.float64],
    shape: tuple[int, ...],
    voxel: NDArray[np.float64],
) -> tuple[tuple[slice, ...], _Floats]:
    """A box in the image, and the depth in one bumpy ellipsoid inside it."""
    semi = _RADIUS_UM * rng.lognormal(0, SIZE_SPREAD) * np.ones(len(shape))
    elongation = math.sqrt(rng.uniform(1.0, 1.7))
    semi[-1] *= elongation
    semi[-2] /= elongation
    reach = 1.4 * semi.max()
    start = np.clip(np.floor((centre - reach) / voxel), 0, None).astype(int)
    stop = np.minimum(np.ceil((centre + reach) / voxel).astype(int) + 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    grid = np.ogrid[box]
    offset = [g * v - c for g, v, c in zip(grid, voxel, centre, strict=True)]
    # Cells lie flat on the glass: they turn in the plane only.
    angle = rng.uniform(0, math.pi)
    y = (offset[-2] * math.cos(angle) + offset[-1] * math.sin(angle)) / semi[-2]
    x = (offset[-1] * math.cos(angle) - offset[-2] * math.sin(angle)) / semi[-1]
    radius = np.sqrt(
        y**2 + x**2 + sum((o / s) ** 2 for o, s in zip(offset[:-2], semi, strict=False))
    )
    bumps: NDArray[np.float64] = np.ones(radius.shape)
    theta = np.arctan2(y, x)
    equator = np.hypot(y, x) / np.maximum(radius, 1e-6)  # 0 at the poles
    for waves in (2, 3, 4, 5):
        height, phase = rng.normal(0, 0.09 / waves), rng.uniform(0, 2 * math.pi)
        bumps += height * equator * np.cos(waves * theta + phase)
    return box, np.clip(1 - radius / bumps, 0, None).astype(np.float32)


def whole_pieces(labels: _Labels) -> _Labels:
    """Keep the largest piece of each label, drop crumbs, and number from 1."""
    result: _Labels = np.zeros_like(labels)
    number = 0
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        pieces, count = ndimage.label(labels[box] == value)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        if sizes.max(initial=0) >= 20:
            number += 1
            result[box][pieces == 1 + sizes.argmax()] = number
    return result


# -- the microscope -------------------------------------------------------------------


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma: Sequence[float]
) -> _Floats:
    """Gaussian noise with structures of size `sigma` in voxels, mean 0 and SD 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    smooth: _Floats = ndimage.gaussian_filter(noise, sigma, mode="wrap")
    smooth -= smooth.mean()
    smooth /= smooth.std()
    return smooth


def photograph(
    rng: np.random.Generator,
    labels: _Labels,
    depth: _Floats,
    voxel_size: tuple[float, ...],
    brightness: _Floats | None = None,
) -> NDArray[np.uint16]:
    """`brightness` has an entry for each label from 0 on; random by default."""
    shape, count = labels.shape, int(labels.max())

    def voxels(microns: float) -> list[float]:
        return [microns / v for v in voxel_size]

    if brightness is None:
        brightness = np.append(0, rng.lognormal(0, 0.4, count)).astype(np.float32)
    chromatin = smooth_noise(rng, shape, voxels(0.35))
    nucleoli = smooth_noise(rng, shape, voxels(0.7)) > 1.5
    dome = 0.55 + 0.45 * np.sqrt(np.clip(depth * (2 - depth), 0, 1))
    stain = brightness[labels] * dome * (1 + 0.15 * chromatin - 0.4 * nucleoli)
    out_of_focus = np.append(False, rng.random(count) < 0.15)[labels]
    light = ndimage.gaussian_filter(np.where(out_of_focus, 0, stain), voxels(0.35))
    light += ndimage.gaussian_filter(np.where(out_of_focus, stain, 0), voxels(0.9))
    light += 0.06 * ndimage.gaussian_filter(stain, voxels(8.0))  # haze
    y, x = np.ogrid[-1 : 1 : shape[-2] * 1j, -1 : 1 : shape[-1] * 1j]
    tilt = rng.normal(0, 0.18, 2)
    illumination = 1 - 0.22 * (y**2 + x**2) + tilt[0] * y + tilt[1] * x
    photons = 110 * (light + 0.05) * np.clip(illumination, 0.3, None)
    counts = 14 * (rng.poisson(photons) + rng.normal(0, 2.0, shape)) + 400
    return np.asarray(np.clip(counts, 0, 65535), np.uint16)


# -- the person -----------------------------------------------------------------------


def brush(radius_um: float, voxel_size: tuple[float, ...]) -> NDArray[np.bool_]:
    """A round brush, one plane thick."""
    size = [int(radius_um / v) for v in voxel_size[-2:]]
    y, x = np.ogrid[-size[0] : size[0] + 1, -size[1] : size[1] + 1]
    disc = (y * voxel_size[-2]) ** 2 + (x * voxel_size[-1]) ** 2 <= radius_um**2
    return disc.reshape((1,) * (len(voxel_size) - 2) + disc.shape)


def background_strokes(
    rng: np.random.Generator,
    free: NDArray[np.bool_],
    voxel_size: tuple[float, ...],
    *,
    width_um: float = 1.2,
) -> NDArray[np.bool_]:
    """Wavy strokes; what falls outside `free` is left out, as a person would."""
    centreline = np.zeros(free.shape, bool)
    height, width = free.shape[-2:]
    planes = range(free.shape[0]) if free.ndim == 3 else range(1)
    for plane in planes[len(planes) // 6 :: 6]:
        # One stroke in each corner of the image and one in the middle: empty parts
        # differ in haze and illumination.
        for start in ((0.2, 0.2), (0.2, 0.8), (0.5, 0.5), (0.8, 0.2), (0.8, 0.8)):
            steps = max(height, width) // 4
            turns = np.cumsum(rng.normal(0, 0.1, steps)) + rng.uniform(0, 2 * math.pi)
            begin = np.array(start) + rng.uniform(-0.1, 0.1, 2)
            y = begin[0] * height + np.cumsum(np.sin(turns))
            x = begin[1] * width + np.cumsum(np.cos(turns))
            ok = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            at = (y[ok].astype(int), x[ok].astype(int))
            centreline[(np.full(ok.sum(), plane), *at)[-free.ndim :]] = True
    strokes = ndimage.binary_dilation(centreline, brush(width_um, voxel_size))
    return np.asarray(strokes & free)


def annotate_objects(
    rng: np.random.Generator, labels: _Labels, voxel_size: tuple[float, ...]
) -> _Labels:
    """Some complete nuclei, most of them neighbours, and background around them."""
    annotation: _Labels = np.zeros_like(labels)
    count = int(labels.max())
    if count == 0:
        return annotation
    centres = np.array(ndimage.center_of_mass(labels > 0, labels, range(1, count + 1)))
    centres = centres * voxel_size
    wanted = min(count, max(4, min(16, count // 5)))
    first = centres[rng.integers(count)]
    near = np.argsort(np.linalg.norm(centres - first, axis=1))
    chosen = list(near[: math.ceil(wanted * 0.7)])
    others = near[len(chosen) :]
    chosen += list(rng.permutation(others)[: wanted - len(chosen)])
    for number, index in enumerate(chosen, start=2):
        annotation[_painted(labels, int(index) + 1)] = number
    around = ndimage.binary_dilation(annotation > 0, brush(1.8, voxel_size))
    free = ~ndimage.binary_dilation(labels > 0, brush(voxel_size[-1], voxel_size))
    background = free & (around | background_strokes(rng, free, voxel_size))
    annotation[background] = BACKGROUND
    return annotation


def _painted(labels: _Labels, value: int) -> NDArray[np.bool_]:
    """One nucleus as a person paints it: its outline a little smoother than it is."""
    mask = labels == value
    sigma = (0,) * (labels.ndim - 2) + (1.0, 1.0)
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), sigma) > 0.5
    return np.asarray(smooth & ((labels == 0) | mask))


def _annotate_classes(
    rng: np.random.Generator, labels: _Labels, voxel_size: tuple[float, ...]
) -> _Labels:
    """Strokes inside a few nuclei (2) and in the background (1)."""
    annotation: _Labels = np.zeros_like(labels)
    count = int(labels.max())
    inner = ndimage.distance_transform_edt(labels > 0, sampling=voxel_size)
    for value in rng.permutation(count)[: max(3, min(12, count // 6))] + 1:
        # A nucleus filled with a brush, now up to its edge and now not.
        mask = labels == value
        annotation[mask & (inner > rng.choice([0.0, 0.6]))] = 2
    free = ~ndimage.binary_dilation(labels > 0, brush(voxel_size[-1], voxel_size))
    around = ndimage.binary_dilation(annotation > 0, brush(1.8, voxel_size))
    background = free & (around | background_strokes(rng, free, voxel_size))
    annotation[background] = BACKGROUND
    return annotation
