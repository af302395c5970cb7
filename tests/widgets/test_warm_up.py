"""Preparing napari's colours on a thread."""

from __future__ import annotations

import threading

import pytest

from napari_unet.widgets import warm_up


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


def test_what_is_compiled_works() -> None:
    pytest.importorskip("numba")
    warm_up._compile()
