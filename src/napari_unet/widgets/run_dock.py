"""What dock widgets have in common that ask the engine for one thing at a time."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from napari_unet.errors import UserError
from napari_unet.widgets.dock import DockWidget
from napari_unet.widgets.progress import RunPanel
from napari_unet.widgets.style import Colors


class RunDock(DockWidget):
    """A dock widget with a run, and a button that starts and stops it."""

    run: Any
    """An :class:`EngineRun` whose ``start`` takes what :meth:`request` gives."""
    panel: RunPanel

    def add_run(self, verb: str) -> None:
        """Add the button and what belongs to it."""
        self.panel = RunPanel(self.run, verb)
        self.panel.button.clicked.connect(self.start_or_stop)
        self.add(self.panel)
        self.run.ended.connect(self._on_ended)

    @abstractmethod
    def request(self) -> Any:
        """Everything that is needed.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """

    @abstractmethod
    def _on_ended(self) -> None: ...

    def check(self, _: Any = None) -> None:
        """Say what is wrong beside the controls, or allow the button."""
        try:
            self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
        else:
            self.panel.set_problem("")

    def start_or_stop(self) -> None:
        """What the button does."""
        if self.run.active:
            self.run.stop()
        else:
            self.start()

    def start(self) -> None:
        """Start with what is chosen now, or say what is wrong."""
        try:
            request = self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
            return
        self.begin(request)

    def begin(self, request: Any) -> None:
        """Send a request to the engine."""
        self.run.start(request)

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.panel.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self.panel.close_run()
        self.run.ended.disconnect(self._on_ended)
        self.run.stop()
