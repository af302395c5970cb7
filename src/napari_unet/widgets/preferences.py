"""The model folder in napari's Preferences, where napari has room for plugins.

What counts is the program's own file of settings, which the command line and the engine
read, too. From napari 0.9 on, Preferences show the same folder; the side that was
changed last wins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_unet.errors import UserError
from napari_unet.models.library_settings import (
    choose_folder,
    chosen_folder,
    remember_preference,
    remembered_preference,
)
from napari_unet.widgets.session import Session, session

PLUGIN = "napari-unet-live"
AUTOMATIC = "auto"


class Preferences:
    """Keeps Preferences and our own setting the same, as long as napari runs."""

    def __init__(self, news: Session = session) -> None:
        self._news = news
        self._group: Any = None

    def follow(self) -> None:
        """Take over what was changed since, and listen; does nothing a second time."""
        if self._group is not None:
            return
        self._group = _group()
        if self._group is None:
            return
        shown, ours = str(self._group.folder), _text(chosen_folder())
        if shown != ours:
            if shown != remembered_preference():
                self._on_changed()
            else:
                self.show(chosen_folder())
        self._group.events.folder.connect(self._on_changed)

    def show(self, folder: Path | None) -> None:
        """Show in Preferences what was chosen elsewhere."""
        if self._group is not None:
            self._group.folder = _text(folder)
            remember_preference(_text(folder))

    def _on_changed(self, _: Any = None) -> None:
        from napari.utils.notifications import show_warning

        text = str(self._group.folder).strip()
        if text == _text(chosen_folder()):
            return
        try:
            choose_folder(Path(text) if text else None)
            remember_preference(text)
        except UserError as error:
            show_warning(str(error))
            return
        self._news.library_changed.emit()


def preferred_settings() -> dict[str, str]:
    """Device and precision of the user's Preferences; empty before napari 0.9."""
    group = _group("training")
    if group is None:
        return {}
    found = {name: getattr(group, name, AUTOMATIC) for name in ("device", "precision")}
    # napari may hand out a member of an enumeration.
    plain = {name: str(getattr(value, "value", value)) for name, value in found.items()}
    return {name: value for name, value in plain.items() if value != AUTOMATIC}


def _text(folder: Path | None) -> str:
    return "" if folder is None else str(folder)


def _group(name: str = "models") -> Any:
    """A group of our part of Preferences; ``None`` before napari 0.9."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    try:
        return getattr(get_plugin_settings(PLUGIN), name, None)
    except KeyError:  # the manifest is not known, as in a script
        return None


preferences = Preferences()
"""Of this process."""
