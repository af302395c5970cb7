"""The one engine process that all widgets of a napari process share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine

POLL_MS = 30
"""How often messages of the engine are delivered, in milliseconds."""


class EngineHost:
    """Owns the engine: starts it, delivers its messages, ends it with the program.

    Docked widgets get no close event, so the engine ends when the application does.
    """

    changed = Signal()
    """The engine's state or device is another one than before."""

    def __init__(self, engine: Engine, parent: QObject | None = None) -> None:
        self.engine = engine
        self._seen: tuple[str, str | None] = ("", None)
        self._timer = QTimer(parent)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)

    def start(self) -> None:
        """Start the process, so that the first Train does not wait for it."""
        self.engine.start()
        self._timer.start()

    def close(self) -> None:
        """End the process; it may be called twice."""
        self._timer.stop()
        self.engine.close()

    @property
    def device_text(self) -> str:
        """What to show of the engine: its device, or why there is none yet."""
        if self.engine.device:
            return self.engine.device
        if self.engine.state in ("crashed", "stopped"):
            return "not running; it starts again when it is needed."
        return "starting…"

    def _poll(self) -> None:
        self.engine.poll()
        seen = (self.engine.state, self.engine.device)
        if seen != self._seen:
            self._seen = seen
            self.changed.emit()


def _make_engine() -> Engine:
    from napari_unet.engine.client import Engine

    return Engine()


_host: EngineHost | None = None


def engine_host(make_engine: Callable[[], Engine] = _make_engine) -> EngineHost:
    """The host of this process; the first call makes it and starts the engine."""
    global _host
    if _host is None:
        app = QApplication.instance()
        if app is None:
            raise RuntimeError("the engine host needs a running Qt application")
        _host = EngineHost(make_engine(), app)
        app.aboutToQuit.connect(close_engine_host)
        _host.start()
    return _host


def close_engine_host() -> None:
    """End the engine; the next :func:`engine_host` makes a new one."""
    global _host
    host, _host = _host, None
    if host is not None:
        host.close()
