"""Layers in two and three dimensions from one piece of code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CONV: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
CONV_TRANSPOSE: dict[int, type[nn.Module]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
BATCH_NORM: dict[int, type[nn.Module]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOL: dict[int, type[nn.Module]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOL: dict[int, type[nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}

Size = tuple[int, ...]


def being_exported() -> bool:
    """Whether a network is being written down, and must not decide by sizes."""
    jit: Any = torch.jit
    return bool(jit.is_tracing() or torch.compiler.is_compiling())


def initialise(network: nn.Module) -> None:
    """Normal weights that keep the spread from layer to layer (He et al. 2015)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def enlarge(image: Tensor, factors: Sequence[int]) -> Tensor:
    """Make ``N C (Z) Y X`` larger along (Z) Y X, linearly."""
    if max(factors) == 1:
        return image
    # Factors, not sizes: what is exported has to serve every size.
    scale: Any = tuple(float(f) for f in factors)
    mode = "bilinear" if len(factors) == 2 else "trilinear"
    return F.interpolate(image, scale_factor=scale, mode=mode, align_corners=False)


def total_stride(strides: Sequence[Sequence[int]]) -> Size:
    """How much coarser all strides together make a map, along (Z) Y X."""
    return tuple(math.prod(s) for s in zip(*strides, strict=True))


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation, ReLU; the size stays where the stride is 1.

    Batch normalisation does not look at the tile when predicting, so tiles fit
    together, and it folds into the convolution (:func:`fold_batch_norm`).

    Parameters
    ----------
    n_in, n_out : int
    kernel : tuple of int
        Along (Z) Y X.
    stride : sequence of int, optional
    dilation : int
        Distance between the voxels that the kernel looks at; 1 along axes on which the
        kernel has one voxel.
    groups : int
        Channels are convolved in so many groups; as many as channels is depthwise.
    activation : bool
        Without it the block ends with the normalisation, for sums.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: Size,
        stride: Sequence[int] | None = None,
        dilation: int = 1,
        groups: int = 1,
        activation: bool = True,
    ) -> None:
        ndim = len(kernel)
        spread = tuple(dilation if k > 1 else 1 for k in kernel)
        arguments: dict[str, Any] = {
            "kernel_size": tuple(kernel),
            "stride": tuple(stride or (1,) * ndim),
            "padding": tuple(k // 2 * d for k, d in zip(kernel, spread, strict=True)),
            "dilation": spread,
            "groups": groups,
            "bias": False,
        }
        super().__init__(
            CONV[ndim](n_in, n_out, **arguments),
            BATCH_NORM[ndim](n_out),
            nn.ReLU(inplace=True) if activation else nn.Identity(),
        )


class Beside(nn.Module):
    """Maps of the same size, one behind the other as channels, for the next block.

    A layer of its own, since prediction on the CPU does without the copy (see
    :mod:`napari_unet.prediction.fusion`).
    """

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """``N C (Z) Y X`` of both."""
        return torch.cat([skip, coarse], dim=1)


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
