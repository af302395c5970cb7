"""Choosing the first weights of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QStandardItemModel
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_unet.config import TrainingConfig
from napari_unet.errors import ConfigError, ModelFileError, UserError
from napari_unet.models.foreign import NETWORK as FOREIGN
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import list_models, model_name
from napari_unet.models.model_file import read_info
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.session import Session
from napari_unet.widgets.style import Colors, Message, narrow

AUTOMATIC = "auto"
SCRATCH = "scratch"


LIVE_NETWORK = "pixel_unet"
MAX_REASONS = 3
"""Models that do not fit beyond this number are not listed in words."""


class StartChoice(QWidget):
    """Automatic, from scratch, or a model of the library.

    Models that do not fit can be seen but not chosen; a sentence says why.
    """

    changed = Signal()

    def __init__(self, news: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._news = news
        self._cache: dict[tuple[Path, float], ModelInfo] = {}
        self._reasons: dict[Path, str] = {}
        self._live = True
        self._was_automatic = True
        self.box = ComboBox(
            choices=[],
            tooltip="Automatic: in 2D, what the model that comes with the plugin has "
            "learnt to see. Or begin with what a model of yours has learnt",
        )
        self.reasons = Message("quiet")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.box.native)
        layout.addWidget(self.reasons)
        narrow(self.box.native)
        self.box.changed.connect(self._on_changed)
        news.model_saved.connect(self.refresh)
        self.refresh()

    def close_news(self) -> None:
        """Listen to news no longer."""
        self._news.model_saved.disconnect(self.refresh)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.reasons.set_colors(colors)

    def show_for(self, *, live: bool) -> None:
        """Offer what a live run, or a complete training, can begin with."""
        if live == self._live:
            return
        self._live = live
        automatic = self.box.value == AUTOMATIC
        self.refresh()
        with self.box.changed.blocked():
            if live and self._was_automatic and self.box.value == SCRATCH:
                self.box.value = AUTOMATIC
        self._was_automatic = automatic

    def refresh(self, _: Any = None) -> None:
        """Offer the models that are in the library now."""
        before = self.box.value
        fixed = [("From scratch", SCRATCH)]
        if self._live:
            fixed.insert(0, ("Automatic", AUTOMATIC))
        with self.box.changed.blocked():
            self.box.choices = [
                *fixed,
                *((model_name(path), path) for path in list_models()),
            ]
            self.box.value = before if before in self.box.choices else fixed[0][1]
        self._reasons = {}

    def offer(self, image: ImageSnapshot, config: TrainingConfig) -> None:
        """Let only those models be chosen from which learning can begin here."""
        reasons = {}
        for choice in self.box.choices:
            if isinstance(choice, Path):
                try:
                    reason = self._why_not(self._info(choice), image, config)
                except UserError as error:
                    reason = str(error)
                if reason:
                    reasons[choice] = reason
        if reasons != self._reasons:
            self._reasons = reasons
            self._show_reasons()

    def start(self, image: ImageSnapshot, config: TrainingConfig) -> dict[str, Any]:
        """What the engine is told.

        Raises
        ------
        UserError
            If the model is gone, or is not for such images or this task.
        """
        chosen = self.box.value
        if not isinstance(chosen, Path):
            return {"kind": chosen or SCRATCH}
        reason = self._why_not(self._info(chosen), image, config)
        if reason:
            raise ConfigError(
                f"The model {model_name(chosen)!r} {reason}: choose another one under "
                "Start from."
            )
        return {"kind": "model", "path": str(chosen)}

    def _why_not(
        self, info: ModelInfo, image: ImageSnapshot, config: TrainingConfig
    ) -> str:
        """Why learning cannot begin with a model; empty if it can."""
        if info.network.name == FOREIGN:
            return "comes from another program"
        return why_not(info, image, config) if self._live else ""

    def _show_reasons(self) -> None:
        items = self.box.native.model()
        if isinstance(items, QStandardItemModel):
            for number, choice in enumerate(self.box.choices):
                item: Any = items.item(number)
                reason = self._reasons.get(choice) if choice else None
                item.setEnabled(not reason)
                item.setData(reason, Qt.ItemDataRole.ToolTipRole)
        listed = [
            f"{model_name(path)!r} {reason}" for path, reason in self._reasons.items()
        ]
        if len(listed) > MAX_REASONS:
            listed[MAX_REASONS:] = [f"and {len(listed) - MAX_REASONS} more"]
        self.reasons.say(f"Not for this: {'; '.join(listed)}." if listed else "")

    def _info(self, path: Path) -> ModelInfo:
        try:
            key = (path, path.stat().st_mtime)
        except OSError as error:
            raise ModelFileError(
                f"The model {model_name(path)!r} is gone: choose another one under "
                "Start from."
            ) from error
        if key not in self._cache:
            self._cache[key] = read_info(path)
        return self._cache[key]

    def _on_changed(self, _: Any = None) -> None:
        self.changed.emit()


def why_not(info: ModelInfo, image: ImageSnapshot, config: TrainingConfig) -> str:
    """Why a live run cannot begin with a model, as in "finds objects, not classes".

    Empty if it can.
    """
    source = image.source
    if info.network.name == FOREIGN:
        return "belongs to another program and can only predict"
    if info.network.name != LIVE_NETWORK:
        return "was not learnt while painting and has another network"
    if info.task != config.task:
        return f"finds {info.task}, not {config.task}"
    if info.ndim != source.ndim:
        return f"is a {info.ndim}D one, and a {source.ndim}D one is needed here"
    return ""
