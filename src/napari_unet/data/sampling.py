"""Training patches: where they lie, and how they are cut out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from napari_unet.config import Task
from napari_unet.data.annotation import UNANNOTATED, Annotation
from napari_unet.data.borders import BorderWeights, border_weights_of
from napari_unet.data.classes import ClassInfo
from napari_unet.data.normalization import IntensityRange
from napari_unet.data.patch_cache import SHARE, CachedRegion, cached_bytes
from napari_unet.data.source import Box
from napari_unet.data.targets import Target, make_target

MAX_ANCHORS = 20_000
"""Annotated voxels per class and region that are kept as places to sample around."""


@dataclass(frozen=True)
class Region:
    """A box of one sample of an image from which patches are taken, and only there."""

    annotation: Annotation
    intensity: IntensityRange
    sample: int
    box: Box


@dataclass(frozen=True)
class Batch:
    """Patches on their way to the network."""

    image: Tensor
    """``N C (Z) Y X``, normalised."""
    index: Tensor
    """``N (Z) Y X``, int64; -1 where not annotated."""
    distance: Tensor | None
    """``N (Z) Y X``, or None for task ``classes``."""
    belief: Tensor | None = None
    """``N K (Z) Y X``: what somebody else holds true where nothing is annotated."""
    values: Tensor | None = None
    """``N V (Z) Y X``: continuous targets, for task ``regression``."""
    weight: Tensor | None = None
    """``N (Z) Y X``: how much each voxel counts, for losses that weigh them."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        if self.image.device == device:
            return self
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {
            name: None if part is None else part.to(device, non_blocking=True)
            for name, part in parts.items()
        }
        return Batch(**moved)


_Patch = tuple[NDArray[Any], NDArray[Any], list[NDArray[Any] | None]]
"""Image, index, and distance, values and weight, as far as there are any."""


@dataclass
class _Loaded:
    region: Region
    target: Target
    anchors: list[NDArray[np.int64]]
    """Per class present: annotated voxels, ``(n, (Z) Y X)``, in box coordinates."""
    annotated: NDArray[np.int64]
    """Annotated voxels of any class, likewise."""
    cached: CachedRegion | None = None


_Place = tuple[_Loaded, list[int], list[int]]
"""A region, and first voxel and size of a patch, in box coordinates."""


class PatchSampler:
    """Draws patches around annotated voxels, rare classes as often as common ones.

    Half of the patches lie around a voxel of a class drawn evenly from those present
    (so that a class of ten voxels is learnt), the other half around any annotated one.
    Images are drawn in proportion to the square root of what is annotated in them.

    Parameters
    ----------
    regions : sequence of Region
    task, classes
        As in the model.
    patch_size : tuple
        (Z) Y X in voxels; patches may reach beyond a region, which is mirrored there.
    margin : tuple
        Voxels along (Z) Y X that each patch is cut larger on either side, so that it
        can be turned and bent without running empty.
    borders : BorderWeights, optional
        For a loss that weighs background between objects.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        task: Task,
        classes: Sequence[ClassInfo],
        patch_size: tuple[int, ...],
        margin: tuple[int, ...],
        borders: BorderWeights | None = None,
    ) -> None:
        self.patch_size = patch_size
        self.margin = margin
        self._task = task
        self._loaded = [
            loaded
            for region in regions
            if len((loaded := _load(region, task, classes, borders)).annotated)
        ]
        sizes = [len(item.annotated) for item in self._loaded]
        weights = torch.tensor(sizes, dtype=torch.float64).sqrt()
        self._cumulative = torch.cumsum(weights / weights.sum(), 0)

    def __len__(self) -> int:
        return len(self._loaded)

    def keep_on(self, device: torch.device, free: int) -> bool:
        """Keep all images on `device` if they fit; patches are then cut out there.

        Parameters
        ----------
        device : torch.device
        free : int
            Free memory of the device in bytes.
        """
        needed = sum(cached_bytes(i.region, i.target) for i in self._loaded)
        if needed > SHARE.get(device.type, 0) * free:
            return False
        for item in self._loaded:
            item.cached = CachedRegion(item.region, item.target, device)
        return True

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """`batch_size` patches of normalised pixels and targets."""
        places = [self._place_one(generator) for _ in range(batch_size)]
        if self._loaded[0].cached is not None:
            return _cached_batch(places)
        drawn = [_cut(*place) for place in places]
        image = torch.from_numpy(np.stack([d[0] for d in drawn]))
        index = torch.from_numpy(np.stack([d[1] for d in drawn]).astype(np.int64))
        distance, values, weight = (
            _stacked([d[2][k] for d in drawn]) for k in range(3)
        )
        return Batch(image, index, distance, values=values, weight=weight)

    def _place_one(self, generator: Generator) -> _Place:
        """Where a patch is cut out."""
        r = torch.rand(3 + len(self.patch_size), generator=generator).tolist()
        pick = int(torch.searchsorted(self._cumulative, r[0]))
        item = self._loaded[min(pick, len(self._loaded) - 1)]
        voxels = item.annotated
        if r[1] < 0.5:
            voxels = item.anchors[int(r[1] * 2 * len(item.anchors))]
        anchor = voxels[int(r[2] * len(voxels))]
        start = [
            _place(int(a), size, stop - begin, jitter)
            for a, size, (begin, stop), jitter in zip(
                anchor, self.patch_size, item.region.box, r[3:], strict=True
            )
        ]
        start = [s - m for s, m in zip(start, self.margin, strict=True)]
        size = [d + 2 * m for d, m in zip(self.patch_size, self.margin, strict=True)]
        return item, start, size


def _cached_batch(places: Sequence[_Place]) -> Batch:
    patches = [
        item.cached.cut(start, size)
        for item, start, size in places
        if item.cached is not None
    ]
    maps: list[Tensor | None] = []
    for k in range(3):
        there = [m for p in patches if (m := p.maps[k]) is not None]
        maps.append(torch.stack(there) if there else None)
    distance, values, weight = maps
    image = torch.stack([p.image for p in patches])
    index = torch.stack([p.index for p in patches])
    return Batch(image, index, distance, values=values, weight=weight)


def _stacked(maps: Sequence[NDArray[Any] | None]) -> Tensor | None:
    """The same map of several patches; None where there is none."""
    there = [m for m in maps if m is not None]
    return torch.from_numpy(np.stack(there)) if there else None


def _place(anchor: int, size: int, length: int, jitter: float) -> int:
    """First voxel of a patch that holds `anchor` and, if it can, stays inside."""
    start = anchor - int(jitter * size)
    if size >= length:
        return -((size - length) // 2)
    return min(max(start, 0), length - size)


def _load(
    region: Region,
    task: Task,
    classes: Sequence[ClassInfo],
    borders: BorderWeights | None,
) -> _Loaded:
    annotation = region.annotation
    whole = make_target(annotation, region.sample, task, classes)
    if borders is not None:
        labels = annotation.read(region.sample)
        voxel_size = annotation.source.voxel_size
        whole = border_weights_of(whole, labels, classes, voxel_size, borders)
    target = whole.cut(region.box)
    chooser = np.random.default_rng(region.sample)
    present = [int(v) for v in np.unique(target.index) if v != UNANNOTATED]
    return _Loaded(
        region,
        target,
        anchors=[_voxels(target.index == value, chooser) for value in present],
        annotated=_voxels(target.index != UNANNOTATED, chooser),
    )


def _voxels(mask: NDArray[np.bool_], chooser: np.random.Generator) -> NDArray[np.int64]:
    """Positions in `mask`, at most `MAX_ANCHORS` of them, ``(n, (Z) Y X)``."""
    flat = np.flatnonzero(mask)
    if len(flat) > MAX_ANCHORS:
        flat = np.sort(chooser.choice(flat, MAX_ANCHORS, replace=False))
    return np.stack(np.unravel_index(flat, mask.shape), axis=1)


def _cut(item: _Loaded, start: Sequence[int], size: Sequence[int]) -> _Patch:
    """One patch; outside the region pixels are mirrored."""
    box = item.region.box
    lengths = [stop - begin for begin, stop in box]
    inside = [
        (max(0, s), min(n, s + d)) for s, d, n in zip(start, size, lengths, strict=True)
    ]
    pad = [
        (i[0] - s, s + d - i[1]) for i, s, d in zip(inside, start, size, strict=True)
    ]
    key = tuple(slice(*i) for i in inside)
    world = tuple((b[0] + i[0], b[0] + i[1]) for b, i in zip(box, inside, strict=True))
    pixels = item.region.annotation.source.read(item.region.sample, world)
    image = item.region.intensity.normalize(pixels)
    index = item.target.index[key]
    channels_first: tuple[Any, ...] = (..., *key)
    target = item.target
    maps = [
        None if m is None else m[channels_first]
        for m in (target.distance, target.values, target.weight)
    ]
    if any(p != (0, 0) for p in pad):
        image = np.pad(image, [(0, 0), *pad], mode="reflect")
        # Mirrored annotation teaches nothing that the annotation itself does not.
        index = np.pad(index, pad, constant_values=UNANNOTATED)
        maps = [
            None if m is None else np.pad(m, [(0, 0)] * (m.ndim - len(pad)) + pad)
            for m in maps
        ]
    return image, index, maps
