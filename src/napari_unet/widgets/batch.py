"""*Batch U-Net*: segment the images of a folder, and see what became of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)
from superqt import QCollapsible

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError, UserError
from napari_unet.segmentation.settings import DecoderInfo, object_settings
from napari_unet.widgets.batch_run import BatchLine, BatchRequest, BatchRun
from napari_unet.widgets.dock import make_form
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.evaluate_folders import FolderRow
from napari_unet.widgets.model_section import NOT_ALLOWED, ModelSection
from napari_unet.widgets.object_controls import ObjectControls
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.session import Session, session
from napari_unet.widgets.style import Colors

if TYPE_CHECKING:
    import napari


class BatchWidget(RunDock):
    """The *Batch U-Net* dock widget."""

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        host: EngineHost | None = None,
        news: Session = session,
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = BatchRun(self.host.engine)
        form = self.add_form()
        self.inputs = FolderRow("Folder of images")
        self.inputs.edit.setToolTip("A folder, or a pattern such as /data/day*/*.tif")
        self.output = FolderRow("Folder for the labels")
        form.addRow("Images", self.inputs)
        form.addRow("Labels go to", self.output)
        self.masks = FolderRow("Folder of masks")
        self.masks.edit.setPlaceholderText("none: everywhere")
        self.masks.edit.setToolTip(
            "A folder of files named like the images, or one file for all: nothing is "
            "found where they are 0"
        )
        form.addRow("Masks", self.masks)
        self.model = ModelSection(form, news)
        self.store = CheckBox(
            text="Write OME-Zarr",
            tooltip="Very large images become OME-Zarr in any case, others TIFF",
        )
        self.separate = CheckBox(
            text="Leave OME-Zarr images as they are",
            tooltip="Off: labels of an OME-Zarr image are put into it, beside others "
            "that it has. On: they go to the folder for the labels, too",
        )
        self.probabilities = CheckBox(
            text="Write probabilities, too",
            tooltip="The network's maps, into the folder “probabilities” of the labels",
        )
        self.views = CheckBox(
            text="Average over flips and turns",
            tooltip="Often a little better, and eight times the work",
        )
        self.resample = CheckBox(
            text="Resample to the model's pixel size",
            tooltip="Predict on pixels as large as those the model was trained on, and "
            "bring the result back to the pixels of the image",
        )
        self.overwrite = CheckBox(
            text="Replace results that are there",
            tooltip="Off: images that this model has segmented before are left alone",
        )
        for box in (
            self.store,
            self.separate,
            self.probabilities,
            self.views,
            self.resample,
            self.overwrite,
        ):
            form.addRow("", box.native)
        self.objects = self._object_section()
        self.add(self.objects)
        self.add_run("Segment all")
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Image", "Objects", "What became of it"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setToolTip("Double-click an image to open it with its labels")
        side, top = self.table.verticalHeader(), self.table.horizontalHeader()
        if side is not None and top is not None:
            side.hide()
            top.setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.table.cellDoubleClicked.connect(self.open_line)
        self.table.hide()
        self.add(self.table)
        self.add_device_line()
        for row in (self.inputs, self.output, self.masks):
            row.changed.connect(self.check)
        self.model.changed.connect(self.check)
        self.controls.changed.connect(self.check)
        self.apply_theme()
        self.check()

    def _object_section(self) -> QCollapsible:
        """Settings of objects, folded until somebody wants them."""
        inside = QWidget()
        form = make_form()
        inside.setLayout(form)
        self.controls = ObjectControls(form)
        self._decoder: DecoderInfo | None = None
        folded = QCollapsible("Adjust objects", expandedIcon="▾", collapsedIcon="▸")
        folded.toggleButton().setToolTip("Thresholds and sizes of objects")
        folded.addWidget(inside)
        return folded

    def check(self, _: Any = None) -> None:
        """Follow the model, then say what is wrong beside the controls."""
        try:
            info = self.model.info()
        except UserError:
            info = None  # the sentence is shown by what follows
        objects = info is not None and info.task == "objects"
        self.objects.setVisible(objects)
        if info is not None and objects:
            decoder = info.decoder or DecoderInfo()
            if decoder != self._decoder:
                self._decoder = decoder
                self.controls.show(decoder)
            # Each image converts sizes by its own pixels; those of the model only
            # serve to show them in either unit.
            if info.voxel_size:
                self.controls.set_voxel(tuple(info.voxel_size), info.unit)
        super().check()

    def request(self) -> BatchRequest:
        """Everything that a batch needs.

        Raises
        ------
        UserError
            If something is missing; the sentence says what.
        """
        inputs, output = self.inputs.path(), self.output.path()
        if inputs is None:
            raise DataError("Choose the folder of the images.")
        pattern = any(sign in str(inputs) for sign in "*?[")
        if not pattern and not inputs.exists():
            raise DataError(f"There is no folder {inputs}: check the path.")
        if output is None:
            raise DataError("Choose a folder for the labels.")
        if output.is_file():
            raise DataError(f"{output} is a file: choose a folder for the labels.")
        if output.resolve() == inputs.resolve():
            raise DataError(
                "Labels would lie between the images: choose another folder for them."
            )
        info, masks = self.model.info(), self.masks.path()
        if masks is not None and not masks.exists():
            raise DataError(f"There is no folder or file {masks}: check the path.")
        wishes = self.controls.wishes() if info.task == "objects" else {}
        object_settings(wishes).applied(
            info.decoder or DecoderInfo(),
            info.voxel_size or (1.0,) * info.ndim,
            info.unit,
        )  # says what does not go together
        return BatchRequest(
            inputs=str(inputs),
            output=output,
            model_path=self.model.path(),
            store=bool(self.store.value),
            separate=bool(self.separate.value),
            probabilities=bool(self.probabilities.value),
            views=bool(self.views.value),
            resample=bool(self.resample.value),
            overwrite=bool(self.overwrite.value),
            objects=wishes,
            masks=masks,
        )

    def begin(self, request: BatchRequest) -> None:
        try:
            if not self.model.may_run():
                self.panel.status.say(NOT_ALLOWED)
                return
        except UserError as error:
            self.panel.set_problem(str(error))
            return
        self.table.hide()
        super().begin(replace(request, allow_code=self.model.code_allowed))

    def _on_ended(self) -> None:
        self.table.setRowCount(len(self.run.lines))
        for row, line in enumerate(self.run.lines):
            count = "" if line.objects is None else f"{line.objects:,}"
            for column, text in enumerate([line.image.name, count, _words(line)]):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 1:
                    right = Qt.AlignmentFlag.AlignRight
                    item.setTextAlignment(right | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self.table.setVisible(bool(self.run.lines))

    def open_line(self, row: int, _: int = 0) -> None:
        """Open an image of the table, and its labels where there are some."""
        line = self.run.lines[row]
        try:
            add_pair(self.viewer, line)
        except UserError as error:
            self.panel.status.say(str(error), "problem")

    def showEvent(self, event: QShowEvent | None) -> None:
        super().showEvent(event)
        self.model.refresh()  # the library is a folder: files come and go

    def apply_theme(self, _: Any = None) -> Colors:
        colors = super().apply_theme()
        self.model.set_colors(colors)
        return colors

    def close_parts(self) -> None:
        super().close_parts()
        self.model.close()


def _words(line: BatchLine) -> str:
    return line.reason if line.reason else line.status


def add_pair(viewer: napari.Viewer, line: BatchLine) -> None:
    """Add an image and its labels as layers.

    Raises
    ------
    DataError
        If one of the files cannot be read.
    """
    from napari.layers import Image

    from napari_unet.image_io import is_zarr, read_image, read_labels
    from napari_unet.image_io.store import PixelSize
    from napari_unet.widgets.placement import result_layer

    source = read_image(line.image)
    axis = source.axes.index("C") if "C" in source.axes else None
    rgb = axis == len(source.axes) - 1 and source.n_channels == 3
    place = {"scale": _scale(source)}
    options: dict[str, Any] = {"name": line.image.name, **place}
    if rgb:
        options["rgb"] = True
    elif axis is not None:
        options["scale"] = [*place["scale"][:axis], 1.0, *place["scale"][axis:]]
    viewer.add_layer(Image(source.arrays[0], **options))
    if line.status != "done":
        return
    result = Path(line.result)
    labelled = source
    if is_zarr(line.image) or line.image.suffix.lower() in (".tif", ".tiff"):
        # Of several resolutions, the one whose pixels the labels have.
        made = read_image(result)
        near = PixelSize(made.voxel_size[-1], made.unit)
        labelled = read_image(line.image, near=near)
    labels: Any = read_labels(result, labelled)
    if not is_zarr(result):
        import numpy as np

        labels = np.asarray(labels).astype(np.int32)
    scale = _scale(labelled)
    # The first large pixel lies where the middle of those is that it stands for.
    offset = [(b - a) / 2 for a, b in zip(place["scale"], scale, strict=True)]
    viewer.add_layer(
        result_layer(
            labels, f"{line.image.stem} labels", {"scale": scale, "translate": offset}
        )
    )


def _scale(source: ImageSource) -> list[float]:
    """Size of a voxel along the axes of the labels."""
    known = dict(zip(source.spatial, source.voxel_size, strict=True))
    return [known.get(a, 1.0) for a in source.labels_axes]
