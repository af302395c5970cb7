"""In which direction the cursor looks in 3D, said before the mouse moves.

napari learns it with the next move of the mouse over the canvas. Until then, as after
Ctrl+Y, its status bar fails on a Labels layer whose values have names
(``Labels.get_status`` of 0.9 hands on ``numpy.asarray(None)``), and whoever adds or
selects such a layer fails with it. Annotations and results of ours have names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.widgets.navigation import camera_of

if TYPE_CHECKING:
    import napari


class LookDirection:
    """Gives the cursor of a viewer a direction as soon as the view is 3D."""

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = viewer
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)
        self._on_ndisplay()

    def close(self) -> None:
        """Let go of the viewer."""
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)

    def _on_ndisplay(self, _: Any = None) -> None:
        dims, cursor = self._viewer.dims, self._viewer.cursor
        if dims.ndisplay == 3 and cursor._view_direction is None:
            cursor._view_direction = camera_of(
                self._viewer
            ).calculate_nd_view_direction(dims.ndim, dims.displayed)
