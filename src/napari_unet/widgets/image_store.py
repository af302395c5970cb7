"""Which OME-Zarr image on disk a layer shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.errors import DataError
from napari_unet.image_io.labels_group import ImageGroup, image_group, open_group
from napari_unet.widgets.readings import layer_shape, level_zero

if TYPE_CHECKING:
    from napari.layers import Layer


def ome_zarr_of(layer: Layer) -> Path | None:
    """Folder of the image that a layer shows, if labels can be put into it.

    None where the layer shows something else, or only a part of the image.
    """
    for folder in _candidates(layer):
        group = image_group(folder)
        if group is not None and group.writable and _shows_all(layer, group):
            return group.path
    return None


def _candidates(layer: Layer) -> list[Path]:
    folders = []
    data = level_zero(layer)
    root = getattr(getattr(data, "store", None), "root", None)
    if isinstance(root, str | Path):
        inside = Path(root) / str(getattr(data, "path", ""))
        folders += [inside.parent, Path(root), Path(root).parent]
    if layer.source.path:
        folders.append(Path(layer.source.path))
    return folders


def _shows_all(layer: Layer, group: ImageGroup) -> bool:
    """Whether a plane of the layer is a plane of the image's full resolution."""
    try:
        opened = open_group(group.path)
        attributes = dict(opened.attrs)
        multiscale = attributes.get("ome", attributes)["multiscales"][0]
        names = [a["name"] for a in multiscale["axes"]]
        full = opened[multiscale["datasets"][0]["path"]].shape
    except (DataError, KeyError, IndexError, TypeError):
        return False  # an older or a damaged image: its labels go elsewhere
    shown = [n for n in layer_shape(layer) if n > 1]
    spatial = [int(n) for n, a in zip(full, names, strict=True) if a in "zyx" and n > 1]
    return shown[len(shown) - len(spatial) :] == spatial
