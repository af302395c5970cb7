"""One signal for everything that can change what a layer chooser offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_unet.widgets.box_layer import is_preview

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer


class LayerNews:
    """Emits `changed` when layers come, go, are renamed, scaled or get other data."""

    changed = Signal()

    _EVENTS = ("name", "data", "scale", "axis_labels", "units")

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._watch(layer)

    def close(self) -> None:
        """Listen no longer."""
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._viewer.layers:
            self._forget(layer)

    def _watch(self, layer: Layer) -> None:
        if is_preview(layer):
            return  # it changes several times a second, and nobody chooses it
        for name in self._EVENTS:
            if name in layer.events.emitters:
                layer.events.emitters[name].connect(self._on_changed)

    def _forget(self, layer: Layer) -> None:
        if is_preview(layer):
            return
        for name in self._EVENTS:
            if name in layer.events.emitters:
                layer.events.emitters[name].disconnect(self._on_changed)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)
        if not is_preview(event.value):
            self.changed.emit()

    def _on_removed(self, event: Any) -> None:
        self._forget(event.value)
        if not is_preview(event.value):
            self.changed.emit()

    def _on_changed(self, _: Any) -> None:
        self.changed.emit()
