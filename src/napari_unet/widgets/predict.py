"""*Predict U-Net*: choose an image and a model, get editable labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtGui import QShowEvent

from napari_unet.errors import DataError, UserError
from napari_unet.widgets.annotation_layer import class_colors, class_features
from napari_unet.widgets.dock import DockWidget
from napari_unet.widgets.edit_layers import remember_result
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.image_section import ImageSection
from napari_unet.widgets.limit_box import LimitBox
from napari_unet.widgets.model_section import ModelSection
from napari_unet.widgets.placement import displayed_box, result_layer
from napari_unet.widgets.prediction_run import (
    PredictionRequest,
    PredictionResult,
    PredictionRun,
)
from napari_unet.widgets.progress import RunPanel
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.style import Colors, narrow

if TYPE_CHECKING:
    import napari

REGIONS = [
    ("Whole image or stack", "whole"),
    ("Current view", "view"),
    ("Only inside a box", "box"),
]


class PredictWidget(DockWidget):
    """The *Predict U-Net* dock widget."""

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        host: EngineHost | None = None,
        news: Session = session,
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = PredictionRun(self.host.engine)
        form = self.add_form()
        self.image = ImageSection(self.viewer, form)
        self.model = ModelSection(form, news)
        self.region = ComboBox(
            choices=REGIONS,
            value="whole",
            tooltip="The current view is the plane and the part that you see now; "
            "a box is a rectangle in a Shapes layer, through all planes",
        )
        self.limit = LimitBox(self.viewer, self)
        narrow(self.region.native)
        self.probabilities = CheckBox(
            text="Probabilities as image layers",
            tooltip="Add one image layer for each map that the network makes",
        )
        form.addRow("Region", self.region.native)
        form.addRow("", self.probabilities.native)
        self.panel = RunPanel(self.run, "Predict")
        self.panel.button.clicked.connect(self.predict_or_stop)
        self.add(self.panel)
        self.add_device_line()
        self.layer_news.changed.connect(self.image.refresh)
        self.image.changed.connect(self._on_image)
        self.model.changed.connect(self.check)
        self.region.changed.connect(self._on_region)
        self.limit.changed.connect(self.check)
        self.run.ended.connect(self._on_ended)
        self.apply_theme()
        self.check()

    def request(self) -> PredictionRequest:
        """Everything that a prediction needs.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        from napari_unet.data.checks import model_problem

        path, info = self.model.path(), self.model.info()
        self.image.for_model(info.ndim, info.n_channels)
        image = self.image.snapshot()
        problem = model_problem(info, image.source)
        if problem:
            raise DataError(problem)
        box = None
        if self.region.value == "view":
            layer = self.image.layers()[0]
            box = displayed_box(layer, image.reading, self.viewer.dims)
        elif self.region.value == "box":
            box = self.limit.box
            if box is None:
                raise DataError("There is no box: choose the region again to draw one.")
        return PredictionRequest(
            image=image,
            model_path=path,
            info=info,
            box=box,
            probabilities=bool(self.probabilities.value),
        )

    def check(self) -> None:
        """Say what is wrong beside the controls, or allow Predict."""
        try:
            self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
        else:
            self.panel.set_problem("")

    def _on_image(self) -> None:
        self._aim()
        self.check()

    def _on_region(self, _: Any = None) -> None:
        self._aim()
        if self.region.value == "box":
            self.limit.draw()
        self.check()

    def _aim(self) -> None:
        """Look for the box in the image that is chosen now."""
        layers, reading = self.image.layers(), self.image.reading.value
        layer = layers[0] if layers else None
        first = reading is not None and reading.axes[0] == "C"
        self.limit.set_target(layer, channels_first=first)

    def predict_or_stop(self) -> None:
        """What the button does."""
        if self.run.active:
            self.run.stop()
        else:
            self.predict()

    def predict(self) -> None:
        """Start a prediction with what is chosen now."""
        try:
            request = self.request()
        except UserError as error:
            self.panel.set_problem(str(error))
            return
        self.run.start(request)

    def _on_ended(self) -> None:
        result = self.run.result
        if self.run.state == "done" and result is not None:
            self.add_result(result)

    def add_result(self, result: PredictionResult) -> None:
        """Add the layers of a result; those that are there stay as they are."""
        from napari.layers import Image

        more: dict[str, Any] = {}
        if result.info.task == "classes":
            classes = [c for c in result.info.classes if c.result_value]
            more["colormap"] = class_colors(classes)
            more["features"] = class_features({c.result_value: c.name for c in classes})
        if result.probabilities is not None:
            for name, part in zip(result.info.maps, result.probabilities, strict=True):
                shown = Image(
                    part.astype("float32"),
                    name=f"{name} ({result.name})",
                    contrast_limits=(0, 1),
                    visible=False,
                    **result.placement,
                )
                self.viewer.add_layer(shown)
        labels = result_layer(result.labels, result.name, result.placement, **more)
        remember_result(labels, result.box, result.shape, result.info)
        self.viewer.add_layer(labels)

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self.model.refresh()  # the library is a folder: files come and go

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.panel.set_colors(colors)
        self.model.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self.panel.close_run()
        self.model.close()
        self.limit.close()
        self.run.ended.disconnect(self._on_ended)
        self.run.stop()
