"""Preparing napari's colours on a thread."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_unet.widgets import warm_up
from napari_unet.widgets.annotation_layer import annotation_colors


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "napari-unet warm-up"]


def test_it_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[None] = []
    monkeypatch.setattr(warm_up, "_begun", threading.Event())
    monkeypatch.setattr(warm_up, "_compile", lambda: done.append(None))
    monkeypatch.setattr(warm_up, "find_spec", lambda _: object())
    for _ in range(3):
        warm_up.warm_up()
    for thread in threads():
        thread.join(10)
    assert done == [None]


def test_without_numba_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_up, "_begun", threading.Event())
    monkeypatch.setattr(warm_up, "find_spec", lambda _: None)
    warm_up.warm_up()
    assert not warm_up._begun.is_set()


def test_a_layer_finds_everything_compiled() -> None:
    pytest.importorskip("numba")
    from napari.layers import Labels
    from napari.utils.colormaps import _accelerated_cmap as napari_loops

    warm_up._compile()
    loops = (
        napari_loops._labels_raw_to_texture_direct_inner_loop,
        napari_loops._zero_preserving_modulo_inner_loop,
    )
    before = [len(loop.signatures) for loop in loops]
    assert min(before) >= 2
    for more in ({"colormap": annotation_colors()}, {}):
        layer = Labels(np.zeros((20, 30), np.int32), **more)
        layer.paint((5, 5), 2)
        layer.undo()
    assert [len(loop.signatures) for loop in loops] == before
