"""Keyboard shortcuts of *Train U-Net*, bound in code.

napari's Labels layers use the digits, most letters and the keys beside them for tools.
These are bound on the viewer, whose keys come after those of the selected layer, so
that nothing of napari's is taken away.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import napari

N_CLASSES = 9

KEYS: dict[str, str] = {
    **{f"class {n}": f"Control-{n}" for n in range(1, N_CLASSES + 1)},
    "new object": "N",
    "superpixels": "U",
    "train": "T",
    "preview": "H",
}
"""Keys in napari's spelling, by the name of what they do."""


def key_text(name: str) -> str:
    """The key as it is written on this computer's keyboard, such as ``Ctrl+1``."""
    control = "⌘" if sys.platform == "darwin" else "Ctrl+"
    return KEYS[name].replace("Control-", control)


def with_key(text: str, name: str) -> str:
    """A tooltip with its key."""
    return f"{text} ({key_text(name)})"


class Shortcuts:
    """Keys of one widget in its viewer, until :meth:`close`.

    Of two widgets in one viewer, the one that was made last hears the keys; when it
    closes, the other hears them again.

    Parameters
    ----------
    viewer : napari.Viewer
    actions : mapping of str to callable
        What to do, by the names in :data:`KEYS`; other keys stay free.
    """

    def __init__(
        self, viewer: napari.Viewer, actions: Mapping[str, Callable[[], Any]]
    ) -> None:
        unknown = set(actions) - set(KEYS)
        if unknown:
            raise ValueError(f"no keys for {sorted(unknown)}")
        self._viewer = viewer
        self._calls: dict[str, _Call] = {}
        for name, action in actions.items():
            bound = viewer.bind_key(KEYS[name], None)
            call = bound if isinstance(bound, _Call) else _Call(name, bound)
            call.actions.append(action)
            viewer.bind_key(KEYS[name], call)
            self._calls[name] = call
        self._actions = dict(actions)

    def close(self) -> None:
        """Hear the keys no longer; what was bound before is bound again."""
        for name, call in self._calls.items():
            call.actions.remove(self._actions[name])
            bound = self._viewer.bind_key(KEYS[name], None)
            if bound is call and not call.actions:
                bound = call.before
            if bound is not None:
                self._viewer.bind_key(KEYS[name], bound)
        self._calls.clear()


class _Call:
    """What is bound to a key: does what the youngest of its widgets wants."""

    def __init__(self, name: str, before: Any) -> None:
        self.before = before
        self.actions: list[Callable[[], Any]] = []
        self.__name__ = f"unet_{name.replace(' ', '_')}"
        self.__doc__ = f"U-Net: {name}"

    def __call__(self, viewer: Any) -> None:
        if self.actions:
            self.actions[-1]()
