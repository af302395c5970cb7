"""All that is known about CUDA, MPS and CPU: choice, precision, memory, words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
import psutil
import torch

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


def memory_format(ndim: int) -> torch.memory_format:
    """Channels-last for 2D or 3D: what tensor cores and oneDNN like best."""
    return torch.channels_last if ndim == 2 else torch.channels_last_3d


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
