"""Probabilities of a box, quickly: for what a person looks at."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.config import Task
from napari_unet.data.source import Box
from napari_unet.device import autocast, memory_format
from napari_unet.live.patches import LivePatches
from napari_unet.live.reading import read_around
from napari_unet.networks.blocks import fold_batch_norm
from napari_unet.networks.pixel_unet import PixelUNet

HALO = {2: 48, 3: 16}
"""Context of a preview in voxels: less than an exact result has, for speed."""


class Previewer:
    """A network as it is now, ready to segment boxes.

    Parameters
    ----------
    network : PixelUNet
        It is copied; training goes on with the original.
    """

    def __init__(
        self,
        network: PixelUNet,
        task: Task,
        device: torch.device,
        precision: torch.dtype,
    ) -> None:
        self._device, self._precision, self._task = device, precision, task
        layout: Any = memory_format(device, len(network.divisor))
        copy: Any = fold_batch_norm(deepcopy(network))
        self._network = copy.to(device=device, memory_format=layout)

    def maps(self, patches: LivePatches, sample: int, box: Box) -> NDArray[np.float32]:
        """Probabilities ``K (Z) Y X`` of a box."""
        network = self._network
        pixels, unet = self._opinions(patches, sample, box, ask_unet=self._knows)
        logits = network.average(pixels[None], unet[None])[0]
        probability = logits.softmax(0) if self._task == "classes" else logits.sigmoid()
        found: NDArray[np.float32] = probability.cpu().numpy()
        return found

    def opinions(
        self, patches: LivePatches, sample: int, box: Box
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-probabilities of the classes: the classifier's and the U-Net's."""
        pixels, unet = self._opinions(patches, sample, box)
        if self._task == "objects":
            # Background against foreground; the distance is not asked.
            unet = torch.cat([torch.zeros_like(unet[:1]), unet[:1]])
        return pixels.cpu().numpy(), unet.log_softmax(0).cpu().numpy()

    @property
    def _knows(self) -> bool:
        """Whether the U-Net has learnt anything."""
        return bool(self._network.trust)

    def _opinions(
        self, patches: LivePatches, sample: int, box: Box, *, ask_unet: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the classifier and logits of the U-Net, in the box."""
        network = self._network
        reach = HALO[len(box)]
        halo = [min(reach, h) for h in network.halo]
        image, inside = read_around(patches, sample, box, halo, network.divisor)
        inner = (slice(None), *inside)
        with torch.inference_mode(), autocast(self._device, self._precision):
            features = network.scale_space(image.to(self._device))
            # Pixel by pixel: what lies around the box need not be classified.
            pixels = network.pixels(features[(slice(None), *inner)])[0].float()
            if ask_unet:
                return pixels, network.unet_logits(features)[0][inner]
        n_out = 2 if network.objects else len(pixels)
        return pixels, torch.zeros_like(pixels[:n_out])


def uncertainty(maps: NDArray[np.float32], task: Task) -> NDArray[np.float32]:
    """How undecided the network is, 0 … 1, ``(Z) Y X``: entropy over its maximum.

    Parameters
    ----------
    maps : ndarray, K (Z) Y X
    """
    if task == "objects":
        maps = np.stack([maps[0], 1 - maps[0]])
    p = np.clip(maps, 1e-6, 1.0)
    entropy: NDArray[np.float32] = -(p * np.log(p)).sum(axis=0) / np.log(len(p))
    return entropy
