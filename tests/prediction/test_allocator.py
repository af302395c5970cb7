from __future__ import annotations

import sys

import numpy as np
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


def test_around_many_images_blocks_are_given_back_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    libc = Libc()
    monkeypatch.setattr(allocator, "_libc", lambda: libc)
    with large_blocks_kept():
        for _ in range(3):
            with large_blocks_kept():
                pass
        assert not libc.trimmed
        assert len(libc.told) == 2
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


@pytest.mark.parametrize("kept", [True, False])
def test_what_outlives_a_tile_is_an_ordinary_array(
    monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    if not kept or sys.platform != "linux":
        monkeypatch.setattr(allocator, "_libc", lambda: None)
    for shape in ((3, 700, 900), (2, 5)):  # above and below what lies apart
        array = allocator.empty_apart(shape, np.float32)
        array[:] = 7
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.flags.writeable
        assert float(array.sum()) == 7 * array.size
