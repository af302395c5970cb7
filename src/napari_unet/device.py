"""All that is known about CUDA, MPS and CPU: choice, precision, memory, words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib.metadata import version
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from napari_unet.config import DeviceName, PrecisionName
from napari_unet.errors import ConfigError

PRECISIONS: dict[str, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}

NOT_DETERMINISTIC = ".*deterministic"
"""How torch begins to tell that an operation cannot give the same bits each time."""


def pick_device(name: DeviceName = "auto") -> torch.device:
    """The device to compute on: CUDA before MPS before CPU where `name` is ``auto``.

    Raises
    ------
    ConfigError
        If the device asked for is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(n for n in ("cuda", "mps", "cpu") if available[n])
    if not available[name]:
        raise ConfigError(
            f"The device {name!r} is not available on this computer: choose 'auto', "
            "or run `napari-unet doctor` to see what to install."
        )
    return torch.device(name)


def pick_precision(
    device: torch.device, name: PrecisionName = "auto", *, ndim: int = 2
) -> torch.dtype:
    """Type in which convolutions run; weights and losses stay float32.

    bfloat16 needs an Ampere card or newer on CUDA, and AVX-512 bf16 or AMX on a CPU:
    elsewhere it is emulated and slower than float32.
    """
    if name != "auto":
        return PRECISIONS[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bfloat16() -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    # Private until torch 2.6 or so; its absence means "unknown", and float32 is safe.
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        check = getattr(torch.cpu, probe, None)
        if check is not None and check():
            return True
    return False


def memory_format(device: torch.device, ndim: int) -> torch.memory_format:
    """Channels-last for 2D or 3D: what tensor cores and oneDNN like best.

    Not on MPS: there it is no faster, and several versions of torch fail at it, or give
    wrong numbers without a word.
    """
    if device.type == "mps":
        return torch.contiguous_format
    return torch.channels_last if ndim == 2 else torch.channels_last_3d


# What a device can compute -----------------------------------------------------------

PROBE_SIZE = 8
"""Edge of the images on which operations are tried, in voxels."""
PROBE_ERROR = 0.02
"""Largest difference from the CPU, over the largest value; TF32 stays far below."""


class _Resampling(nn.Module):
    """What augmentation does to a batch of patches."""

    def forward(self, image: Tensor) -> Tensor:
        n, ndim = image.shape[0], image.ndim - 2
        turn = torch.eye(ndim, ndim + 1).mul(0.9).expand(n, -1, -1)
        size = list(image.shape)
        grid = F.affine_grid(turn.to(image.device), size, align_corners=False)
        how: dict[str, Any] = {"align_corners": False}
        smooth = F.grid_sample(image, grid, padding_mode="reflection", **how)
        return smooth + F.grid_sample(image, grid, mode="nearest", **how)


def _layers(*kinds: Callable[..., Any]) -> Callable[[int], nn.Module]:
    """A network of layers that are made for a number of dimensions."""
    return lambda ndim: nn.Sequential(*(kind(ndim) for kind in kinds))


def _convolutions(ndim: int) -> nn.Module:
    conv: Any = {2: nn.Conv2d, 3: nn.Conv3d}[ndim]
    norm: Any = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[ndim]
    # Some errors show only with certain numbers of channels.
    return nn.Sequential(
        conv(1, 8, 3, padding=1, bias=False), norm(8), nn.ReLU(),
        conv(8, 32, 3, stride=2, padding=1, bias=False), norm(32), nn.ReLU(),
        conv(32, 32, 3, padding=2, dilation=2), conv(32, 4, 1),
    )  # fmt: skip


OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "convolutions": _convolutions,
    "transposed convolutions": _layers(
        lambda n: {2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[n](1, 4, 2, 2)
    ),
    "pooling": _layers(lambda n: {2: nn.MaxPool2d, 3: nn.MaxPool3d}[n](2)),
    "averages": _layers(lambda n: {2: nn.AvgPool2d, 3: nn.AvgPool3d}[n](2)),
    "enlarging": _layers(
        lambda n: nn.Upsample(scale_factor=2.0, mode={2: "bilinear", 3: "trilinear"}[n])
    ),
    "mirrored borders": _layers(
        lambda n: {2: nn.ReflectionPad2d, 3: nn.ReflectionPad3d}[n](2)
    ),
    "continued borders": _layers(
        lambda n: {2: nn.ReplicationPad2d, 3: nn.ReplicationPad3d}[n](2)
    ),
    "resampling": _layers(lambda n: _Resampling()),
}
"""What networks and training are made of, in words."""
OF_IMAGES = frozenset({"mirrored borders", "continued borders", "resampling"})
"""Operations on images alone, for which nobody needs gradients."""

_computes: dict[tuple[str, int, str], bool] = {}


def lacking(device: torch.device, ndim: int, operations: Iterable[str]) -> list[str]:
    """Those of `operations` that a device cannot compute, or computes wrongly.

    Each is tried once, forwards and, where that is ever needed, backwards, and compared
    with the CPU: drivers and versions of torch differ in what they have, and some are
    wrong without an error.
    """
    if device.type == "cpu":
        return []
    return [o for o in sorted(operations) if not _known(device, ndim, o)]


def _known(device: torch.device, ndim: int, operation: str) -> bool:
    key = (str(device), ndim, operation)
    if key not in _computes:
        try:
            _computes[key] = _is_right(device, ndim, operation)
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                return True  # it says nothing about the operation
            _computes[key] = False
    return _computes[key]


def _is_right(device: torch.device, ndim: int, operation: str) -> bool:
    """Whether an operation gives what it gives on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = OPERATIONS[operation](ndim)
        image = torch.randn(2, 1, *[PROBE_SIZE] * ndim)
    slopes = operation not in OF_IMAGES
    expected = _tried(layers, image, torch.device("cpu"), slopes)
    found = _tried(deepcopy(layers), image, device, slopes)
    return all(
        bool((f - e).abs().max() <= PROBE_ERROR * e.abs().max())
        for f, e in zip(found, expected, strict=True)
    )


def _tried(
    layers: nn.Module, image: Tensor, device: torch.device, slopes: bool
) -> list[Tensor]:
    """Output and, if wanted, gradients of the image and of the weights, on the CPU."""
    how: Any = {
        "device": device,
        "memory_format": memory_format(device, image.ndim - 2),
    }
    moved = layers.to(**how)
    seen = image.to(**how).requires_grad_(slopes)
    found = [moved(seen)]
    if slopes:
        inputs = [seen, *moved.parameters()]
        found += torch.autograd.grad(found[0].square().sum(), inputs)
    return [t.detach().float().cpu() for t in found]


def device_for(
    name: DeviceName, ndim: int, operations: Iterable[str]
) -> tuple[torch.device, str]:
    """The device for a network of `ndim` dimensions that consists of `operations`.

    Where the device lacks one of them, it is the CPU: going to the CPU and back for
    each such layer would be slower than staying there.

    Returns
    -------
    device : torch.device
    note : str
        What to tell the user; empty where all is well.

    Raises
    ------
    ConfigError
        If the device that was asked for by its name is not there, or lacks something.
    """
    device = pick_device(name)
    missing = lacking(device, ndim, operations)
    if not missing:
        return device, ""
    why = (
        f"{title(device)} cannot compute {ndim}D {' and '.join(missing)} with torch "
        f"{torch.__version__}"
    )
    if name != "auto":
        raise ConfigError(f"{why}: choose 'auto' or 'cpu', or install a newer torch.")
    note = f"{why}, so the CPU is used: a newer torch or system may help."
    return torch.device("cpu"), note


def title(device: torch.device) -> str:
    """The name of a device for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"mps": "The Apple GPU (MPS)", "cpu": "The CPU"}.get(
        device.type, str(device)
    )


def free_memory(device: torch.device) -> int:
    """Free memory of the device in bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        allowed = torch.mps.recommended_max_memory()
        return max(0, int(allowed - torch.mps.driver_allocated_memory()))
    return int(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # The CPU allocator, cuDNN and MPS raise plain RuntimeErrors.
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "can't allocate memory" in text
    )


def release_memory(device: torch.device) -> None:
    """Give cached blocks back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


@contextmanager
def autocast(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """Run convolutions in `dtype`; does nothing for float32."""
    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
        yield


def seed_devices(device: torch.device) -> list[int]:
    """Devices whose random state a seeded piece of work touches, beside the CPU."""
    if device.type != "cuda":
        return []
    current: int = torch.cuda.current_device()
    index: int | None = device.index
    return [current if index is None else index]


@contextmanager
def deterministic(device: torch.device, *, wanted: bool) -> Iterator[list[str]]:
    """Let every operation give the same bits each time, where it can.

    Gives a list that holds, at the end, what torch says of operations that cannot.
    """
    told: list[str] = []
    if not wanted:
        yield told
        return
    # What cuBLAS asks for; read when it is first used.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.filterwarnings("always", message=NOT_DETERMINISTIC)
            yield told
        told += [str(w.message) for w in caught]
    finally:
        torch.use_deterministic_algorithms(before, warn_only=only_warned)
        torch.backends.cudnn.benchmark = benchmark


def describe(
    device: torch.device | None = None, precision: torch.dtype | None = None
) -> str:
    """The device in words, such as ``"CPU, 2 threads, bfloat16"``."""
    device = device or pick_device()
    precision = precision or pick_precision(device)
    short = str(precision).removeprefix("torch.")
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {short}"
    if device.type == "mps":
        return f"Apple GPU (MPS), {short}"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}, {short}"


def versions() -> dict[str, str]:
    """Versions that a model file records."""
    return {
        "napari-unet-live": version("napari-unet-live"),
        "numpy": np.__version__,
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda or ""),
    }
