"""Layers in two and three dimensions from one piece of code."""

from __future__ import annotations

from typing import Any

from torch import nn

CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
CONV_TRANSPOSE: dict[int, type[nn.Module]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
BATCH_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}

Size = tuple[int, ...]


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU; the size stays.

    Batch normalisation does not look at the tile when predicting, so tiles fit
    together, and it folds into the convolution (:func:`fold_batch_norm`).
    """

    def __init__(self, n_in: int, n_out: int, kernel: Size) -> None:
        ndim = len(kernel)
        padding: Any = tuple(k // 2 for k in kernel)
        super().__init__(
            CONV[ndim](n_in, n_out, kernel, padding=padding, bias=False),
            BATCH_NORM[ndim](n_out),
            nn.ReLU(inplace=True),
        )


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation into the convolution before it, in place.

    Only for prediction: the network's statistics are fixed from here on.
    """
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    network.eval()
    for module in network.modules():
        if isinstance(module, ConvBlock) and not isinstance(module[1], nn.Identity):
            module[0] = fuse_conv_bn_eval(module[0], module[1])  # type: ignore[arg-type,type-var]
            module[1] = nn.Identity()
    return network


def count_parameters(network: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
