"""Which inputs of two networks mean the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_unet.networks.pixel_unet import PixelUNet
from napari_unet.networks.scale_space import ScaleSpace

Feature = tuple[str, float, int]
"""What it is, its scale, and its channel."""


def input_matrix(
    own: nn.Module, n_own: int, given: nn.Module, n_given: int
) -> Tensor | None:
    """How much of each input of one network goes into each of another's, own × given.

    Parameters
    ----------
    own, given : nn.Module
        A `PixelUNet` looks at features of the image, of which the first are the image
        itself; others look at the image alone.
    n_own, n_given : int
        Channels of the image.

    Returns
    -------
    Tensor or None
        ``None`` where the inputs are the same. With other channels, each gets the mean
        over all, scaled so that the sum stays.
    """
    ours, theirs = _features(own, n_own), _features(given, n_given)
    if ours == theirs:
        return None
    matrix = torch.zeros(len(ours), len(theirs))
    for row, (kind, scale, channel) in enumerate(ours):
        for column, (other, other_scale, other_channel) in enumerate(theirs):
            if (kind, scale) != (other, other_scale):
                continue
            if n_own == n_given:
                matrix[row, column] = float(channel == other_channel)
            else:
                matrix[row, column] = 1 / n_own
    if isinstance(given, PixelUNet) and not isinstance(own, PixelUNet):
        # What it saw was divided by its spread.
        matrix /= given.pixels.std[: len(theirs)].detach().cpu()
    return matrix


def _features(network: nn.Module, n_channels: int) -> list[Feature]:
    image = [("image", 0.0, channel) for channel in range(n_channels)]
    if not isinstance(network, PixelUNet):
        return image
    space: ScaleSpace = network.fine
    # Largest and smallest curvature are found in 2D and in 3D.
    curvatures = ["largest", "smallest"] if space.ndim == 2 else []
    curvatures = curvatures or ["largest", "middle", "smallest"]
    kinds = ["smooth", "gradient", *curvatures]
    return image + [
        (kind, sigma, channel)
        for sigma in space.sigmas
        for kind in kinds
        for channel in range(n_channels)
    ]
