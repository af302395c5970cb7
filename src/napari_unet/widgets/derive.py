"""*Boundaries of labels* and *Superpixels from a probability*: new Labels layers."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, SpinBox
from qtpy.QtWidgets import QFormLayout

from napari_unet.errors import DataError
from napari_unet.widgets.engine_host import EngineHost
from napari_unet.widgets.labels_run import (
    BoundariesRun,
    LabelsRequest,
    LabelsRun,
    SuperpixelsRun,
)
from napari_unet.widgets.layer_choice import LayerChoice
from napari_unet.widgets.run_dock import RunDock
from napari_unet.widgets.style import narrow

if TYPE_CHECKING:
    import napari

LARGEST_WIDTH = 100


class DeriveWidget(RunDock):
    """Makes labels from one layer: a form, a button, a new layer."""

    kind: str
    missing: str
    verb: str
    run_type: type[LabelsRun]

    def __init__(
        self, napari_viewer: napari.Viewer, host: EngineHost | None = None
    ) -> None:
        super().__init__(napari_viewer, host)
        self.run = self.run_type(self.host.engine)
        form = self.add_form()
        self.layer = LayerChoice(self.viewer, form, self.kind, self.missing)
        self.add_controls(form)
        self.add_run(self.verb)
        self.layer_news.changed.connect(self.layer.refresh)
        self.layer.changed.connect(self.check)
        self.apply_theme()
        self.check()

    @abstractmethod
    def add_controls(self, form: QFormLayout) -> None:
        """Add what else can be chosen."""

    def _on_ended(self) -> None:
        from napari.layers import Labels

        made = self.run.result
        if self.run.state == "done" and made is not None:
            layer = Labels(made.labels, name=made.name, **made.placement)
            self.viewer.add_layer(layer)


class BoundariesWidget(DeriveWidget):
    """The *Boundaries of labels* dock widget."""

    kind = "Labels"
    missing = "There is no Labels layer: predict or paint some objects first."
    verb = "Make boundaries"
    run_type = BoundariesRun

    def add_controls(self, form: QFormLayout) -> None:
        self.width_px = SpinBox(
            value=1,
            min=1,
            max=LARGEST_WIDTH,
            tooltip="In pixels, inwards from the edge of each object",
        )
        self.ids = CheckBox(
            value=True,
            text="Keep the objects' numbers",
            tooltip="Without, every boundary pixel is 1",
        )
        form.addRow("Width", self.width_px.native)
        form.addRow("", self.ids.native)

    def request(self) -> LabelsRequest:
        layer = self.layer.snapshot()
        ids = bool(self.ids.value)
        dtype = np.dtype(layer.arrays[0].dtype).newbyteorder("=")
        return LabelsRequest(
            layer=layer,
            settings={"width": int(self.width_px.value), "ids": ids},
            dtype=dtype.str if ids and dtype.kind != "b" else "uint8",
            ending="boundaries",
        )


class SuperpixelsWidget(DeriveWidget):
    """The *Superpixels from a probability* dock widget."""

    kind = "Image"
    missing = (
        "There is no probability layer: press Predict with Probabilities as image "
        "layers ticked."
    )
    verb = "Make superpixels"
    run_type = SuperpixelsRun

    def add_controls(self, form: QFormLayout) -> None:
        self.of = ComboBox(
            choices=[("a boundary", "boundary"), ("foreground", "foreground")],
            value="boundary",
            tooltip="Superpixels end on the ridges of a boundary, and where a "
            "foreground begins",
        )
        self.size_px = SpinBox(
            value=16,
            min=2,
            max=1024,
            tooltip="Side of a superpixel in pixels, where there are no boundaries",
        )
        narrow(self.of.native)
        form.addRow("Probability of", self.of.native)
        form.addRow("Size", self.size_px.native)

    def request(self) -> LabelsRequest:
        layer = self.layer.snapshot()
        if np.dtype(layer.arrays[0].dtype).kind not in "fu":
            raise DataError(
                f"{layer.name!r} is no probability: choose a layer of decimals from 0 "
                "to 1, or one of 8 bits."
            )
        return LabelsRequest(
            layer=layer,
            settings={"size": int(self.size_px.value), "of": str(self.of.value)},
            dtype="int32",
            ending="superpixels",
        )
