"""What a model looked at: which pixels an object, or a piece of a class, hangs on."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.config import DeviceName
from napari_unet.data.normalization import IntensityRange, measure_range
from napari_unet.data.source import Box, ImageSource
from napari_unet.device import device_for
from napari_unet.errors import DataError
from napari_unet.models.model import Model
from napari_unet.networks.catalogue import operations_of
from napari_unet.networks.registry import Network
from napari_unet.prediction.blocks import inside
from napari_unet.prediction.predictor import Predictor, TileMaps
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.workflows.preparation import check_fit

AROUND = {2: 192, 3: 32}
"""Voxels around a point in which the object under it is looked for."""
CONTEXT = {2: 96, 3: 24}
"""Voxels around the object that the map covers, unless the network sees less."""
FOREGROUND = -1
"""Stands for the foreground of objects among the outputs of a network."""
COPIES = 16
"""Noisy copies of the image that gradients are averaged over."""
NOISE = 0.15
"""Standard deviation of the noise, in units of the normalised image."""
SMOOTHED = 1.0
"""Standard deviation in voxels by which the map is smoothed."""


@dataclass(frozen=True)
class Sensitivity:
    """What was found, in a box of one sample of an image."""

    map: NDArray[np.float32]
    """(Z) Y X: how much the output changes with each voxel, 0 to 1."""
    region: NDArray[np.bool_]
    """(Z) Y X: the object, or the piece of a class, that was asked about."""
    box: Box
    """Where both lie in the image, (Z) Y X."""
    what: str
    """Name of the class, or ``"object"``."""


def sensitivity(
    model: Model,
    source: ImageSource,
    point: Sequence[int],
    *,
    sample: int = 0,
    device: DeviceName = "auto",
    stop: Stop = never,
) -> Sensitivity:
    """Which pixels the object or the piece of a class at a point hangs on.

    The mean absolute gradient of the object's mean logit over noisy copies of the image
    (SmoothGrad, Smilkov et al. 2017, arXiv 1706.03825).

    Parameters
    ----------
    model : Model
    source : ImageSource
    point : sequence of int
        A voxel, (Z) Y X.
    sample : int
        Index along S.

    Raises
    ------
    DataError
        If the image does not fit the model, the point lies outside, or there is no
        object.
    Stopped
        If `stop` said so.
    """
    check_fit(model, source)
    if model.info.task == "regression":
        raise DataError(
            "This model predicts values: what it looked at can be shown for models of "
            "classes or objects."
        )
    point = [int(p) for p in point]
    shape = source.spatial_shape
    if len(point) != len(shape) or not all(
        0 <= p < n for p, n in zip(point, shape, strict=True)
    ):
        raise DataError("The point lies outside of the image: choose one inside.")
    operations = operations_of(model.info.network.name)
    chosen, _ = device_for(device, source.ndim, operations)
    intensity = measure_range(source, model.info.normalization)
    near = _grown(tuple((p, p + 1) for p in point), AROUND[source.ndim], shape)
    region, channel, what = _under(
        model, source, intensity, sample, point, near, chosen, stop
    )
    box = tuple(
        (a + int(w.min()), a + int(w.max()) + 1)
        for (a, _), w in zip(near, np.nonzero(region), strict=True)
    )
    box = _grown(box, _context(model.network, source.ndim), shape)
    box = tuple(
        (max(a, c), min(b, d)) for (a, b), (c, d) in zip(box, near, strict=True)
    )
    region = region[inside(box, near)]
    pixels = torch.from_numpy(intensity.normalize(source.read(sample, box)))
    network = deepcopy(model.network).to(chosen).eval().requires_grad_(False)
    found = smooth_gradient(
        network, pixels.to(chosen), torch.from_numpy(region).to(chosen), channel, stop
    )
    # Strided convolutions leave a pattern of single voxels in gradients.
    found = ndimage.gaussian_filter(found, SMOOTHED)
    top = float(found.max())
    return Sensitivity(found / top if top > 0 else found, region, box, what)


def smooth_gradient(
    network: nn.Module,
    pixels: Tensor,
    region: Tensor,
    channel: int,
    stop: Stop = never,
    *,
    copies: int = COPIES,
    noise: float = NOISE,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Mean absolute gradient of a region's mean logit over noisy copies of the pixels.

    Parameters
    ----------
    network : nn.Module
        In evaluation mode.
    pixels : Tensor, C (Z) Y X
        Normalised.
    region : Tensor of bool, (Z) Y X
    channel : int
        Which of the classes, or `FOREGROUND`.

    Returns
    -------
    ndarray of float32, (Z) Y X
        Sum over channels.
    """
    divisor = cast("Network", network).divisor
    pad: list[int] = []
    for n, d in zip(reversed(pixels.shape[1:]), reversed(divisor), strict=True):
        pad += [0, -n % d]
    padded = F.pad(pixels.unsqueeze(0), pad, mode="replicate")
    weight = F.pad(region.float(), pad) / region.sum()
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(padded.shape[2:], device=pixels.device)
    for _ in range(copies):
        if stop():
            raise Stopped
        drawn = torch.randn(padded.shape, generator=generator).to(pixels.device)
        noisy = (padded + noise * drawn).requires_grad_(True)
        logits = network(noisy).float()
        score = (_evidence(logits, channel) * weight).sum()
        (gradient,) = torch.autograd.grad(score, noisy)
        total += gradient[0].abs().sum(0)
    key = tuple(slice(0, n) for n in region.shape)
    return cast("NDArray[np.float32]", (total / copies)[key].cpu().numpy())


def _evidence(logits: Tensor, channel: int) -> Tensor:
    """How much speaks for a class against the others, or for foreground, (Z) Y X."""
    if channel == FOREGROUND:
        return logits[0, 0]  # the other output is a distance
    others = [k for k in range(logits.shape[1]) if k != channel]
    own = logits[0, channel]
    return own - logits[0, others].logsumexp(0) if others else own


def _context(network: nn.Module, ndim: int) -> int:
    reach = max(cast("Network", network).halo)
    return int(min(reach, CONTEXT[ndim]))


def _grown(box: Box, by: int, shape: Sequence[int]) -> Box:
    return tuple(
        (max(0, a - by), min(n, b + by)) for (a, b), n in zip(box, shape, strict=True)
    )


def _under(
    model: Model,
    source: ImageSource,
    intensity: IntensityRange,
    sample: int,
    point: Sequence[int],
    box: Box,
    device: torch.device,
    stop: Stop,
) -> tuple[NDArray[np.bool_], int, str]:
    """The object or piece of a class at a point: mask of the box, output, name."""
    info = model.info
    predictor = Predictor(model.network, info.task, device, torch.float32)
    maps: NDArray[Any] | None = None
    for part in predictor.run(source, intensity, sample, box, stop):
        if isinstance(part, TileMaps):
            if maps is None:
                shape = tuple(b - a for a, b in box)
                maps = np.zeros((len(part.maps), *shape), np.float32)
            maps[(slice(None), *part.tile.target)] = part.maps
    if maps is None:
        raise DataError("The image is empty there: choose another point.")
    at = tuple(p - a for p, (a, _) in zip(point, box, strict=True))
    if info.task == "objects":
        decoder = (info.decoder or DecoderInfo()).unconstrained()
        labels = decode_objects(maps[0], maps[1], decoder)
        if not labels[at]:
            raise DataError("The model finds no object there: choose a point on one.")
        return labels == labels[at], FOREGROUND, "object"
    index = maps.argmax(axis=0)
    channel = int(index[at])
    pieces, _ = ndimage.label(index == channel)
    return pieces == pieces[at], channel, info.classes[channel].name
