"""A row of a form: a Labels layer outside of which nothing is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout

from napari_unet.data.masks import mask_of
from napari_unet.data.source import ArrayLike, ImageSource
from napari_unet.prediction.nearest import NearestArray
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.style import narrow

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

EVERYWHERE = "none: everywhere"


class MaskChoice:
    """Offers the Labels layers of a viewer, and none of them."""

    changed = Signal()

    def __init__(self, viewer: napari.Viewer, form: QFormLayout) -> None:
        self._viewer = viewer
        self.layer = ComboBox(
            choices=[(EVERYWHERE, None)],
            tooltip="Nothing is found where these labels are 0",
        )
        narrow(self.layer.native)
        form.addRow("Mask", self.layer.native)
        self.layer.changed.connect(self._on_layer)
        self.refresh()

    def refresh(self) -> None:
        """Offer the layers that the viewer has now."""
        from napari.layers import Labels

        offered = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not is_preview(layer)
        ]
        before = self.layer.value
        with self.layer.changed.blocked():
            self.layer.choices = [
                (EVERYWHERE, None),
                *((layer.name, layer) for layer in offered),
            ]
            self.layer.value = before if before in offered else None
        if before is not None and before not in offered:
            self.changed.emit()

    def array(self, image: ImageSource, full: Sequence[int] = ()) -> Any:
        """The mask along the axes of the image's labels; None where none is chosen.

        Parameters
        ----------
        image : ImageSource
        full : sequence of int
            Shape of its labels in full resolution, where `image` is a smaller one.

        Raises
        ------
        DataError
            If it is of another size.
        """
        layer: Labels | None = self.layer.value
        if layer is None:
            return None
        wanted, levels = image.labels_shape, layer.data if layer.multiscale else ()
        fitting = [a for a in levels if tuple(int(n) for n in a.shape) == wanted]
        array: ArrayLike = fitting[0] if fitting else layer.data
        if layer.multiscale and not fitting:
            array = layer.data[0]
        found = tuple(int(n) for n in array.shape)
        if found == wanted:
            return array
        if full and found in (tuple(full), tuple(full)[-image.ndim :]):
            array = NearestArray(array, wanted[len(wanted) - len(found) :])
        (whole,) = mask_of(array, image).arrays
        return whole

    def _on_layer(self, _: Any = None) -> None:
        self.changed.emit()
