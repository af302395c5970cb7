from __future__ import annotations

import sys

import pytest

from napari_unet.prediction import allocator
from napari_unet.prediction.allocator import large_blocks_kept


class Libc:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.trimmed = 0

    def mallopt(self, what: int, value: int) -> int:
        self.told.append((what, value))
        return 1

    def malloc_trim(self, _: int) -> int:
        self.trimmed += 1
        return 1


def test_blocks_are_kept_and_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libc = Libc()
    monkeypatch.setattr(allocator, "_libc", lambda: libc)
    with large_blocks_kept():
        assert (allocator.MMAP_THRESHOLD, allocator.KEPT_BYTES) in libc.told
        assert not libc.trimmed
    assert (allocator.MMAP_THRESHOLD, allocator.USUAL_BYTES) in libc.told[2:]
    assert libc.trimmed == 1


@pytest.mark.parametrize("why", ["system", "chosen"])
def test_nothing_is_changed_elsewhere(
    monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    if why == "system":
        monkeypatch.setattr(sys, "platform", "darwin")
    else:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "100000")
    allocator._libc.cache_clear()
    try:
        assert allocator._libc() is None
        with large_blocks_kept():
            pass
    finally:
        allocator._libc.cache_clear()
