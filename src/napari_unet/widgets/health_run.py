"""The report on this computer, made in the engine. No Qt here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.widgets.runs import EngineRun

if TYPE_CHECKING:
    from napari_unet.engine.client import Engine


class HealthRun(EngineRun):
    """Asks the engine what it finds; see :mod:`napari_unet.doctor`."""

    task = "examine"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.findings: list[dict[str, str]] = []
        """Name, value, status and advice of each finding."""

    def start(self, seconds: float) -> None:
        """Look at everything, and measure the speed for some seconds, or not with 0."""
        self._submit({"seconds": seconds}, {}, {})
        if self.active:
            self.message = (
                f"Looking, and measuring for about {seconds:g} seconds…"
                if seconds
                else "Looking…"
            )
            self.changed.emit()

    def _on_task_event(self, event: dict[str, Any]) -> None:
        """It tells nothing while it runs."""

    def _on_done(self, result: dict[str, Any], *, stopped: bool) -> str:
        self.findings = list(result.get("findings", []))
        return ""

    def _on_lost(self, sentence: str) -> str:
        return sentence
