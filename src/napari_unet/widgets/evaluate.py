"""*Evaluate*: how well a prediction agrees with a reference, and where it does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, LineEdit
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_unet.config import AnnotationRule, Task
from napari_unet.errors import DataError, UserError
from napari_unet.evaluation.kinds import COLORS, KINDS
from napari_unet.evaluation.numbers import parse_numbers
from napari_unet.evaluation.writing import write_text
from napari_unet.widgets.annotation_layer import remember_rule, rule_of
from napari_unet.widgets.annotation_section import MEANINGS, RULES, TASKS
from napari_unet.widgets.box_layer import PREVIEW_METADATA, is_preview
from napari_unet.widgets.edit_layers import original_of
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.evaluate_folders import FolderSection
from napari_unet.widgets.evaluate_run import (
    EvaluationRequest,
    EvaluationResult,
    EvaluationRun,
    LayersCompared,
)
from napari_unet.widgets.evaluate_view import ResultView
from napari_unet.widgets.layer_choice import LayerChoice
from napari_unet.widgets.navigation import Flash, move_to
from napari_unet.widgets.placement import result_layer
from napari_unet.widgets.readings import layer_shape, level_zero
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.style import Colors, Message, narrow, show_row

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels, Layer

KINDS_COMPARED = [("Two layers", "layers"), ("Two folders", "folders")]


class EvaluateWidget(RunDock):
    """The *Evaluate* dock widget."""

    def __init__(
        self, napari_viewer: napari.Viewer, host: EngineHost | None = None
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = EvaluationRun(self.host.engine)
        self._flash = Flash(self.viewer)
        self._shown: Layer | None = None
        """The layer that rows of the list refer to."""
        self._make_form()
        self.add_run("Evaluate")
        self.view = ResultView()
        self.add(self.view)
        self.add(self._make_buttons())
        self.note = Message()
        self.add(self.note)
        self._connect()
        self.apply_theme()
        self._on_kind()
        self._on_layers()

    def _make_form(self) -> None:
        self.form = form = self.add_form()
        self.kind = ComboBox(
            choices=KINDS_COMPARED, tooltip="Layers of this viewer, or files on disk"
        )
        form.addRow("Compare", self.kind.native)
        self.prediction = ComboBox(
            choices=[], tooltip="The Labels layer that is to be judged"
        )
        form.addRow("Prediction", self.prediction.native)
        missing = "There is no Labels layer to compare with: open or paint a reference."
        self.truth = LayerChoice(self.viewer, form, "Labels", missing)
        self.truth.layer.tooltip = "The Labels layer that is taken for true"
        title = form.labelForField(self.truth.layer.native)
        if title is not None:
            title.setText("Reference")  # type: ignore[attr-defined]
        self.image = ComboBox(choices=[], tooltip="Shown in the report", nullable=True)
        form.addRow("Image", self.image.native)
        self.folders = FolderSection(form)
        self.task = ComboBox(
            choices=[t for t in TASKS if t[1] != "regression"],
            tooltip="Objects are matched one to one; classes pixel by pixel",
        )
        form.addRow("Find", self.task.native)
        self.rule = ComboBox(choices=RULES, tooltip="What 0 means in the reference")
        form.addRow("Rule", self.rule.native)
        self.meaning = Message("quiet")
        form.addRow("", self.meaning)
        self.renumber = LineEdit(
            tooltip="2=1, 3=2 says that 2 in the prediction is 1 in the reference, "
            "and 3 is 2; a lone class needs no such word"
        )
        self.renumber.native.setPlaceholderText("numbers agree")
        form.addRow("Renumber", self.renumber.native)
        self.pieces = CheckBox(
            text="Compare connected pieces, too",
            tooltip="V_Rand and V_Info of what membranes or walls part",
        )
        form.addRow("", self.pieces.native)
        for box in (self.kind, self.prediction, self.image, self.task, self.rule):
            narrow(box.native)

    def _make_buttons(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.save_scores = QPushButton("Save scores…")
        self.save_scores.setToolTip("All scores as a table (CSV)")
        self.save_report = QPushButton("Save report…")
        self.save_report.setToolTip("A page with pictures, curves and tables (HTML)")
        for button in (self.save_scores, self.save_report):
            button.setEnabled(False)
            layout.addWidget(button)
        return row

    def _connect(self) -> None:
        self.layer_news.changed.connect(self._on_layers)
        self.kind.changed.connect(self._on_kind)
        self.truth.changed.connect(self._on_truth)
        self.prediction.changed.connect(self._on_prediction)
        self.image.changed.connect(self.check)
        self.folders.changed.connect(self._on_folders)
        self.task.changed.connect(self._on_task)
        self.rule.changed.connect(self._on_rule)
        self.renumber.changed.connect(self.check)
        self.save_scores.clicked.connect(self._ask_for_csv)
        self.save_report.clicked.connect(self._ask_for_report)
        self.view.chosen.connect(self.go_to)
        self.run.changed.connect(self._allow)

    # What is chosen --------------------------------------------------------------

    def _on_layers(self) -> None:
        """Offer the layers that the viewer has now."""
        from napari.layers import Image, Labels

        layers = [x for x in self.viewer.layers if not is_preview(x)]
        labels = [x for x in layers if isinstance(x, Labels)]
        before = self.prediction.value
        with self.prediction.changed.blocked():
            self.prediction.choices = [(x.name, x) for x in labels]
            if before not in labels and labels:
                made = [x for x in labels if original_of(x) is not None]
                self.prediction.value = (made or labels)[-1]
        self.truth.refresh()
        self._keep_apart(labels)
        if self.prediction.value is not before:
            self._follow_prediction()
        images = [x for x in layers if isinstance(x, Image)]
        before_image = self.image.value
        with self.image.changed.blocked():
            self.image.choices = [(x.name, x) for x in images]
            if before_image not in images:
                self.image.value = images[0] if images else None
        self.check()

    def _keep_apart(self, labels: list[Labels]) -> None:
        """Choose a reference and a prediction where both are one layer."""
        if self.prediction.value is not self.truth.layer.value or len(labels) < 2:
            return
        # What somebody has said a rule about is more likely a reference.
        known = [x for x in labels if rule_of(x) is not None]
        others = [x for x in labels if x is not self.prediction.value]
        if original_of(self.prediction.value) is not None:
            self.truth.layer.value = ([x for x in others if x in known] or others)[-1]
            return
        reference = (known or labels)[0]
        self.truth.layer.value = reference
        with self.prediction.changed.blocked():
            self.prediction.value = [x for x in labels if x is not reference][-1]

    def _follow_prediction(self) -> None:
        """A result of ours knows whether it holds objects or classes."""
        original = original_of(self.prediction.value)
        if original is not None and original.task != "regression":
            with self.task.changed.blocked():
                self.task.value = original.task
            self._explain()

    def _on_prediction(self, _: Any = None) -> None:
        self._follow_prediction()
        self.check()

    def _on_kind(self, _: Any = None) -> None:
        folders = self.kind.value == "folders"
        for field in (self.prediction, self.truth.layer, self.image):
            show_row(self.form, field.native, visible=not folders)
        readings = len(self.truth.reading.choices) > 1
        show_row(self.form, self.truth.reading.native, visible=readings and not folders)
        self.folders.set_visible(folders)
        self._on_truth()

    def _on_truth(self, _: Any = None) -> None:
        layer: Labels | None = self.truth.layer.value
        with self.rule.changed.blocked():
            if self.kind.value == "layers":
                self.rule.value = None if layer is None else rule_of(layer)
        if self.kind.value == "folders":
            show_row(self.form, self.truth.reading.native, visible=False)
        self._explain()
        self.check()

    def _on_folders(self) -> None:
        self.check()

    def _on_task(self, _: Any = None) -> None:
        self._explain()
        self.check()

    def _on_rule(self, rule: AnnotationRule | None) -> None:
        layer: Labels | None = self.truth.layer.value
        if rule is not None and layer is not None and self.kind.value == "layers":
            remember_rule(layer, rule)
        self._explain()
        self.check()

    def _explain(self) -> None:
        rule, task = self.rule.value, self.task.value
        self.meaning.say(MEANINGS.get((rule, task), "") if rule else "")
        for field in (self.renumber, self.pieces):
            show_row(self.form, field.native, visible=task == "classes")

    def request(self) -> EvaluationRequest:
        """Everything that an evaluation needs.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        compared = (
            self.folders.compared() if self.kind.value == "folders" else self._layers()
        )
        rule: AnnotationRule | None = self.rule.value
        if rule is None:
            raise DataError("Choose beside Rule what 0 means in the reference.")
        task: Task = self.task.value
        settings = {
            "task": task,
            "annotation": rule,
            "pieces": task == "classes" and bool(self.pieces.value),
            "renumber": (
                parse_numbers(self.renumber.value) if task == "classes" else {}
            ),
        }
        return EvaluationRequest(compared, settings)

    def _layers(self) -> LayersCompared:
        prediction: Labels | None = self.prediction.value
        if prediction is None:
            raise DataError("There is no Labels layer: predict something first.")
        truth = self.truth.snapshot()
        layer: Labels = self.truth.layer.value
        if layer is prediction:
            raise DataError(
                "Prediction and reference are the same layer: choose two layers."
            )
        if layer_shape(layer) != layer_shape(prediction):
            raise DataError(
                f"{prediction.name!r} has the shape {_words(prediction)}, but "
                f"{layer.name!r} has {_words(layer)}: choose labels of the same image."
            )
        image, axes = self._picture(layer, truth.reading.axes)
        return LayersCompared(
            truth, level_zero(prediction), prediction.name, image, axes
        )

    def _picture(self, layer: Labels, axes: str) -> tuple[Any, str]:
        """Pixels for the report, if an image fits the labels."""
        image: Image | None = self.image.value
        if image is None:
            return None, ""
        shape = layer_shape(image)
        if shape == layer_shape(layer):
            return level_zero(image), axes + "C" * bool(image.rgb)
        if not image.rgb and shape[1:] == layer_shape(layer):
            return level_zero(image), "C" + axes
        return None, ""

    # Comparing -------------------------------------------------------------------

    def begin(self, request: EvaluationRequest) -> None:
        self.note.say("")
        self.view.show_result(None)
        self._shown = None
        super().begin(request)

    def _on_ended(self) -> None:
        result = self.run.result
        if self.run.state != "done" or result is None or self.run.writes_report:
            self._allow()
            return
        self.view.show_result(result)
        compared = result.request.compared
        if isinstance(compared, LayersCompared) and result.errors is not None:
            self._shown = self.add_errors(result, compared)
        self._allow()

    def add_errors(self, result: EvaluationResult, compared: LayersCompared) -> Labels:
        """Add the layer of errors."""
        from napari.utils.colormaps import DirectLabelColormap

        colors: dict[int | None, str] = {None: "#888888", 0: "transparent"}
        colors.update({n: COLORS[kind] for n, kind in enumerate(KINDS, start=1)})
        layer = result_layer(
            result.errors,  # type: ignore[arg-type]
            f"errors of {compared.prediction_name}",
            compared.truth.placement,
            colormap=DirectLabelColormap(color_dict=colors),
            features={
                "index": list(range(len(KINDS) + 1)),
                "error": ["", *KINDS],
            },
            opacity=0.8,
            metadata=dict(PREVIEW_METADATA),
        )
        self._make_room()
        self.viewer.add_layer(layer)
        return layer

    def _make_room(self) -> None:
        """Hide other labels: their colours would be taken for those of errors."""
        from napari.layers import Labels

        shown = [x for x in self.viewer.layers if isinstance(x, Labels) and x.visible]
        for layer in shown:
            layer.visible = False
        if shown:
            self.note.say(
                "Other labels are hidden, so that only errors have colours: the eye in "
                "the layer list shows them again.",
                "quiet",
            )

    def go_to(self, mistake: Mapping[str, Any]) -> None:
        """Show an error in the middle of the canvas."""
        if self._shown is None:
            self.note.say(f"The error is in {mistake['image']}.", "quiet")
            return
        if self._shown not in self.viewer.layers:
            self.note.say("The layer of errors is gone: press Evaluate again.")
            return
        result = self.run.result
        box = tuple((int(a), int(b)) for a, b in mistake["box"])
        move_to(self.viewer, self._shown, box)
        if result is not None and isinstance(result.request.compared, LayersCompared):
            self._flash.show(result.request.compared.truth.placement, box)

    # Saving ----------------------------------------------------------------------

    def _allow(self) -> None:
        there = self.run.result is not None and not self.run.active
        self.save_scores.setEnabled(there)
        self.save_report.setEnabled(there)

    def _suggested(self, ending: str) -> str:
        result = self.run.result
        title = "scores" if result is None else result.request.compared.title
        return f"{title}{ending}".replace("/", "-")

    def _ask_for_csv(self, _: bool = False) -> None:
        path, _filter = QFileDialog.getSaveFileName(
            self, "Save the scores", self._suggested(".csv"), "CSV (*.csv)"
        )
        if path:
            self.save_csv(Path(path))

    def save_csv(self, path: Path) -> None:
        """Write all scores as a table."""
        result = self.run.result
        if result is None:
            return
        try:
            write_text(path, result.csv)
        except UserError as error:
            self.note.say(str(error), "problem")
        else:
            self.note.say(f"The scores are in {path}.", "good")

    def _ask_for_report(self, _: bool = False) -> None:
        path, _filter = QFileDialog.getSaveFileName(
            self, "Save the report", self._suggested(".html"), "HTML (*.html)"
        )
        if path:
            self.note.say("")
            self.run.write_report(Path(path))

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        for part in (self.view, self.note, self.meaning):
            part.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self._flash.close()
        self.run.changed.disconnect(self._allow)


def _words(layer: Labels) -> str:
    return " × ".join(str(n) for n in layer_shape(layer))
