"""*Predict U-Net*: choose an image and a model, get editable labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_unet.errors import DataError, UserError
from napari_unet.widgets.copy_recipe import CopyButtons, original_of, prediction_job
from napari_unet.widgets.dock import DockWidget
from napari_unet.widgets.edit_layers import first_to_paint, remember_result
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.image_section import ImageSection
from napari_unet.widgets.image_store import ome_zarr_of
from napari_unet.widgets.limit_box import LimitBox
from napari_unet.widgets.mask_choice import MaskChoice
from napari_unet.widgets.model_section import NOT_ALLOWED, ModelSection, image_kinds
from napari_unet.widgets.object_tuning import ObjectTuning
from napari_unet.widgets.placement import add_with_label, result_layer
from napari_unet.widgets.predict_level import LevelChoice, on_level, seen_box
from napari_unet.widgets.predict_region import RegionEditor
from napari_unet.widgets.predict_stream import PredictionStream, look_of
from napari_unet.widgets.prediction_run import (
    PredictionRequest,
    PredictionResult,
    PredictionRun,
    results_folder,
    too_large_for_memory,
)
from napari_unet.widgets.progress import RunPanel
from napari_unet.widgets.sensitivity_run import SensitivityRun
from napari_unet.widgets.sensitivity_section import SensitivitySection
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.style import Colors, Message, narrow
from napari_unet.widgets.tuning_run import KeepRun, TuningRun

if TYPE_CHECKING:
    import napari

    from napari_unet.models.info import ModelInfo
    from napari_unet.reproduce import Recipe

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
        self._news = news
        self.run = PredictionRun(self.host.engine)
        form = self.add_form()
        self.image = ImageSection(self.viewer, form)
        self.model = ModelSection(form, news)
        self.level = LevelChoice(form)
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
        self.outside = MaskChoice(self.viewer, form)
        form.addRow("", self.probabilities.native)
        self.views = CheckBox(
            text="Average over flips and turns",
            tooltip="Often a little better, and eight times the work. Where the views "
            "disagree is one more layer beside the probabilities",
        )
        form.addRow("", self.views.native)
        self.resample = CheckBox(
            text="Resample to the model's pixel size",
            tooltip="Predict on pixels as large as those the model was trained on, and "
            "bring the result back to the pixels of the image",
        )
        form.addRow("", self.resample.native)
        self.store_folder = results_folder()
        self.into_image = True
        self.where = Message("quiet")
        self.elsewhere = QPushButton("Keep it elsewhere…")
        self.elsewhere.setToolTip("Choose the folder that large results are written to")
        self.elsewhere.clicked.connect(self.choose_folder)
        form.addRow("", self.where)
        form.addRow("", self.elsewhere)
        self.panel = RunPanel(self.run, "Predict")
        self.stream = PredictionStream(self.viewer, self.run, self)
        self.panel.button.clicked.connect(self.predict_or_stop)
        engine = self.host.engine
        self.tuning = ObjectTuning(
            self.viewer, TuningRun(engine), KeepRun(engine), self.request
        )
        self.add(self.tuning)
        self.add(self.panel)
        self.why = SensitivitySection(self.viewer, SensitivityRun(engine), self.request)
        self.add(self.why)
        self.editor = RegionEditor(self.viewer)
        self.add(self.editor)
        self.recipe = CopyButtons(self._recipe)
        self.add(self.recipe)
        self.add_device_line()
        self.layer_news.changed.connect(self.image.refresh)
        self.layer_news.changed.connect(self.outside.refresh)
        self.outside.changed.connect(self.check)
        self.tuning.controls.changed.connect(self.check)
        self.tuning.apply_wanted.connect(self._on_apply)
        self.tuning.kept.connect(self.model.refresh)
        self.image.changed.connect(self._on_image)
        self.model.changed.connect(self.check)
        self.level.changed.connect(self.check)
        self.region.changed.connect(self._on_region)
        self.limit.changed.connect(self.check)
        self.probabilities.changed.connect(self.check)
        self.resample.changed.connect(self.check)
        self.run.ended.connect(self._on_ended)
        self.run.store_ready.connect(self.stream.show_store)
        self.panel.refreshed.connect(self.stream.follow)
        self.apply_theme()
        self._on_image()

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
        layers, whole = self.image.layers(), self.image.snapshot()
        problem = model_problem(info, whole.source)
        if problem:
            raise DataError(problem)
        image = self.level.chosen(layers, whole, info)
        if self.resample.value:
            from napari_unet.prediction.resampling import Resampling

            Resampling.between(info, image.source)  # says which size is not known
        box = None
        if self.region.value == "view":
            box = seen_box(layers[0], image, self.viewer.dims)
        elif self.region.value == "box":
            box = self.limit.box
            if box is None:
                raise DataError("There is no box: choose the region again to draw one.")
            box = on_level(box, layers[0], image)
        large = box is None and too_large_for_memory(image.source)
        group = None
        if large and self.into_image and info.task != "regression":
            group = ome_zarr_of(layers[0])
        return PredictionRequest(
            image=image,
            model_path=path,
            info=info,
            box=box,
            probabilities=bool(self.probabilities.value),
            views=bool(self.views.value),
            store_folder=self.store_folder if large else None,
            store_group=group,
            resample=bool(self.resample.value),
            objects=self.tuning.wishes() if info.task == "objects" else {},
            mask=self.outside.array(image.source, whole.source.labels_shape),
            allow_code=self.model.code_allowed,
            layers=(*layers, self.outside.layer.value),
        )

    def _recipe(self) -> Callable[[], Recipe]:
        request, layers = self.request(), self.image.layers()
        only = original_of(layers[0]) if len(layers) == 1 else None
        return prediction_job(request, only)

    def check(self) -> None:
        """Say what is wrong beside the controls, or allow Predict."""
        place = None
        try:
            self.tuning.set_model(self._info())
            request = self.request()
            place = request.place
            self.tuning.set_request(request)
        except UserError as error:
            self.panel.set_problem(str(error))
        else:
            self.panel.set_problem("")
        self.where.say(
            f"So large a result is written to {place}. After a stop, Predict goes on "
            "with what is missing."
            if place
            else ""
        )
        self.elsewhere.setVisible(place is not None)

    def _info(self) -> ModelInfo | None:
        """The chosen model, if it can be read."""
        try:
            return self.model.info()
        except UserError:
            return None  # the sentence is shown by `check`

    def _on_apply(self) -> None:
        """Segment all of the image as its objects were adjusted."""
        if self.run.active:
            return
        self.tuning.preview.setChecked(False)
        self.region.value = "whole"
        self.predict()

    def choose_folder(self) -> None:
        """Ask where large results go."""
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder for large results", str(self.store_folder)
        )
        if chosen:
            self.store_folder = Path(chosen)
            self.into_image = False
            self.check()

    def _on_image(self) -> None:
        self.model.offer(image_kinds(self.image.layers()))
        self.level.offer(self.image.layers())
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
            if not self.model.may_run():
                self.panel.status.say(NOT_ALLOWED)
                return
            request = replace(request, allow_code=self.model.code_allowed)
        except UserError as error:
            self.panel.set_problem(str(error))
            return
        self.run.start(request)

    def _on_ended(self) -> None:
        result = self.run.result
        self.stream.end()
        if self.run.state in ("done", "stopped") and result is not None:
            self.add_result(result)
        if self.run.state == "done":
            self._news.predicted.emit()

    def add_result(self, result: PredictionResult) -> None:
        """Add the layers of a result; those that are there stay as they are."""
        from napari.layers import Image

        more = look_of(result.info)
        wanted = result.info.task != "regression"  # whose map is the result itself
        if wanted and result.probabilities is not None:
            names = [*result.info.maps, "disagreement of views"]
            for name, part in zip(names, result.probabilities, strict=False):
                shown = Image(
                    part.astype("float32"),
                    name=f"{name} ({result.name})",
                    contrast_limits=(0, 1),
                    visible=False,
                    **result.placement,
                )
                self.viewer.add_layer(shown)
        if result.info.task == "regression":
            values = Image(
                result.labels, name=result.name, colormap="inferno", **result.placement
            )
            self.viewer.add_layer(values)
            return
        labels = result_layer(result.labels, result.name, result.placement, **more)
        remember_result(labels, result.box, result.shape, result.info)
        add_with_label(self.viewer, labels, first_to_paint(result))

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self.model.refresh()  # the library is a folder: files come and go

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.panel.set_colors(colors)
        self.where.set_colors(colors)
        self.level.set_colors(colors)
        self.editor.set_colors(colors)
        self.recipe.set_colors(colors)
        self.tuning.set_colors(colors)
        self.why.set_colors(colors)
        self.model.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self.panel.close_run()
        self.tuning.close_run()
        self.why.close_run()
        self.model.close()
        self.limit.close()
        self.editor.close_editor()
        self.run.ended.disconnect(self._on_ended)
        self.run.store_ready.disconnect(self.stream.show_store)
        self.run.stop()
