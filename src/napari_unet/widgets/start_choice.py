"""Choosing the first weights of a live run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import ComboBox
from psygnal import Signal

from napari_unet.config import TrainingConfig
from napari_unet.errors import ConfigError, ModelFileError
from napari_unet.models.info import ModelInfo
from napari_unet.models.library import list_models, model_name
from napari_unet.models.model_file import read_info
from napari_unet.widgets.layers import ImageSnapshot
from napari_unet.widgets.session import Session
from napari_unet.widgets.style import narrow

AUTOMATIC = "auto"
SCRATCH = "scratch"


class StartChoice:
    """Automatic, from scratch, or a model of the library."""

    changed = Signal()

    def __init__(self, news: Session) -> None:
        self._news = news
        self._cache: dict[tuple[Path, float], ModelInfo] = {}
        self.box = ComboBox(
            choices=[],
            tooltip="Automatic: the model that ships with the plugin, where it fits "
            "your strokes. Or go on from a model of yours",
        )
        narrow(self.box.native)
        self.box.changed.connect(self._on_changed)
        news.model_saved.connect(self.refresh)
        self.refresh()

    def close(self) -> None:
        """Listen to news no longer."""
        self._news.model_saved.disconnect(self.refresh)

    def refresh(self, _: Any = None) -> None:
        """Offer the models that are in the library now."""
        before = self.box.value
        with self.box.changed.blocked():
            self.box.choices = [
                ("Automatic", AUTOMATIC),
                ("From scratch", SCRATCH),
                *((model_name(path), path) for path in list_models()),
            ]
            self.box.value = before if before in self.box.choices else AUTOMATIC

    def start(self, image: ImageSnapshot, config: TrainingConfig) -> dict[str, Any]:
        """What the engine is told.

        Raises
        ------
        UserError
            If the model is gone, or is not for such images or this task.
        """
        chosen = self.box.value
        if not isinstance(chosen, Path):
            return {"kind": chosen or AUTOMATIC}
        check_fit(self._info(chosen), model_name(chosen), image, config)
        return {"kind": "model", "path": str(chosen)}

    def _info(self, path: Path) -> ModelInfo:
        try:
            key = (path, path.stat().st_mtime)
        except OSError as error:
            raise ModelFileError(
                f"The model {model_name(path)!r} is gone: choose another one under "
                "Start from."
            ) from error
        if key not in self._cache:
            self._cache = {key: read_info(path)}
        return self._cache[key]

    def _on_changed(self, _: Any = None) -> None:
        self.changed.emit()


def check_fit(
    info: ModelInfo, name: str, image: ImageSnapshot, config: TrainingConfig
) -> None:
    """See whether learning can start from a model.

    Raises
    ------
    ConfigError
        If not; the sentence says why.
    """
    source = image.source
    again = "choose another one under Start from"
    if info.task != config.task:
        raise ConfigError(
            f"The model {name!r} finds {info.task}, not {config.task}: {again}."
        )
    if info.ndim != source.ndim:
        raise ConfigError(
            f"The model {name!r} is a {info.ndim}D one, and a {source.ndim}D one is "
            f"needed here: {again}."
        )
    if info.n_channels != source.n_channels:
        raise ConfigError(
            f"The model {name!r} takes {info.n_channels} channel(s), and the image has "
            f"{source.n_channels}: {again}."
        )
