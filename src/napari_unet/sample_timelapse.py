"""A synthetic time-lapse of nuclei with exact truth: they move, divide, come and go.

Nuclei drift about with some persistence and push each other aside. One that divides is
replaced by two small ones on both sides of where it was, which grow again. Some die,
and some leave the field of view or come into it. The same seed gives the same movie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.sample_data import (
    BACKGROUND,
    SIZE_SPREAD,
    annotate_objects,
    nucleus,
    photograph,
    whole_pieces,
)

_VOXEL_UM = 0.3
_DIAMETER_UM = 8.0
_GROWTH = 0.06
"""By which share of the full diameter a nucleus grows in a frame."""
_BIRTH = 0.74
"""Diameter of a daughter, as a share of the full one."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TimeLapse:
    """Images over time and their exact truth.

    Parameters
    ----------
    image : array of uint16, T Y X
    labels : array of int32, T Y X
        0 is background; each nucleus keeps its number, and daughters get new ones.
    annotation : array of int32, T Y X
        Sparse, in some frames: 0 is not annotated, 1 background, and 2, 3, … complete
        nuclei, another number in every frame.
    graph : dict of int to int
        The mother of each daughter.
    """

    image: NDArray[np.uint16]
    labels: NDArray[np.int32]
    annotation: NDArray[np.int32]
    graph: dict[int, int]
    axes: str = "TYX"
    voxel_size: tuple[float, ...] = (_VOXEL_UM, _VOXEL_UM)
    unit: str = "micrometer"
    name: str = "dividing nuclei"


@dataclass
class _Cell:
    number: int
    place: _Floats
    step: _Floats
    size: float
    """Diameter as a share of the full one."""
    shape_seed: int
    brightness: float


def nuclei_timelapse(
    seed: int = 0,
    frames: int = 12,
    shape: tuple[int, int] = (256, 256),
    *,
    speed: float = 1.6,
    division_rate: float = 0.03,
    death_rate: float = 0.005,
) -> TimeLapse:
    """Nuclei over time, 0.3 µm per pixel.

    Parameters
    ----------
    seed : int
    frames : int
    shape : tuple of int
        Y X in pixels.
    speed : float
        Typical distance between two frames in µm; a nucleus is 8 µm wide.
    division_rate, death_rate : float
        Share of the nuclei to which it happens from one frame to the next.
    """
    rng = np.random.default_rng(seed)
    culture = _Culture(rng, shape, speed)
    numbered = np.zeros((frames, *shape), np.int32)
    image = np.zeros((frames, *shape), np.uint16)
    for t in range(frames):
        if t:
            culture.age(division_rate, death_rate)
        numbered[t], depth = culture.draw()
        brightness = np.zeros(culture.count + 1, np.float32)
        for cell in culture.cells:
            brightness[cell.number] = cell.brightness
        image[t] = photograph(
            rng, numbered[t], depth, (_VOXEL_UM, _VOXEL_UM), brightness
        )
    labels, graph = _only_seen(numbered, culture.mothers)
    return TimeLapse(image, labels, _annotate(rng, labels), graph)


def _annotate(rng: np.random.Generator, labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """A sparse annotation of the first, the middle and the last frame."""
    annotation = np.zeros_like(labels)
    used = 0
    for t in sorted({0, len(labels) // 2, len(labels) - 1}):
        frame = whole_pieces(labels[t])  # numbered without gaps
        painted = annotate_objects(rng, frame, (_VOXEL_UM, _VOXEL_UM))
        painted[painted > BACKGROUND] += used
        used = max(used, int(painted.max()) - BACKGROUND)
        annotation[t] = painted
    return annotation


def unlinked(labels: NDArray[np.int32], seed: int = 0) -> NDArray[np.int32]:
    """The same objects with other numbers in every frame, as a segmentation has them.

    Parameters
    ----------
    labels : array of int32, T (Z) Y X
    seed : int
    """
    rng = np.random.default_rng(seed)
    made = np.zeros_like(labels)
    for t, frame in enumerate(labels):
        values = np.unique(frame)
        values = values[values > 0]
        table = np.zeros(int(frame.max(initial=0)) + 1, labels.dtype)
        table[values] = rng.permutation(len(values)) + 1
        made[t] = table[frame]
    return made


class _Culture:
    """Nuclei in a field that is a little larger than the camera sees."""

    def __init__(
        self, rng: np.random.Generator, shape: tuple[int, int], speed: float
    ) -> None:
        self._rng = rng
        self._shape = shape
        self._speed = speed
        self._extent = np.array(shape) * _VOXEL_UM
        self.cells: list[_Cell] = []
        self.mothers: dict[int, int] = {}
        self.count = 0
        margin = _DIAMETER_UM
        area = float(np.prod(self._extent + 2 * margin))
        for _ in range(max(1, round(0.35 * area / (math.pi * _DIAMETER_UM**2 / 4)))):
            place = rng.uniform(-margin, self._extent + margin)
            self._add(place, float(rng.uniform(_BIRTH, 1)))
        self._push(60)

    def _add(self, place: _Floats, size: float, brightness: float = 0.0) -> _Cell:
        rng = self._rng
        self.count += 1
        cell = _Cell(
            self.count,
            place,
            rng.normal(0, self._speed / math.sqrt(2), 2),
            size,
            int(rng.integers(2**31)),
            brightness or float(rng.lognormal(0, 0.3)),
        )
        self.cells.append(cell)
        return cell

    def age(self, division_rate: float, death_rate: float) -> None:
        """Let one frame pass."""
        rng = self._rng
        for cell in list(self.cells):
            fate = rng.random()
            if fate < death_rate:
                self.cells.remove(cell)
            elif fate < death_rate + division_rate and cell.size >= 1:
                self._divide(cell)
            else:
                fresh = rng.normal(0, self._speed / math.sqrt(2), 2)
                cell.step = 0.6 * cell.step + 0.8 * fresh
                cell.place = cell.place + cell.step
                cell.size = max(cell.size, min(1.0, cell.size + _GROWTH))
        self._push(8)

    def _divide(self, mother: _Cell) -> None:
        self.cells.remove(mother)
        angle = self._rng.uniform(0, math.pi)
        way = 0.45 * _DIAMETER_UM * np.array([math.sin(angle), math.cos(angle)])
        for side in (-1, 1):
            daughter = self._add(mother.place + side * way, _BIRTH, mother.brightness)
            # Whatever size it will grow to, it begins with its share of the mother.
            daughter.size *= _own_size(mother) / _own_size(daughter)
            self.mothers[daughter.number] = mother.number

    def _push(self, rounds: int) -> None:
        """Move nuclei that overlap apart, a little in every round."""
        if len(self.cells) < 2:
            return
        places = np.array([cell.place for cell in self.cells])
        sizes = np.array([cell.size for cell in self.cells]) * _DIAMETER_UM
        wanted = 0.5 * (sizes[:, None] + sizes[None])
        for _ in range(rounds):
            way = places[:, None] - places[None]
            apart = np.linalg.norm(way, axis=2)
            np.fill_diagonal(apart, np.inf)
            lack = np.clip(wanted - apart, 0, None)
            lack[~np.isfinite(lack)] = 0
            force = way / np.maximum(apart, 0.1)[..., None] * lack[..., None]
            places = places + 0.25 * force.sum(axis=1)
        for cell, place in zip(self.cells, places, strict=True):
            cell.place = place

    def draw(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Labels, and how deep each pixel lies in its nucleus; Y X."""
        labels = np.zeros(self._shape, np.int32)
        depth = np.zeros(self._shape, np.float32)
        for cell in self.cells:
            # In units in which a nucleus of full size is as large as this one.
            voxel = np.full(2, _VOXEL_UM / cell.size)
            same = np.random.default_rng(cell.shape_seed)
            box, inside = nucleus(same, cell.place / cell.size, self._shape, voxel)
            if any(side.start >= side.stop for side in box):
                continue  # outside of what the camera sees
            deeper = inside > depth[box]
            labels[box][deeper] = cell.number
            depth[box][deeper] = inside[deeper]
        return labels, depth


def _own_size(cell: _Cell) -> float:
    """How much larger a nucleus of this shape is than others; `nucleus` draws it."""
    return float(np.random.default_rng(cell.shape_seed).lognormal(0, SIZE_SPREAD))


def _only_seen(
    numbered: NDArray[np.int32], mothers: dict[int, int]
) -> tuple[NDArray[np.int32], dict[int, int]]:
    """Drop crumbs, number the nuclei that are seen from 1 on."""
    kept = np.zeros_like(numbered)
    for frame, clean in zip(numbered, kept, strict=True):
        # Whole pieces get new numbers, and their old ones again by looking them up.
        pieces = whole_pieces(frame)
        clean[pieces > 0] = frame[pieces > 0]
    seen = np.unique(kept)
    seen = seen[seen > 0]
    table = np.zeros(int(numbered.max(initial=0)) + 1, np.int32)
    table[seen] = np.arange(1, len(seen) + 1)
    graph = {
        int(table[d]): int(table[m])
        for d, m in mothers.items()
        if d < len(table) and m < len(table) and table[d] and table[m]
    }
    return table[kept], graph
