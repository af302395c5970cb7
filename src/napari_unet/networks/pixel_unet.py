"""A classifier of pixels and a U-Net that look at the same image, and are averaged.

For learning from a few strokes. The classifier is fitted in less than a second to
fixed multiscale features, like the random forests of interactive tools, and gives the
first answer; the U-Net, which sees those features, too, learns what takes context.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.networks.blocks import Size, being_exported
from napari_unet.networks.scale_space import SIGMAS, ScaleSpace
from napari_unet.networks.unet import UNet

CHUNK = {"cpu": 2**12, "gpu": 2**18}
"""Pixels that the classifier looks at together: few enough for a processor's cache."""
CENTRES_AT = 0.25
"""Share of the U-Net in the answer from which on it alone tells the centres of objects;
below, an object without clear centre is a connected part of the foreground."""
UNET_SIGMA = 4.0
"""The U-Net sees scales up to this one: it has its own way to look further."""


class PixelClassifier(nn.Module):
    """Small perceptrons on the features of single pixels, averaged.

    Several members, each fitted to its own draw of the annotation (bagging, Breiman
    1996), are surer together about what the annotation does not show.

    Parameters
    ----------
    n_features, n_classes : int
    members : int
        Perceptrons.
    hidden : int
        Width of their two hidden layers.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, n_features: int, n_classes: int, members: int, hidden: int
    ) -> None:
        super().__init__()
        self.members, self.n_classes = members, n_classes
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("std", torch.ones(n_features))
        widths = [n_features, hidden, hidden, n_classes]
        self.weights = nn.ParameterList(
            nn.Parameter(torch.randn(members, a, b) * math.sqrt(2 / a))
            for a, b in itertools.pairwise(widths)
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(members, 1, b)) for b in widths[1:]
        )

    def members_logits(self, values: Tensor) -> Tensor:
        """Logits ``E P K`` of standardised features ``P F`` or ``E P F``."""
        return torch.baddbmm(self.biases[-1], self._hidden(values), self.weights[-1])

    def _hidden(self, values: Tensor) -> Tensor:
        """What the last layer sees, ``E P H``."""
        first, *weights = list(self.weights)[:-1]
        bias, *biases = list(self.biases)[:-1]
        if values.ndim == 2:
            # One product for all members: several times faster than one for each.
            together = first.transpose(0, 1).flatten(1)
            x = torch.addmm(bias.flatten(), values, together)
            x = torch.unflatten(x, 1, (self.members, -1)).transpose(0, 1)
        else:
            x = torch.baddbmm(bias, values, first)
        for weight, bias in zip(weights, biases, strict=True):
            x = torch.baddbmm(bias, x.relu(), weight)
        return x.relu()

    def probability(self, values: Tensor) -> Tensor:
        """Mean probability ``K P`` of features ``P F``."""
        hidden = self._hidden(self.standardise(values))
        # Classes before pixels: the softmax over a short last axis takes longer than
        # the products.
        logits = torch.baddbmm(
            self.biases[-1].transpose(1, 2),
            self.weights[-1].transpose(1, 2),
            hidden.transpose(1, 2),
        )
        return logits.float().softmax(1).mean(0)

    def standardise(self, values: Tensor) -> Tensor:
        """Features ``P F`` of about unit spread."""
        return (values - self.mean) / self.std

    def forward(self, features: Tensor) -> Tensor:
        """Log-probabilities ``N K (Z) Y X`` of features ``N F (Z) Y X``."""
        n, f, *space = features.shape
        flat = features.movedim(1, -1).reshape(-1, f)
        chunk = CHUNK["cpu" if features.device.type == "cpu" else "gpu"]
        # What is exported has to serve every size: it must not remember how many
        # chunks there were.
        chunks = [flat] if being_exported() else torch.split(flat, chunk)
        parts = [self.probability(c).clamp(min=1e-4).log() for c in chunks]
        found = torch.cat(parts, dim=1)
        return found.reshape(self.n_classes, n, *space).transpose(0, 1)


class PixelUNet(nn.Module):
    """Geometric mean of the probabilities of a `PixelClassifier` and a `UNet`.

    Parameters
    ----------
    n_in, n_out : int
        Channels of the image and of the output logits.
    objects : bool
        Outputs are foreground and centre distance; the classifier knows the first.
    spacing : sequence of float
        Voxel size along (Z) Y X over the smallest one.
    members, hidden : int
        Of the classifier.
    unet : dict
        Arguments of the `UNet` but ``n_in`` and ``n_out``.

    Notes
    -----
    :attr:`trust` is the share of the U-Net in the mean: 0 while it has learnt nothing.
    """

    trust: Tensor

    def __init__(
        self,
        n_in: int,
        n_out: int,
        objects: bool,
        spacing: Sequence[float],
        members: int,
        hidden: int,
        unet: dict[str, Any],
    ) -> None:
        super().__init__()
        self.objects = objects
        self.scale_space = ScaleSpace(n_in, SIGMAS, spacing)
        n_fine = sum(sigma <= UNET_SIGMA for sigma in SIGMAS)
        per_scale = n_in * (2 + len(spacing))
        self.n_unet = n_in + n_fine * per_scale
        self.fine = ScaleSpace(n_in, SIGMAS[:n_fine], spacing)
        n_classes = 2 if objects else n_out
        self.pixels = PixelClassifier(
            self.scale_space.n_out, n_classes, members, hidden
        )
        self.unet = UNet(self.n_unet, n_out, **unet)
        self.register_buffer("trust", torch.zeros(()))

    @property
    def standardised(self) -> bool:
        """Whether the spread of the features was measured."""
        return bool((self.pixels.std != 1).any())

    def standardise(self, mean: Tensor, std: Tensor) -> None:
        """Take over the spread of the features, each ``F``."""
        self.pixels.mean.copy_(mean)
        self.pixels.std.copy_(std)

    @property
    def divisor(self) -> Size:
        """What sizes along (Z) Y X must be divisible by."""
        pairs = zip(self.scale_space.divisor, self.unet.divisor, strict=True)
        return tuple(math.lcm(a, b) for a, b in pairs)

    @property
    def halo(self) -> Size:
        """Context in voxels along (Z) Y X on which an output voxel may depend."""
        reaches = []
        for far, fine, net, d in zip(
            self.scale_space.reach,
            self.fine.reach,
            self.unet.halo,
            self.divisor,
            strict=True,
        ):
            reaches.append(math.ceil(max(far, fine + net) / d) * d)
        return tuple(reaches)

    def unet_logits(self, features: Tensor) -> Tensor:
        """Logits of the U-Net alone from features ``N F (Z) Y X``."""
        fine = features[:, : self.n_unet]
        shape = (1, -1) + (1,) * (features.ndim - 2)
        mean, std = self.pixels.mean[: self.n_unet], self.pixels.std[: self.n_unet]
        fine = (fine - mean.reshape(shape)) / std.reshape(shape)
        layout = torch.channels_last if features.ndim == 4 else torch.channels_last_3d
        if features.device.type == "mps":
            layout = torch.contiguous_format  # as `napari_unet.device` has it
        logits: Tensor = self.unet(fine.contiguous(memory_format=layout))
        return logits.float()

    def average(self, pixels: Tensor, unet: Tensor) -> Tensor:
        """Both opinions together, as logits.

        Parameters
        ----------
        pixels : Tensor, N K (Z) Y X
            Log-probabilities of the classifier.
        unet : Tensor, N n_out (Z) Y X
            Logits of the U-Net.
        """
        w = self.trust
        if not self.objects:
            return (1 - w) * pixels + w * unet.log_softmax(dim=1)
        foreground = pixels[:, 1:] - pixels[:, :1]
        together = (1 - w) * foreground + w * unet[:, :1]
        # The classifier knows no centres: the more it counts here, the more objects are
        # connected parts. Touching ones fall apart only if it soon counts no more.
        v = (w / CENTRES_AT).clamp(max=1.0)
        distance = (1 - v) * together + v * unet[:, 1:]
        return torch.cat([together, distance], dim=1)

    def opinions(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the classifier and logits of the U-Net."""
        features = self.scale_space(image)
        return self.pixels(features), self.unet_logits(features)

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        return self.average(*self.opinions(image))
