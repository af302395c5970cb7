"""What a viewer looks at, as a project remembers it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from napari_unet.live.project_info import ViewInfo
from napari_unet.widgets.navigation import camera_of

if TYPE_CHECKING:
    import napari


def view_info(viewer: napari.Viewer) -> ViewInfo | None:
    """Where the viewer is: camera, and the place along the axes that are not shown.

    ``None`` while that is no place, as in a canvas that was never drawn.
    """
    camera, dims = camera_of(viewer), viewer.dims
    try:
        return ViewInfo(
            point=tuple(float(p) for p in dims.point),
            order=tuple(int(a) for a in dims.order),
            ndisplay=dims.ndisplay,
            center=tuple(float(c) for c in camera.center),
            zoom=float(camera.zoom),
            angles=tuple(float(a) for a in camera.angles),
        )
    except ValidationError:
        return None


def restore_view(viewer: napari.Viewer, info: ViewInfo) -> None:
    """Look there again, where the layers have as many axes as they had."""
    camera, dims = camera_of(viewer), viewer.dims
    if len(info.point) != dims.ndim or sorted(info.order) != list(range(dims.ndim)):
        return  # other layers are open as well
    dims.ndisplay, dims.order = info.ndisplay, info.order
    dims.set_point(range(dims.ndim), info.point)
    camera.center, camera.zoom, camera.angles = info.center, info.zoom, info.angles
