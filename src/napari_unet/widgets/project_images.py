"""Images of a project: found in the viewer, or opened again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.errors import DataError
from napari_unet.live.project_info import LayerInfo, load_pixels
from napari_unet.widgets.box_layer import is_preview
from napari_unet.widgets.readings import level_zero

if TYPE_CHECKING:
    import napari
    from napari.layers import Image, Layer

LOOK = ("contrast_limits", "gamma", "opacity", "blending", "visible")
"""What an image layer looks like, beside its colormap."""
OWN_READER = "napari"


@dataclass
class ProjectImages:
    """Finds the images of a project in the viewer, or opens them."""

    viewer: napari.Viewer
    folder: Path
    _added: list[Layer] = field(default_factory=list)
    _used: list[Image] = field(default_factory=list)

    def find(self, info: LayerInfo) -> Image:
        layer = self._open_one(info)
        path = self._place(info)
        if layer is None and path is not None:
            layer = self._read(info, path)
        elif layer is None:
            layer = self._from_copy(info)
        self._used.append(layer)
        return layer

    def undo(self) -> None:
        """Remove what was added."""
        self.tidy([])

    def tidy(self, needed: Sequence[Image]) -> None:
        """Remove what was added and is not needed: a file may hold more layers."""
        for layer in self._added:
            if layer not in needed and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)

    def _candidates(self, info: LayerInfo) -> list[Image]:
        from napari.layers import Image

        found = [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Image)
            and layer not in self._used
            and not is_preview(layer)
            and fits(layer, info)
        ]
        return sorted(found, key=lambda layer: layer.name != info.name)

    def _open_one(self, info: LayerInfo) -> Image | None:
        candidates = self._candidates(info)
        place = self._place(info)
        for layer in candidates:
            path = layer.source.path
            if place and path and Path(path).absolute() == Path(place):
                return layer
        if place and Path(place).exists():
            return None
        copy = self._copy(info)
        for layer in candidates:
            if layer.name == info.name and (copy is None or _same(layer, copy)):
                return layer
        return None

    def _place(self, info: LayerInfo) -> str | None:
        """Where the image's file is: where it was, or in the project's own folder."""
        if info.path is None or Path(info.path).exists():
            return info.path
        # The folder may have come from another computer, with other separators.
        beside = self.folder / re.split(r"[\\/]", info.path)[-1]
        return str(beside.absolute()) if beside.exists() else info.path

    def _copy(self, info: LayerInfo) -> Path | None:
        if info.copy_name is None:
            return None
        # Only the name counts: a foreign project must not point elsewhere.
        path = self.folder / Path(info.copy_name).name
        return path if path.is_file() else None

    def _read(self, info: LayerInfo, path: str) -> Image:
        if not Path(path).exists():
            raise DataError(
                f"The image {path} is gone: put it back, or open {info.name!r} from "
                "its new place, and press Continue where I was again."
            )
        try:
            added = self.viewer.open(path, plugin=info.reader or OWN_READER)
        except Exception as error:  # readers are other people's code
            raise DataError(
                f"The image {path} could not be opened ({error}): open it yourself, "
                "and press Continue where I was again."
            ) from error
        self._added += added
        for layer in self._candidates(info):
            if layer in added:
                _dress(layer, info)
                return layer
        raise DataError(
            f"{path} no longer holds the image of this project ({info.name!r}, "
            f"{_words(info.shape)}, {np.dtype(info.dtype)}): put the file back as it "
            "was, or start a new run with Train."
        )

    def _from_copy(self, info: LayerInfo) -> Image:
        from napari.layers import Image

        copy = self._copy(info)
        if copy is None:
            raise DataError(
                f"The project holds no copy of the image {info.name!r}: open that "
                "image, give its layer this name, and press Continue where I was "
                "again."
            )
        pixels = load_pixels(copy)
        if pixels.shape != info.shape:
            raise DataError(
                f"The copy of the image {info.name!r} in the project is damaged: open "
                "the image itself, give its layer this name, and press Continue where "
                "I was again."
            )
        layer = Image(pixels, name=info.name, rgb=info.rgb)
        self.viewer.add_layer(layer)
        self._added.append(layer)
        _dress(layer, info)
        return layer


def fits(layer: Image, info: LayerInfo) -> bool:
    """Whether a layer has the shape and type of an image of a project."""
    pixels = level_zero(layer)
    same_shape = tuple(pixels.shape) == info.shape
    same_type = np.dtype(pixels.dtype) == np.dtype(info.dtype)
    return same_shape and same_type and bool(layer.rgb) == info.rgb


def _same(layer: Image, copy: Path) -> bool:
    """Whether a layer in memory holds what was copied; unknown counts as the same."""
    pixels = level_zero(layer)
    if not isinstance(pixels, np.ndarray):
        return True
    return bool(np.array_equal(pixels, load_pixels(copy)))


def _dress(layer: Image, info: LayerInfo) -> None:
    """Place a layer and make it look as it did."""
    for name, value in {**info.placement, **info.look}.items():
        if name not in (*LOOK, "colormap") and name not in _PLACES:
            continue
        try:
            setattr(layer, name, np.array(value) if name in _ARRAYS else value)
        except (KeyError, ValueError, TypeError, AttributeError):
            # A colormap of the user's own, or what another version of napari knows:
            # the layer then looks as it does by default.
            continue
    layer.name = info.name


_ARRAYS = ("scale", "translate", "rotate", "shear", "affine")
_PLACES = (*_ARRAYS, "units", "axis_labels")


def _words(shape: Sequence[int]) -> str:
    return " × ".join(str(n) for n in shape)
