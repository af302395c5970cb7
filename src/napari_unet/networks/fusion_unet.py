"""U-Net with an encoder for each channel, whose features are fused at every level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from napari_unet.networks.blocks import ConvBlock
from napari_unet.networks.unet import UNet


class FusionUNet(UNet):
    """A `UNet` that looks at each channel by itself before it puts them together.

    Late fusion, with features fused at every level as in Dolz et al. 2018
    (arXiv:1804.02967, there densely connected). While it learns, channels are left out
    now and then (Neverova et al. 2016, arXiv:1501.00102): an image in which one is
    missing, that is zero, is then still understood.

    Parameters
    ----------
    n_in, n_out, channels, strides, kernels, convolutions, stem, dropout, rescale
        As in :class:`~napari_unet.networks.unet.UNet`; each encoder is of that width.
    missing : float
        How often a channel is left out in training; one is always left.
    """

    encoder_inputs = 1
    """Channels that each encoder looks at."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        channels: Sequence[int],
        strides: Sequence[Sequence[int]],
        kernels: Sequence[Sequence[int]],
        convolutions: Sequence[int],
        stem: Sequence[int],
        dropout: float = 0.0,
        rescale: Sequence[float] | None = None,
        missing: float = 0.2,
    ) -> None:
        shape: Any = (channels, strides, kernels, convolutions, stem, dropout, rescale)
        super().__init__(1, n_out, *shape)
        self.missing = missing
        one = (1,) * len(stem)
        self.others = nn.ModuleList()
        for _ in range(n_in - 1):
            # Of its own weights: what `UNet` builds but for the way up.
            twin = UNet(1, 1, *shape)
            self.others.append(
                nn.ModuleDict({"stem": twin.stem, "encoder": twin.encoder})
            )
        self.fusions = nn.ModuleList(
            ConvBlock(n_in * width, width, one) if n_in > 1 else nn.Identity()
            for width in channels
        )

    def forward(self, image: Tensor) -> Tensor:
        """Logits ``N n_out (Z) Y X`` of an image ``N C (Z) Y X``."""
        if self.training and image.shape[1] > 1:
            image = image * self._kept(image)
        features = [self._encoded(image[:, :1], self.stem, self.encoder)]
        for number, other in enumerate(self.others, start=1):
            parts: Any = other
            channel = image[:, number : number + 1]
            features.append(self._encoded(channel, parts["stem"], parts["encoder"]))
        fused = [
            fusion(torch.cat(level, dim=1))
            for fusion, level in zip(
                self.fusions, zip(*features, strict=True), strict=True
            )
        ]
        return self.decoded(fused)

    def _encoded(self, image: Tensor, stem: nn.Module, encoder: Any) -> list[Tensor]:
        x = stem(image)
        found = []
        for level, block in enumerate(encoder):
            x = block(self.pools[level - 1](x) if level else x)
            found.append(x)
        return found

    def _kept(self, image: Tensor) -> Tensor:
        """Which channels of which images are looked at, ``N C 1 1 (1)``."""
        n, c = image.shape[:2]
        kept = torch.rand(n, c, device=image.device) >= self.missing
        # One is always left, drawn as well.
        alone = torch.rand(n, c, device=image.device).argmax(1, keepdim=True)
        kept.scatter_(1, alone, value=True)
        mask = kept.to(image.dtype).reshape(n, c, *[1] * (image.ndim - 2))
        return mask
