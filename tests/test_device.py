from __future__ import annotations

import pytest
import torch

from napari_unet import device
from napari_unet.errors import ConfigError

CPU = torch.device("cpu")


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_fastest_device_is_chosen(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert device.pick_device().type == expected
    assert device.pick_device("cpu").type == "cpu"


def test_a_missing_device_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=False, mps=False)
    with pytest.raises(ConfigError, match="'cuda' is not available"):
        device.pick_device("cuda")


@pytest.mark.parametrize(("has", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_the_cpu_uses_bfloat16_only_where_it_is_fast(
    monkeypatch: pytest.MonkeyPatch, has: bool, expected: str
) -> None:
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: has)
    assert device.pick_precision(CPU) == getattr(torch, expected)
    assert device.pick_precision(CPU, "float16") == torch.float16
    assert expected in device.describe(CPU)


def test_old_cards_get_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: False)
    assert device.pick_precision(torch.device("cuda")) == torch.float16


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: …)"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, full: bool) -> None:
    assert device.is_out_of_memory(error) is full


def test_free_memory_is_plausible() -> None:
    assert 2**20 < device.free_memory(CPU) < 2**50
