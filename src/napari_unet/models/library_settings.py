"""Where the user wants the model folder: one small file, read by every process."""

from __future__ import annotations

import json
import os
from pathlib import Path

from platformdirs import user_config_path

from napari_unet.errors import UserError
from napari_unet.files import atomic_file

SETTINGS_VARIABLE = "NAPARI_UNET_SETTINGS"
"""Environment variable that moves the file of settings."""
FOLDER_KEY = "model_folder"
PREFERENCE_KEY = "preference_seen"
MAX_BYTES = 2**20


class SettingsError(UserError):
    """A setting that cannot be kept."""


def settings_path() -> Path:
    """The file of settings; it may not exist yet."""
    moved = os.environ.get(SETTINGS_VARIABLE)
    if moved:
        return Path(moved).expanduser()
    return user_config_path("napari-unet-live", appauthor=False) / "settings.json"


def chosen_folder() -> Path | None:
    """The folder that the user chose for models; ``None`` for the usual one."""
    text = _read().get(FOLDER_KEY)
    return Path(text).expanduser() if isinstance(text, str) and text else None


def choose_folder(folder: Path | None) -> None:
    """Keep models in another folder from now on; ``None``: in the usual one again.

    Models that are there already stay where they are.

    Raises
    ------
    SettingsError
        If the folder cannot be made or written to, or the setting cannot be kept.
    """
    settings = _read()
    settings.pop(FOLDER_KEY, None)
    if folder is not None:
        folder = folder.expanduser().absolute()
        _check_writable(folder)
        settings[FOLDER_KEY] = str(folder)
    _write(settings)


def remembered_preference() -> str:
    """What the viewer's Preferences said about the folder when they were last seen."""
    text = _read().get(PREFERENCE_KEY, "")
    return text if isinstance(text, str) else ""


def remember_preference(text: str) -> None:
    """Keep what Preferences say, so that a later change of them is noticed."""
    if text != remembered_preference():
        _write({**_read(), PREFERENCE_KEY: text})


def kept_setting(key: str) -> object:
    """What was kept under a name; ``None`` where nothing was."""
    return _read().get(key)


def keep_setting(key: str, value: bool | str) -> None:
    """Keep a value for the next time.

    Raises
    ------
    SettingsError
        If the file of settings cannot be written.
    """
    _write({**_read(), key: value})


def _write(settings: dict[str, object]) -> None:
    try:
        with atomic_file(settings_path()) as file:
            file.write(json.dumps(settings, indent=1).encode())
    except OSError as error:
        raise SettingsError(
            f"The choice could not be kept in {settings_path()} "
            f"({error.strerror or error}): make room there, or set the environment "
            f"variable {SETTINGS_VARIABLE} to another file."
        ) from error


def _read() -> dict[str, object]:
    try:
        with settings_path().open("rb") as file:
            plain = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}  # nothing was chosen yet, or by hand and wrongly
    return plain if isinstance(plain, dict) else {}


def _check_writable(folder: Path) -> None:
    try:
        with atomic_file(folder / "try.txt") as file:
            file.write(b"")
        (folder / "try.txt").unlink()
    except OSError as error:
        raise SettingsError(
            f"Models cannot be kept in {folder} ({error.strerror or error}): choose a "
            "folder that you may write to."
        ) from error
