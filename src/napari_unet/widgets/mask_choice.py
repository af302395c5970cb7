"""A row of a form: a Labels layer outside of which nothing is found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox
from psygnal import Signal
from qtpy.QtWidgets import QFormLayout

from napari_unet.data.masks import mask_of
from napari_unet.data.source import ImageSource
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.readings import layer_shape, level_zero
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

    def array(self, image: ImageSource) -> Any:
        """The mask along the axes of the image's labels; None where none is chosen.

        Raises
        ------
        DataError
            If it is of another size.
        """
        layer: Labels | None = self.layer.value
        if layer is None:
            return None
        array = level_zero(layer)
        if tuple(layer_shape(layer)) == image.labels_shape:
            return array
        (whole,) = mask_of(array, image).arrays
        return whole

    def _on_layer(self, _: Any = None) -> None:
        self.changed.emit()
