"""Ties the rows of a table of objects to the objects in the viewer, both ways."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_unet.measure.table import ObjectTable
from napari_unet.widgets.measure_layers import SAMPLES, layer_box, lookup
from napari_unet.widgets.navigation import Flash, move_to
from napari_unet.widgets.placement import placement

if TYPE_CHECKING:
    import napari
    from napari.layers import Labels

CLICK_PIXELS = 4.0
"""Moving the mouse further than this is no click."""


class ObjectLink:
    """Watches the measured layer, and shows its objects.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    picked = Signal(int)
    """The person went to the object in this row of the table."""
    edited = Signal()
    """The layer is not what was measured any more."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._table: ObjectTable | None = None
        self._rows: dict[tuple[int, ...], int] = {}
        self._steps = (0, 0)
        self._quiet = False
        self._flash = Flash(viewer)
        self._viewer.mouse_drag_callbacks.append(self._on_press)

    @property
    def layer(self) -> Labels | None:
        """The layer that was measured, while the viewer has it."""
        layer = self._layer
        return layer if layer is not None and layer in self._viewer.layers else None

    def tie(self, layer: Labels, table: ObjectTable) -> None:
        """Follow another layer and its table."""
        self.untie()
        self._layer, self._table = layer, table
        self._rows = dict(lookup(table))
        self._steps = undo_steps(layer)
        for emitter, listener in self._links(layer):
            emitter.connect(listener)

    def untie(self) -> None:
        """Follow no layer."""
        layer, self._layer, self._table = self._layer, None, None
        if layer is not None:
            for emitter, listener in self._links(layer):
                emitter.disconnect(listener)

    def close(self) -> None:
        """Let go of the viewer."""
        self.untie()
        self._flash.close()
        with suppress(ValueError):
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def show(self, item: int) -> None:
        """Move the viewer to the object in a row of the table, and select its label."""
        layer, table = self.layer, self._table
        if layer is None or table is None:
            return
        box = layer_box(table, item)
        self._quiet = True
        layer.selected_label = int(table["id"][item])
        self._quiet = False
        move_to(self._viewer, layer, box)
        self._flash.show(placement(layer), box)

    def _links(self, layer: Labels) -> list[tuple[Any, Any]]:
        events = layer.events
        return [
            (events.selected_label, self._on_label),
            (events.paint, self._on_edit),
            (events.data, self._on_edit),
            (events.set_data, self._on_shown),
        ]

    def _on_edit(self, _: Any = None) -> None:
        self._steps = undo_steps(self._layer)
        self.edited.emit()

    def _on_shown(self, _: Any = None) -> None:
        # Undo and redo only show the layer anew, as a slider does.
        if undo_steps(self._layer) != self._steps:
            self._on_edit()

    def _on_label(self, _: Any = None) -> None:
        layer = self.layer
        if layer is not None and not self._quiet:
            self._pick(layer.selected_label, self._viewer.dims.point)

    def _on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        layer = self.layer
        if layer is None or event.button != 1 or event.modifiers or not layer.visible:
            return
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) not in ("pan_zoom", "Mode.PAN_ZOOM"):
            return  # the click is for the layer that is drawn in
        begun = np.asarray(event.pos)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos) - begun).max() > CLICK_PIXELS:
                return
            yield
        value = layer.get_value(
            event.position,
            view_direction=event.view_direction,
            dims_displayed=event.dims_displayed,
            world=True,
        )
        if layer.multiscale and value is not None:
            value = value[1]
        if value:
            self._pick(int(value), event.position)

    def _pick(self, number: int, position: Any) -> None:
        layer, table = self.layer, self._table
        if layer is None or table is None:
            return
        count = sum(name in table.columns for name in SAMPLES)
        place = np.asarray(layer.world_to_data(position))[:count]
        row = self._rows.get((*np.rint(place).astype(int).tolist(), int(number)))
        if row is not None:
            self.picked.emit(row)


def undo_steps(layer: Any) -> tuple[int, int]:
    """How many steps can be undone and redone; napari has no event for either."""
    names = ("_undo_history", "_redo_history")
    undo, redo = (len(getattr(layer, name, ())) for name in names)
    return undo, redo
