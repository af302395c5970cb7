"""The preview of a live run in the viewer: labels, and a map on demand."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_unet.data.classes import ClassInfo
from napari_unet.live.messages import LabelsBox, Preview
from napari_unet.widgets.annotation_layer import class_colors, class_features
from napari_unet.widgets.box_layer import BoxLayer

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Labels, Layer

OPACITY = 0.5


class PreviewLayer:
    """One Labels layer, and one Image layer for a map, over what is looked at.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Name of the image, for the names of the layers.
    place : mapping
        Arguments that put a layer over the whole image.
    row_axis : int
        Position of Y among the axes of the labels.
    classes : sequence of ClassInfo, optional
        Names and colours of the classes; ``None`` for objects.
    """

    changed = Signal()
    """The user deleted the labels, or hid or showed them."""
    map_removed = Signal()
    """The user deleted the map."""

    def __init__(
        self,
        viewer: napari.Viewer,
        name: str,
        place: Mapping[str, Any],
        row_axis: int,
        classes: Sequence[ClassInfo] | None,
    ) -> None:
        self._name = name
        self._place = place
        self._row_axis = row_axis
        self.classes = classes
        self._wanted = True
        self._map_name = "map"
        self._labels = BoxLayer(viewer, self._make_labels)
        self._map = BoxLayer(viewer, self._make_map)
        self._labels.removed.connect(self._on_removed)
        self._map.removed.connect(self.map_removed.emit)

    def close(self) -> None:
        """Leave the layers to the user; they change no more."""
        self._labels.close()
        self._map.close()

    def remove(self) -> None:
        """Take the layers away."""
        self._labels.remove()
        self._map.remove()

    @property
    def layer(self) -> Labels | None:
        """The labels, while they are in the viewer."""
        return self._labels.layer

    @property
    def box(self) -> LabelsBox | None:
        """The box whose labels are shown."""
        return self._labels.box

    @property
    def visible(self) -> bool:
        """Whether the labels are shown."""
        layer = self.layer
        return self._wanted if layer is None else bool(layer.visible)

    @visible.setter
    def visible(self, on: bool) -> None:
        self._wanted = on  # a deleted layer comes back with the next preview
        if self.layer is not None:
            self.layer.visible = on

    def show(
        self,
        preview: Preview,
        labels: NDArray[np.int32],
        values: NDArray[np.uint8],
        below: Layer | None,
    ) -> None:
        """Draw a preview.

        Parameters
        ----------
        preview : Preview
        labels : ndarray of int32
            The shared ``preview``, flat.
        values : ndarray of uint8
            The shared ``map``, flat.
        below : Layer or None
            The annotation; the layers lie below it.
        """
        shape = tuple(stop - start for start, stop in preview.box)
        size = math.prod(shape)
        rows = slice(*preview.rows)
        if self._wanted or self.layer is not None:
            self._labels.show(
                self._small(labels[:size]).reshape(shape),
                preview.box,
                self._place,
                below=below,
                rows=rows,
                row_axis=self._row_axis,
            )
        if preview.show:
            self._map.show(
                values[:size].reshape(shape),
                preview.box,
                self._place,
                below=self.layer or below,
                rows=rows,
                row_axis=self._row_axis,
            )

    def name_map(self, name: str) -> None:
        """Say what the map shows; without a name, it is taken away."""
        self._map_name = name
        if not name:
            self._map.remove()
        elif self._map.layer is not None:
            self._map.layer.name = f"{self._name} {name}"

    def set_classes(self, classes: Sequence[ClassInfo]) -> None:
        """Show other names and colours."""
        self.classes = classes
        layer = self.layer
        if layer is not None:
            for name, value in self._look().items():
                setattr(layer, name, value)

    _map_name = "map"

    def _small(self, labels: NDArray[np.int32]) -> NDArray[Any]:
        """The labels in the smallest type: napari shows 8 and 16 bits at once."""
        largest = int(labels.max(initial=0))
        if self.classes is not None:
            largest = max([largest, *(c.result_value for c in self.classes)])
        elif largest < 2**16:
            largest = 2**16 - 1  # the number of objects goes up and down
        return labels.astype(np.min_scalar_type(largest))

    def _look(self) -> dict[str, Any]:
        """Colours and names; objects keep napari's own colours."""
        if self.classes is None:
            return {}
        shown = [c for c in self.classes if c.result_value]
        return {
            "colormap": class_colors(shown),
            "features": class_features({c.result_value: c.name for c in shown}),
        }

    def _make_labels(self, data: NDArray[Any], **place: Any) -> Labels:
        from napari.layers import Labels

        layer = Labels(
            data,
            name=f"{self._name} preview",
            opacity=OPACITY,
            **self._look(),
            **place,
        )
        layer.events.visible.connect(self._on_visible)
        return layer

    def _make_map(self, data: NDArray[Any], **place: Any) -> Image:
        from napari.layers import Image

        return Image(
            data,
            name=f"{self._name} {self._map_name}",
            contrast_limits=(0, 255),
            colormap="viridis",
            opacity=OPACITY,
            **place,
        )

    def _on_visible(self, _: Any = None) -> None:
        self.changed.emit()

    def _on_removed(self) -> None:
        self._wanted = False
        self.changed.emit()
