"""A network of one's own: dilated convolutions at full resolution."""

import torch
from torch import nn


class DilatedNetwork(nn.Module):
    """Five convolutions that look further and further (Yu and Koltun 2016)."""

    def __init__(self, n_in, n_out, ndim, width=16, dropout=0.0, rescale=None):
        super().__init__()
        conv = {2: nn.Conv2d, 3: nn.Conv3d}[ndim]
        norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[ndim]
        rates = [1, 2, 4, 8, 1]
        layers = []
        for rate in rates:
            layers += [
                conv(n_in, width, 3, padding=rate, dilation=rate, bias=False),
                norm(width),
                nn.ReLU(),
            ]
            n_in = width
        self.body = nn.Sequential(*layers, nn.Dropout(dropout))
        # A last layer called `head` learns faster than the others.
        self.head = conv(width, n_out, 1)
        self.rescale = rescale
        # Sizes need not be divisible by anything, ...
        self.divisor = (1,) * ndim
        # ... and an output pixel sees 16 pixels to either side.
        self.halo = (sum(rates),) * ndim

    @classmethod
    def design(cls, request):
        """The arguments for some images, as plain values: they go into the model file.

        `request` knows n_in, n_out, ndim, patch, spacing, device ("cpu" or "gpu"),
        base_channels, levels, dropout and, for values, rescale.
        """
        return {
            "n_in": request.n_in,
            "n_out": request.n_out,
            "ndim": request.ndim,
            "width": request.base_channels or 16,
            "dropout": request.dropout,
            "rescale": request.rescale and list(request.rescale),
        }

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits N n_out (Z) Y X of a normalised image N n_in (Z) Y X."""
        out = self.head(self.body(image))
        if self.rescale is not None:
            offset, scale = self.rescale
            out = out.float() * scale + offset
        return out
