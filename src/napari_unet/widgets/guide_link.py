"""Ties the guide to *Train U-Net*: what is done there, and what its buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDockWidget

from napari_unet.widgets.guide import Guide, Progress
from napari_unet.widgets.session import Session

if TYPE_CHECKING:
    from napari_unet.widgets.train import TrainWidget

PLUGIN = "napari-unet-live"
SAMPLE = "nuclei_2d"
PREDICT = "Predict U-Net (U-Net Live)"


def open_predict(widget: TrainWidget) -> None:
    """Show *Predict U-Net* of the same viewer, opening it as the menu does."""
    from napari_unet.widgets.predict import PredictWidget

    window = widget.viewer.window
    around = widget.window()
    for dock in around.findChildren(QDockWidget) if around is not None else []:
        if dock.findChild(PredictWidget) is not None:
            break
    else:
        # The name that napari's menu gives it: it ticks and hides this one then.
        made = PredictWidget(widget.viewer, widget.host)
        dock = window.add_dock_widget(made, name=PREDICT)
    dock.show()
    dock.raise_()


class GuideLink:
    """Owns the guide of a *Train U-Net* widget."""

    def __init__(self, widget: TrainWidget, news: Session) -> None:
        self._widget = widget
        self._news = news
        self._ready = False
        self._predicted = False
        self.guide = Guide(self.progress)
        self.guide.acted.connect(self._on_acted)
        news.predicted.connect(self._on_predicted)

    def progress(self) -> Progress:
        """What is done by now."""
        widget = self._widget
        runs = (widget.run, widget.live.run)
        return Progress(
            image=bool(widget.image.layers()),
            annotated=widget.annotation_layer() is not None,
            painted=self._ready,
            trained=any(run.model_path is not None and not run.active for run in runs),
            predicted=self._predicted,
        )

    def close(self) -> None:
        """Listen to news no longer."""
        self._news.predicted.disconnect(self._on_predicted)

    def follow(self, *, ready: bool) -> None:
        """Take in whether something can be learnt from what was chosen."""
        self._ready = ready
        self.guide.refresh()

    def _on_predicted(self) -> None:
        self._predicted = True
        self.guide.refresh()

    def _on_acted(self, step: int) -> None:
        widget = self._widget
        if step == 0:
            widget.viewer.open_sample(PLUGIN, SAMPLE)
        elif step == 1:
            widget.new_annotation()
        else:
            open_predict(widget)
