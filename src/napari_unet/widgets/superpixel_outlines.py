"""The outlines of superpixels over the image: a layer that is only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.segmentation.superpixels import outlines
from napari_unet.widgets.box_layer import BoxLayer
from napari_unet.widgets.placement import placement
from napari_unet.widgets.superpixels import SuperpixelMap

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels

NAME = "superpixels"
_COLORS = [[1, 1, 1, 0], [1, 0.92, 0.35, 1]]
_OPACITY = 0.4


class OutlineLayer:
    """An image layer with the outlines, which cannot be selected."""

    removed = Signal()
    """The user deleted the layer."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._over: Labels | None = None
        self._box = BoxLayer(viewer, _make)
        self._box.removed.connect(self.removed.emit)
        viewer.layers.selection.events.changed.connect(self._on_selection)

    @property
    def layer(self) -> Image | None:
        """The layer, while it is there."""
        return self._box.layer

    def show(self, found: SuperpixelMap, over: Labels) -> None:
        """Draw the outlines of superpixels over an annotation layer."""
        self._over = over
        shape = [stop - start for start, stop in found.box]
        lines = outlines(found.pieces).reshape(shape)
        self._box.show(lines, found.box, placement(over))

    def hide(self) -> None:
        """Remove the layer."""
        self._box.remove()

    def close(self) -> None:
        """Remove the layer and let go of the viewer."""
        self.hide()
        self._box.close()
        self._viewer.layers.selection.events.changed.disconnect(self._on_selection)

    def _on_selection(self, _: Any = None) -> None:
        selection = self._viewer.layers.selection
        if self.layer is None or self.layer not in selection:
            return
        others = {layer for layer in selection if layer is not self.layer}
        if not others and self._over in self._viewer.layers:
            others = {self._over}
        selection.clear()
        selection.update(others)


def _make(lines: Any, **more: Any) -> Image:
    from napari.layers import Image
    from napari.utils.colormaps import Colormap

    return Image(
        lines,
        name=NAME,
        colormap=Colormap(np.array(_COLORS), name=NAME),
        contrast_limits=(0, 1),
        opacity=_OPACITY,
        blending="translucent_no_depth",
        **more,
    )
