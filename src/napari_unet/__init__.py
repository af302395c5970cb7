"""U-Net Live: train and run a U-Net from a few annotations, in napari or without it.

Importing this package loads neither torch nor napari: the names below are resolved
when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.api import evaluate, load_model, predict, sensitivity, train
    from napari_unet.errors import UserError
    from napari_unet.measure import measure_objects
    from napari_unet.tracking import track

__version__ = "0.1.0"

__all__ = [
    "UserError",
    "__version__",
    "evaluate",
    "load_model",
    "measure_objects",
    "predict",
    "sensitivity",
    "track",
    "train",
]

_HOME = {
    "UserError": "napari_unet.errors",
    "evaluate": "napari_unet.api",
    "load_model": "napari_unet.api",
    "measure_objects": "napari_unet.measure",
    "predict": "napari_unet.api",
    "sensitivity": "napari_unet.api",
    "track": "napari_unet.tracking",
    "train": "napari_unet.api",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
