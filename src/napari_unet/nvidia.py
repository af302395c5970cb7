"""What torch was built for, what the driver of an NVIDIA card can run, and what fits.

For people who look for what is wrong; :mod:`.device` chooses where to compute. Nothing
here fails where torch is missing or broken.
"""

from __future__ import annotations

import re
import sys


def dotted(version: tuple[int, int]) -> str:
    """A version as it is written."""
    return f"{version[0]}.{version[1]}"


def torch_cuda() -> tuple[int, int] | None:
    """The CUDA that torch was built for."""
    try:
        import torch

        found = re.match(r"(\d+)\.(\d+)", torch.version.cuda or "")
    except Exception:  # noqa: BLE001 - told by the finding on the device
        return None
    return (int(found[1]), int(found[2])) if found else None


def torch_sees_cuda() -> bool:
    """Whether torch can compute on an NVIDIA or ROCm card."""
    try:
        import torch

        return torch.cuda.is_available()
    except Exception:  # noqa: BLE001 - told by the finding on the device
        return False


def torch_index(nvidia_smi: str) -> str:
    """PyTorch's index with a CUDA that the driver, by what it prints, can run."""
    driver = driver_cuda(nvidia_smi) or (13, 0)
    return (
        f"https://download.pytorch.org/whl/{'cu130' if driver >= (13, 0) else 'cu126'}"
    )


def driver_cuda(nvidia_smi: str) -> tuple[int, int] | None:
    """The newest CUDA that the driver can run, by what it prints."""
    match = re.search(r"CUDA[^:|]*Version\s*:\s*(\d+)\.(\d+)", nvidia_smi)
    return (int(match[1]), int(match[2])) if match else None


def torch_build() -> str:
    """What torch was built for, such as " for CUDA 13.0"."""
    try:
        import torch
    except Exception:  # noqa: BLE001 - told by the finding on the device
        return ""
    if torch.version.cuda:
        return f" for CUDA {torch.version.cuda}"
    if torch.version.hip:
        return f" for ROCm {torch.version.hip}"
    return " for Apple GPUs and CPU" if sys.platform == "darwin" else " for CPU"
