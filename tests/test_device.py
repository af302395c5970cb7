from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_unet
from napari_unet import device, doctor
from napari_unet.errors import ConfigError
from napari_unet.networks.blocks import BATCH_NORM, CONV, CONV_TRANSPOSE
from napari_unet.networks.catalogue import operations_of, own_networks
from napari_unet.networks.design import NetworkRequest
from napari_unet.networks.registry import build_network, design_network
from napari_unet.training.events import Notice, Started

CPU = torch.device("cpu")
MPS = torch.device("mps")


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


# What a device can compute -----------------------------------------------------------


def apple(monkeypatch: pytest.MonkeyPatch, how: Any) -> list[str]:
    """Pretend an Apple GPU: `how` changes what an operation gave on the CPU."""
    pretend(monkeypatch, cuda=False, mps=True)
    monkeypatch.setattr(device, "_computes", {})
    asked: list[str] = []
    real, tried = device._is_right, device._tried

    def is_right(where: torch.device, ndim: int, operation: str) -> bool:
        asked.append(f"{ndim}D {operation}")
        return real(where, ndim, operation)

    def pretended(layers: Any, image: Any, where: torch.device, slopes: bool) -> Any:
        found = tried(layers, image, CPU, slopes)
        return found if where.type == "cpu" else how(asked[-1], found)

    monkeypatch.setattr(device, "_is_right", is_right)
    monkeypatch.setattr(device, "_tried", pretended)
    return asked


def no_pooling(operation: str, found: list[Tensor]) -> list[Tensor]:
    if operation == "3D pooling":
        raise NotImplementedError("'aten::max_pool3d_with_indices' is not implemented")
    return found


def wrong_gradients(operation: str, found: list[Tensor]) -> list[Tensor]:
    if operation == "3D convolutions":
        return [*found[:-1], found[-1] * 1.1]
    return [f * 1.001 for f in found]


def test_what_a_device_lacks_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = apple(monkeypatch, no_pooling)
    for _ in range(3):
        assert device.lacking(MPS, 3, device.OPERATIONS) == ["pooling"]
        assert device.lacking(MPS, 2, device.OPERATIONS) == []
    assert len(asked) == len(set(asked)) == 2 * len(device.OPERATIONS)


def test_where_a_device_lacks_something_the_cpu_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apple(monkeypatch, no_pooling)
    chosen, note = device.device_for("auto", 3, operations_of("unet"))
    assert chosen == CPU
    assert "The Apple GPU (MPS) cannot compute 3D pooling" in note
    assert "the CPU is used" in note
    # In 2D, and for a network that does not pool, the card is good enough.
    assert device.device_for("auto", 2, operations_of("unet")) == (MPS, "")
    assert device.device_for("auto", 3, operations_of("light_unet")) == (MPS, "")
    with pytest.raises(ConfigError, match=r"3D pooling .* choose 'auto' or 'cpu'"):
        device.device_for("mps", 3, operations_of("unet"))


def test_training_and_prediction_go_on_and_say_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    apple(monkeypatch, no_pooling)
    labels = np.zeros((8, 16, 16), np.uint8)
    labels[:, 4:12, 4:12] = 1
    image = labels * 100.0 + np.random.default_rng(0).normal(50, 5, labels.shape)
    told: list[Any] = []
    model = napari_unet.train(
        image, labels, annotation="complete", max_steps=1, base_channels=2,
        patch_size=(8, 16, 16), batch_size=2, on_event=told.append,
    )  # fmt: skip
    (started,) = (e for e in told if isinstance(e, Started))
    assert started.device.startswith("CPU")
    assert any("so the CPU is used" in note for note in started.notes)
    told.clear()
    labels = napari_unet.predict(model, image, on_event=told.append)
    assert labels.shape == image.shape
    notices = [e.text for e in told if isinstance(e, Notice)]
    assert any("cannot compute 3D pooling" in text for text in notices)


def test_wrong_numbers_are_as_bad_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    apple(monkeypatch, wrong_gradients)
    assert device.lacking(MPS, 3, device.OPERATIONS) == ["convolutions"]


def test_a_full_card_says_nothing_about_what_it_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(operation: str, found: list[Tensor]) -> list[Tensor]:
        raise RuntimeError("MPS backend out of memory")

    asked = apple(monkeypatch, full)
    assert device.lacking(MPS, 3, ["pooling"]) == []
    assert device.lacking(MPS, 3, ["pooling"]) == []
    assert len(asked) == 2


def test_every_operation_can_be_tried() -> None:
    for ndim in (2, 3):
        for name in device.OPERATIONS:
            out, *slopes = device._tried(
                device.OPERATIONS[name](ndim), torch.randn(2, 1, *[8] * ndim), CPU, True
            )
            assert out.abs().max() > 0, name
            assert all(s.abs().max() > 0 for s in slopes), name


def test_the_report_says_what_the_card_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    apple(monkeypatch, no_pooling)
    finding = doctor._operations()
    assert finding is not None
    assert finding.status == "warn"
    assert finding.value.startswith("3D pooling: networks that need them")
    apple(monkeypatch, lambda _, found: found)
    assert doctor._operations() is None


def test_apple_cards_get_plain_memory() -> None:
    assert device.memory_format(MPS, 3) == torch.contiguous_format
    assert device.memory_format(MPS, 2) == torch.contiguous_format
    assert device.memory_format(CPU, 3) == torch.channels_last_3d


KINDS = {
    "convolutions": tuple(CONV.values()) + tuple(BATCH_NORM.values()),
    "transposed convolutions": tuple(CONV_TRANSPOSE.values()),
}
OPERATORS = {
    "aten.max_pool": "pooling",
    "aten.avg_pool": "averages",
    "aten.upsample": "enlarging",
    "aten.reflection_pad": "mirrored borders",
    "aten.replication_pad": "continued borders",
}


class Names(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes which operators are called."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.seen.add(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", list(own_networks()))
def test_networks_say_what_they_are_made_of(name: str, ndim: int) -> None:
    request = NetworkRequest(2, 2, (32,) * ndim, (1.0,) * ndim, "gpu", base_channels=4)
    info, divisor = design_network(name, request)
    with torch.device("meta"):
        network = build_network(info)
        image = torch.empty(1, 2, *divisor)
    with Names() as names:
        network.eval()(image)
    found = {
        word
        for operator, word in OPERATORS.items()
        if any(seen.startswith(operator) for seen in names.seen)
    }
    for word, kinds in KINDS.items():
        if any(isinstance(m, kinds) for m in network.modules()):
            found.add(word)
    assert found <= operations_of(name)
    # What is asked for beyond that would send networks to the CPU for nothing.
    assert operations_of(name) - found <= {
        "transposed convolutions",
        "mirrored borders",
    }
