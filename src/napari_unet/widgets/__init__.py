"""The napari side: the only package that imports napari, magicgui and Qt.

Nothing is imported until a widget is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_unet.widgets.predict import PredictWidget
    from napari_unet.widgets.train import TrainWidget

__all__ = ["make_predict_widget", "make_train_widget"]


def make_train_widget(napari_viewer: napari.Viewer | None = None) -> TrainWidget:
    """Make a *Train U-Net* widget for a viewer, by default the current one."""
    from napari_unet.widgets.train import TrainWidget

    return TrainWidget(_viewer(napari_viewer))


def make_predict_widget(napari_viewer: napari.Viewer | None = None) -> PredictWidget:
    """Make a *Predict U-Net* widget for a viewer, by default the current one."""
    from napari_unet.widgets.predict import PredictWidget

    return PredictWidget(_viewer(napari_viewer))


def _viewer(viewer: napari.Viewer | None) -> napari.Viewer:
    if viewer is not None:
        return viewer
    import napari

    current = napari.current_viewer()
    if current is None:
        raise RuntimeError("There is no napari viewer: open one first.")
    return current
