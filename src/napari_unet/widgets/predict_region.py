"""Editing a piece of labels that are too large to be edited as a whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_unet.errors import DataError, UserError
from napari_unet.image_io.label_store import open_label_store
from napari_unet.widgets.placement import (
    add_with_label,
    displayed_box,
    placement,
    shifted,
)
from napari_unet.widgets.predict_stream import RESULT, STORE, draw_anew
from napari_unet.widgets.style import Colors, Message

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels, Layer

LARGEST = 2048
"""Longest side in pixels of a region that is edited: painting stays fluent."""
PIECE = "napari_unet_piece"
"""Key in a layer's metadata: the store and the box that it was cut from."""


class RegionEditor(QWidget):
    """A button that cuts out what is on screen, or writes it back.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.edit = QPushButton("Edit this region")
        self.edit.setToolTip("Cut what you see out as a layer that can be painted on")
        self.write = QPushButton("Write the region back")
        self.write.setToolTip("Put the edited region into the large labels")
        self.said = Message()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self.edit, self.write, self.said):
            layout.addWidget(part)
        self.edit.clicked.connect(self.cut)
        self.write.clicked.connect(self.put_back)
        viewer.layers.selection.events.active.connect(self.refresh)
        self.refresh()

    def close_editor(self) -> None:
        """Listen to the viewer no longer."""
        self._viewer.layers.selection.events.active.disconnect(self.refresh)

    def set_colors(self, colors: Colors) -> None:
        """Follow a change of theme."""
        self.said.set_colors(colors)

    def refresh(self, _: Any = None) -> None:
        """Offer what can be done with the layer that is chosen."""
        layer = self._viewer.layers.selection.active
        metadata = {} if layer is None else layer.metadata
        finished = STORE in metadata and metadata.get(STORE) == metadata.get(RESULT)
        self.edit.setVisible(finished)
        self.write.setVisible(PIECE in metadata)
        self.said.say("")

    def cut(self, _: bool = False) -> None:
        """What *Edit this region* does."""
        layer = self._viewer.layers.selection.active
        try:
            piece = cut_region(layer, self._viewer.dims)
        except UserError as error:
            self.said.say(str(error), "problem")
            return
        add_with_label(self._viewer, piece, piece.selected_label)

    def put_back(self, _: bool = False) -> None:
        """What *Write the region back* does."""
        layer = self._viewer.layers.selection.active
        try:
            store = write_back(layer)
        except UserError as error:
            self.said.say(str(error), "problem")
            return
        for other in self._viewer.layers:
            if other.metadata.get(STORE) == store:
                draw_anew(other)
        self.said.say("The region is written.", "good")


def cut_region(layer: Labels, dims: Any) -> Labels:
    """What the canvas shows of a large layer, as one that can be edited.

    Raises
    ------
    DataError
        If that is too large.
    """
    from napari.layers import Labels

    reading: Any = SimpleNamespace(axes="YX")  # no channels
    box = displayed_box(layer, reading, dims)
    longest = max(stop - start for start, stop in box)
    if longest > LARGEST or dims.ndisplay == 3:
        raise DataError(
            f"You see {longest:,} pixels: zoom in until there are at most {LARGEST:,}, "
            "in 2D."
        )
    full = layer.data[0] if layer.multiscale else layer.data
    pixels = np.array(full[tuple(slice(*b) for b in box)])
    place = shifted(placement(layer), [start for start, _ in box])
    piece = Labels(
        pixels,
        name=f"{layer.name} (region)",
        metadata={PIECE: {"store": layer.metadata[STORE], "box": box}},
        colormap=layer.colormap,
        **place,
    )
    piece.selected_label = max(1, int(pixels.max(initial=0)))
    return piece


def write_back(layer: Layer) -> str:
    """Put an edited region into its store; the folder of that.

    Raises
    ------
    DataError
        If the store is gone, cannot hold a label, or the disk refuses.
    """
    piece = layer.metadata[PIECE]
    path = Path(piece["store"])
    if not path.is_dir():
        raise DataError(f"The labels {path} are gone: save this layer as a file.")
    store = open_label_store(path, "YX")
    store.replace(piece["box"], np.asarray(layer.data))
    return str(path)
