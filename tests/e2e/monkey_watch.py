"""What is looked at while a monkey plays: errors, annotations, leftovers."""

from __future__ import annotations

import sys
import threading
import traceback
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from qtpy.QtCore import QtMsgType, qInstallMessageHandler

DEFECTS = ("went wrong", "please report", "ended unexpectedly", "Traceback")
"""Words that no sentence for people has unless the program is to blame."""
OUR_MEMORY = "unetlive_"
OUR_FILES = ("napari-unet", "tmp", "foreign")
HARMLESS = (
    # Xvfb, and drivers in software, have less than a screen has.
    "OpenGL",
    "QOpenGL",
    "propagateSizeHints",
    "XDG_RUNTIME_DIR",
    "Unable to set geometry",
    "libEGL",
    "dbus",
    "xkbcommon",
    "QFont::setPointSize",
)

NAPARIS_OWN = (
    # The status bar in 3D before the mouse moved, where no dock of ours is open to
    # help (see widgets/look_direction.py). In napari 0.9.2 without us:
    #     viewer.add_labels(np.ones((4, 8, 8), int), features={"name": ["a", "b"]})
    #     viewer.dims.ndisplay, viewer.mouse_over_canvas = 3, True
    #     viewer.update_status_from_cursor()
    ("_calc_status_from_cursor", "_world_to_data_ray", "len() of unsized object"),
    # Painting by a script in labels that are hidden, with a contour, once the view is
    # another one: the pixels are painted, drawing them fails. In napari 0.9.2 without
    # us, without a contour:
    #     viewer.add_image(np.zeros((5, 64, 64)))
    #     layer = viewer.add_labels(np.zeros((64, 64), int))
    #     layer.visible = False
    #     viewer.dims.ndisplay = 3
    #     layer.data_setitem((np.arange(8), np.arange(8)), np.arange(8))
    ("_partial_labels_refresh", "_on_partial_labels_update", "scale_and_set_data"),
)
"""Defects of napari that are none of ours, by words that all are in their traceback."""


class Problems:
    """Collects whatever goes wrong anywhere in this process."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.doing = "begin"
        """The last actions, for the report."""

    def add(self, text: str) -> None:
        self.found.append(f"[{self.doing}] {text}")

    def listen(self) -> None:
        """Hear of every exception, also of those that Qt, threads and napari catch."""
        from napari.utils.notifications import notification_manager

        sys.excepthook = self._on_exception
        threading.excepthook = lambda a: self._on_exception(
            a.exc_type, a.exc_value, a.exc_traceback
        )
        sys.unraisablehook = lambda a: self._on_exception(
            a.exc_type, a.exc_value, a.exc_traceback
        )
        warnings.showwarning = self._on_warning
        notification_manager.notification_ready.connect(self._on_notification)
        qInstallMessageHandler(self._on_qt)

    def hear_sentence(self, source: str, sentence: str) -> None:
        """Judge what a widget says."""
        if any(word in sentence for word in DEFECTS):
            text = f"{source} says: {sentence}"
            if not any(text in known for known in self.found):
                self.add(text)

    def add_exception(self, error: BaseException) -> None:
        """An exception is a problem unless it is a known one of napari's."""
        text = "".join(traceback.format_exception(error))
        ours = "napari_unet" in text
        known = any(all(word in text for word in words) for words in NAPARIS_OWN)
        if ours or not known:
            self.add(text)

    def _on_exception(self, kind: Any, value: Any, trace: Any) -> None:
        self.add_exception(value.with_traceback(trace) if value else kind())

    def _on_warning(self, message: Any, category: Any, filename: str, *_: Any) -> None:
        if "napari_unet" in filename:
            self.add(f"{category.__name__}: {message} ({filename})")

    def _on_notification(self, notification: Any) -> None:
        text, severity = str(notification.message), str(notification.severity)
        if severity.lower() == "error":
            error = getattr(notification, "exception", None)
            if error is None:
                self.add(f"napari tells: {text}")
            else:
                self.add_exception(error)
        else:
            self.hear_sentence("a notification", text)

    def _on_qt(self, kind: Any, _: Any, text: str | None) -> None:
        loud = (QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg, QtMsgType.QtFatalMsg)
        if kind in loud and not any(word in str(text) for word in HARMLESS):
            self.add(f"Qt: {text}")


class Annotations:
    """Remembers what was painted, and says if any of it is lost."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._known: weakref.WeakKeyDictionary[Any, np.ndarray] = (
            weakref.WeakKeyDictionary()
        )

    def layers(self) -> list[Any]:
        return list(self._known)

    def keep(self, layer: Any) -> None:
        """Take what the layer holds now for right: it was edited on purpose."""
        self._known[layer] = np.array(layer.data)

    def check(self) -> None:
        """Painted pixels that nobody edited are as they were."""
        for layer, before in list(self._known.items()):
            now = np.asarray(layer.data)
            if now.shape != before.shape:
                self._problems.add(f"{layer.name} has another shape: {now.shape}")
            else:
                lost = (before != 0) & (now != before)
                if lost.any():
                    count = int(lost.sum())
                    self._problems.add(f"{layer.name} lost {count} painted pixels")
            self.keep(layer)


def leftovers(marker: str, folder: Path, memory_before: set[str]) -> list[str]:
    """Processes, shared memory and temporary files that outlived a program.

    Parameters
    ----------
    marker : str
        Part of an environment variable of the program and of whatever it started.
    folder : Path
        Where the program kept its temporary files.
    memory_before : set of str
        What :func:`shared_memory` said before it began.
    """
    found = [f"shared memory: {n}" for n in shared_memory() - memory_before]
    found += [f"file: {path}" for path in temporary_files(folder)]
    for process in psutil.process_iter():
        try:
            if marker in process.environ().values() and process.is_running():
                found.append(f"process: {process.pid} {process.cmdline()}")
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def shared_memory() -> set[str]:
    """Names of our shared memory on this machine; empty where it has no names."""
    folder = Path("/dev/shm")
    if not folder.is_dir():
        return set()
    return {p.name for p in folder.glob(f"{OUR_MEMORY}*")}


def temporary_files(folder: Path) -> list[Path]:
    """What lies in a folder of temporary files and may be ours."""
    return sorted(p for p in folder.iterdir() if p.name.startswith(OUR_FILES))
