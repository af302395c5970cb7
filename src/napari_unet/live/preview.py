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
        layout: Any = memory_format(len(network.divisor))
        copy: Any = fold_batch_norm(deepcopy(network))
        self._network = copy.to(device=device, memory_format=layout)

    def maps(self, patches: LivePatches, sample: int, box: Box) -> NDArray[np.float32]:
        """Probabilities ``K (Z) Y X`` of a box."""
        network = self._network
        run = network if float(network.trust) else network.first_answer
        logits = self._run(run, patches, sample, box)[0]
        probability = logits.softmax(0) if self._task == "classes" else logits.sigmoid()
        found: NDArray[np.float32] = probability.cpu().numpy()
        return found

    def opinions(
        self, patches: LivePatches, sample: int, box: Box
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Log-probabilities of the classes: the classifier's and the U-Net's."""
        pixels, unet = self._run(self._network.opinions, patches, sample, box)
        if self._task == "objects":
            # Background against foreground; the distance is not asked.
            unet = torch.cat([torch.zeros_like(unet[:1]), unet[:1]])
        return pixels.cpu().numpy(), unet.log_softmax(0).cpu().numpy()

    def _run(
        self, function: Any, patches: LivePatches, sample: int, box: Box
    ) -> tuple[Tensor, ...]:
        network = self._network
        reach = HALO[len(box)]
        halo = [min(reach, h) for h in network.halo]
        image, inner = read_around(patches, sample, box, halo, network.divisor)
        with torch.inference_mode(), autocast(self._device, self._precision):
            out = function(image.to(self._device))
            parts = out if isinstance(out, tuple) else (out,)
            return tuple(p.float()[(0, slice(None), *inner)] for p in parts)


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
