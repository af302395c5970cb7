"""Log files of engine processes: one each, the newest few kept."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime
from pathlib import Path
from typing import IO

from platformdirs import user_log_path

KEEP = 10
"""Number of log files that are kept."""

FOLDER_VARIABLE = "NAPARI_UNET_LOGS"
"""Environment variable that moves the log folder."""


def open_log(folder: Path | None = None) -> tuple[IO[bytes] | None, Path | None]:
    """A new log file and its path; both ``None`` where nothing can be written.

    Parameters
    ----------
    folder : Path, optional
        Default: the user's log folder, else the folder of temporary files.
    """
    moved = os.environ.get(FOLDER_VARIABLE)
    if folder is None and moved:
        folder = Path(moved).expanduser()
    standard = user_log_path("napari-unet-live", appauthor=False)
    fallback = Path(tempfile.gettempdir()) / "napari-unet-live-logs"
    for place in (folder or standard, fallback):
        now = datetime.now().astimezone()
        path = place / f"engine-{now:%Y%m%d-%H%M%S-%f}-{os.getpid()}.log"
        try:
            place.mkdir(parents=True, exist_ok=True)
            file = path.open("xb")
        except OSError:
            continue
        _prune(place)
        return file, path
    return None, None


def _prune(folder: Path) -> None:
    for path in sorted(folder.glob("engine-*.log"))[:-KEEP]:
        try:
            path.unlink()
        except OSError:
            # In use by another viewer (Windows), or gone: it is not worth a message.
            continue
