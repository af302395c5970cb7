"""*Measure objects*: a table of the objects of a Labels layer, tied to the viewer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from magicgui.widgets import CheckBox, ComboBox
from qtpy.QtCore import QObject
from qtpy.QtCore import Signal as QtSignal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QWidget,
)

from napari_unet.errors import DataError, UserError
from napari_unet.measure.table import ObjectTable
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.layer_choice import LayerChoice
from napari_unet.widgets.measure_layers import (
    box_layer,
    class_names_of,
    fitting_classes,
    fitting_images,
    measured_image,
    put_features,
)
from napari_unet.widgets.measure_link import ObjectLink, undo_steps
from napari_unet.widgets.measure_run import MeasureRequest, MeasureRun
from napari_unet.widgets.measure_table import ObjectView
from napari_unet.widgets.readings import level_zero
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.style import Colors, Message, narrow

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels

NO_CLASSES = "none"


class MeasureWidget(RunDock):
    """The *Measure objects* dock widget."""

    def __init__(
        self, napari_viewer: napari.Viewer, host: EngineHost | None = None
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = MeasureRun(self.host.engine)
        self.link = ObjectLink(self.viewer)
        self._seen: WeakSet[Image] = WeakSet()
        self._left_out: WeakSet[Image] = WeakSet()
        """Image layers that are not measured in."""
        self._pending: tuple[Labels, Any] | None = None
        """The layer that is being measured, and how it was."""
        form = self.add_form()
        missing = "There is no Labels layer: predict or paint some objects first."
        self.labels = LayerChoice(self.viewer, form, "Labels", missing)
        self.images = QPushButton()
        self.images.setToolTip("Image layers in which brightness is measured")
        self._menu = QMenu(self.images)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.images.clicked.connect(self._open_menu)
        self.classes = ComboBox(
            choices=[(NO_CLASSES, None)],
            tooltip="A Labels layer whose values are classes: an object gets the most "
            "frequent one inside it",
        )
        narrow(self.classes.native)
        self.solidity = CheckBox(
            value=True,
            text="Solidity",
            tooltip="Share of the convex hull that the object fills; takes most of the "
            "time in 3D",
        )
        form.addRow("Brightness in", self.images)
        form.addRow("Classes from", self.classes.native)
        form.addRow("", self.solidity.native)
        self.add_run("Measure")
        self.stale = Message("problem")
        self.add(self.stale)
        self.view = ObjectView()
        self.add(self.view)
        self.add(self._buttons())
        self.note = Message()
        self.add(self.note)
        self._saver = _Saver(self)
        self._connect()
        self.apply_theme()
        self._on_layers()
        self._show_table(None)

    def _buttons(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.boxes = QPushButton("Boxes")
        self.boxes.setToolTip(
            "Add a Shapes layer with boxes around all objects, or around those of the "
            "rows that are selected"
        )
        self.save = QPushButton("Save as CSV…")
        self.save.setToolTip("The table as a file for spreadsheets and statistics")
        layout.addWidget(self.boxes)
        layout.addWidget(self.save)
        return row

    def _connect(self) -> None:
        self.boxes.clicked.connect(self.add_boxes)
        self.save.clicked.connect(self._ask_and_save)
        self.layer_news.changed.connect(self._on_layers)
        self.labels.changed.connect(self._on_choice)
        self.view.chosen.connect(self.link.show)
        self.link.picked.connect(self.view.choose)
        self.link.edited.connect(self._on_edited)
        self._saver.saved.connect(self._on_saved)

    # What is chosen --------------------------------------------------------------

    def image_layers(self) -> list[Image]:
        """Layers in which brightness is measured."""
        layer = self.labels.layer.value
        if layer is None:
            return []
        offered = fitting_images(self.viewer, layer)
        return [image for image in offered if image not in self._left_out]

    def use_images(self, layers: list[Image]) -> None:
        """Measure brightness in these layers alone, from code."""
        offered = fitting_images(self.viewer, self.labels.layer.value)
        self._seen.update(offered)
        self._left_out = WeakSet(x for x in offered if x not in layers)
        self._show_images()

    def request(self) -> MeasureRequest:
        """Everything that measuring needs.

        Raises
        ------
        UserError
            If something is missing or does not fit; the sentence says what.
        """
        labels = self.labels.snapshot()
        layer, axes = self.labels.layer.value, labels.reading.axes
        classes: Labels | None = self.classes.value
        return MeasureRequest(
            labels=labels,
            images=[measured_image(i, layer, axes) for i in self.image_layers()],
            classes=None if classes is None else level_zero(classes),
            class_names={} if classes is None else class_names_of(classes),
            solidity=bool(self.solidity.value),
        )

    def _on_layers(self) -> None:
        self.labels.refresh()
        if self.link.layer is None:
            self.link.untie()
            self.stale.say("")
        self._allow()

    def _on_choice(self) -> None:
        layer = self.labels.layer.value
        offered = [] if layer is None else fitting_classes(self.viewer, layer)
        self.classes.choices = [
            (NO_CLASSES, None),
            *((other.name, other) for other in offered),
        ]
        self._show_images()
        self.check()

    def _show_images(self) -> None:
        layer = self.labels.layer.value
        fitting = [] if layer is None else fitting_images(self.viewer, layer)
        new = [image for image in fitting if image not in self._seen]
        self._seen.update(new)
        # What is hidden, as maps of a prediction are, is not meant.
        self._left_out.update(image for image in new if not image.visible)
        names = [image.name for image in self.image_layers()]
        text = ", ".join(names) or "no image"
        if len(text) > 20:
            text = "1 image" if len(names) == 1 else f"{len(names)} images"
        self.images.setText(text)
        self.images.setEnabled(bool(fitting))

    def _open_menu(self, _: bool = False) -> None:
        self._menu.popup(self.images.mapToGlobal(self.images.rect().bottomLeft()))

    def _fill_menu(self) -> None:
        self._menu.clear()
        chosen = self.image_layers()
        for layer in fitting_images(self.viewer, self.labels.layer.value):
            action = self._menu.addAction(layer.name)
            if action is not None:
                action.setCheckable(True)
                action.setChecked(layer in chosen)
                action.toggled.connect(
                    lambda on, layer=layer: self._toggle_image(layer, on)
                )

    def _toggle_image(self, layer: Image, on: bool) -> None:
        (self._left_out.discard if on else self._left_out.add)(layer)
        self._show_images()

    # Measuring -------------------------------------------------------------------

    def begin(self, request: MeasureRequest) -> None:
        layer = self.labels.layer.value
        self._pending = layer, _state(layer)
        self.link.untie()
        self.stale.say("")
        self.note.say("")
        super().begin(request)

    def _on_ended(self) -> None:
        pending, self._pending = self._pending, None
        table = self.run.table
        if self.run.state != "done" or table is None or pending is None:
            return
        layer, state = pending
        if layer in self.viewer.layers:
            self.link.tie(layer, table)
            put_features(layer, table)
        self._show_table(table)
        if _state(layer) != state:
            self._on_edited()

    def _on_edited(self) -> None:
        self.stale.say("The labels were edited since: press Measure again.")

    def _show_table(self, table: ObjectTable | None) -> None:
        self.view.show_table(table)
        self._allow()

    def _allow(self) -> None:
        filled = self.view.objects.rowCount() > 0
        self.save.setEnabled(filled)
        self.boxes.setEnabled(filled and self.link.layer is not None)

    # What can be done with the table ---------------------------------------------

    def add_boxes(self, _: bool = False) -> None:
        """Add a Shapes layer with boxes around objects."""
        layer, table = self.link.layer, self.view.objects.table
        if layer is None or table is None:
            return
        selected = self.view.selected()
        # One selected row is where the person is, several are a choice.
        items = selected if len(selected) > 1 else range(len(table))
        try:
            self.viewer.add_layer(box_layer(table, items, layer))
        except UserError as error:
            self.note.say(str(error), "problem")

    def _ask_and_save(self, _: bool = False) -> None:
        request = self.run.request
        name = "objects" if request is None else request.labels.name
        path, _filter = QFileDialog.getSaveFileName(
            self, "Save the table", f"{name}.csv", "CSV (*.csv)"
        )
        if path:
            self.save_csv(Path(path))

    def save_csv(self, path: Path) -> None:
        """Write the table to a file, beside the viewer's thread."""
        table = self.view.objects.table
        if table is not None:
            self.save.setEnabled(False)
            self._saver.start(table, path)

    def _on_saved(self, sentence: str, good: bool) -> None:
        self.note.say(sentence, "good" if good else "problem")
        self._allow()

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        for part in (self.stale, self.note):
            part.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self.link.close()


def _state(layer: Labels) -> tuple[Any, ...]:
    """Another one after the layer was edited."""
    return id(layer.data), undo_steps(layer)


class _Saver(QObject):
    """Writes a table on a thread of its own: a large one takes seconds."""

    saved = QtSignal(str, bool)
    """A sentence, and whether all went well."""

    def start(self, table: ObjectTable, path: Path) -> None:
        threading.Thread(target=self._write, args=(table, path), daemon=False).start()

    def _write(self, table: ObjectTable, path: Path) -> None:
        try:
            table.write_csv(path)
        except DataError as error:
            self.saved.emit(str(error), False)
        else:
            count = len(table)
            word = "row" if count == 1 else "rows"
            self.saved.emit(f"{path.name} has {count:,} {word}.", True)
