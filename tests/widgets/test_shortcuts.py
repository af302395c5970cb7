"""Keys do what they say, and are given back."""

from __future__ import annotations

from typing import Any

import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import KeymapHandler, coerce_keybinding
from napari.utils.shortcuts import default_shortcuts

from napari_unet.widgets.shortcuts import KEYS, Shortcuts, key_text, with_key


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


def press(viewer: ViewerModel, key: str) -> None:
    """Press a key as the canvas does: the layer's keys first, then the viewer's."""
    handler = KeymapHandler()
    active = viewer.layers.selection.active
    handler.keymap_providers = [viewer] if active is None else [active, viewer]
    handler.press_key(key)


def test_no_key_of_napari_is_taken() -> None:
    taken = {str(key) for keys in default_shortcuts.values() for key in keys}
    ours = {str(coerce_keybinding(key)) for key in KEYS.values()}
    assert len(ours) == len(KEYS)
    assert not ours & (taken - {"T"})
    # T makes a path in a Shapes layer, whose own keys come first.
    owners = [n for n, keys in default_shortcuts.items() if "T" in map(str, keys)]
    assert owners == ["napari:activate_add_path_mode"]


def test_keys_do_what_they_say(viewer: ViewerModel) -> None:
    done: list[str] = []
    actions = {name: lambda name=name: done.append(name) for name in KEYS}
    Shortcuts(viewer, actions)
    for key in KEYS.values():
        press(viewer, key)
    assert done == list(KEYS)


def test_keys_work_beside_the_tools_of_a_labels_layer(viewer: ViewerModel) -> None:
    import numpy as np

    done: list[str] = []
    Shortcuts(viewer, {"class 2": lambda: done.append("class 2")})
    layer = viewer.add_labels(np.zeros((4, 4), int))
    viewer.layers.selection.active = layer
    press(viewer, KEYS["class 2"])
    assert done == ["class 2"]


def test_keys_are_free_again(viewer: ViewerModel) -> None:
    before = dict(viewer.keymap)
    Shortcuts(viewer, dict.fromkeys(KEYS, int)).close()
    assert viewer.keymap == before


def test_what_others_bound_is_given_back(viewer: ViewerModel) -> None:
    heard: list[str] = []

    @viewer.bind_key("N")
    def theirs(_: Any) -> None:
        heard.append("theirs")

    ours = Shortcuts(viewer, {"new object": lambda: heard.append("ours")})
    press(viewer, "N")
    ours.close()
    press(viewer, "N")
    assert heard == ["ours", "theirs"]


def test_what_others_bind_later_stays(viewer: ViewerModel) -> None:
    ours = Shortcuts(viewer, {"new object": int})
    heard: list[str] = []
    viewer.bind_key("N", lambda _: heard.append("theirs"), overwrite=True)
    ours.close()
    press(viewer, "N")
    assert heard == ["theirs"]


@pytest.mark.parametrize("first_to_close", [0, 1])
def test_two_widgets_do_not_fight(viewer: ViewerModel, first_to_close: int) -> None:
    heard: list[int] = []
    both = [Shortcuts(viewer, {"train": lambda n=n: heard.append(n)}) for n in range(2)]
    press(viewer, "T")
    assert heard == [1]  # once, in the younger
    both[first_to_close].close()
    press(viewer, "T")
    assert heard == [1, 1 - first_to_close]
    both[1 - first_to_close].close()
    press(viewer, "T")
    assert len(heard) == 2
    assert not viewer.keymap
    both[0].close()  # once more does no harm


def test_viewers_have_keys_of_their_own(viewer: ViewerModel) -> None:
    heard: list[str] = []
    other = ViewerModel()
    Shortcuts(viewer, {"train": lambda: heard.append("first")})
    second = Shortcuts(other, {"train": lambda: heard.append("second")})
    press(viewer, "T")
    second.close()
    press(viewer, "T")
    press(other, "T")
    assert heard == ["first", "first"]


def test_keys_are_written_as_on_the_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert with_key("Paint membrane", "class 3") == "Paint membrane (Ctrl+3)"
    assert key_text("new object") == "N"
    monkeypatch.setattr("sys.platform", "darwin")
    assert key_text("class 3") == "⌘3"


def test_unknown_actions_are_refused(viewer: ViewerModel) -> None:
    with pytest.raises(ValueError, match="dance"):
        Shortcuts(viewer, {"dance": int})
