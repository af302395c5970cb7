"""What OME-Zarr says about an array: axes, size, names, colours.

After the OME-NGFF specification, versions 0.4 (zarr format 2) and 0.5 (format 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from napari_unet.data.classes import ClassInfo
from napari_unet.units import LENGTHS


@dataclass(frozen=True)
class StoreMetadata:
    """Everything but the pixels.

    Parameters
    ----------
    name : str
    axes : str
        Letters out of ``TCZYX``.
    voxel_size : sequence of float
        Along the spatial axes of `axes`, Z Y X; the last ones count where fewer.
    unit : str
    labels : bool
        Whether whole numbers name classes or objects.
    classes : sequence of ClassInfo
        For names and colours of labels.
    image : str, optional
        Path of the image from the store, where labels lie in its ``labels`` group.
    channel_names : sequence of str
        Names of maps of probabilities, between 0 and 1.
    """

    name: str
    axes: str
    voxel_size: Sequence[float]
    unit: str = "pixel"
    labels: bool = True
    classes: Sequence[ClassInfo] = ()
    image: str | None = None
    channel_names: Sequence[str] = ()

    def attributes(self, levels: int, zarr_format: int) -> dict[str, Any]:
        """Attributes of a group of so many levels, each half as large as the last.

        Parameters
        ----------
        levels : int
        zarr_format : {2, 3}
        """
        parts: dict[str, Any] = {"multiscales": [self._multiscale(levels)]}
        if self.labels:
            parts["image-label"] = self._image_label()
        if self.channel_names:
            parts["omero"] = {"channels": [_channel(n) for n in self.channel_names]}
        if zarr_format == 3:
            return {"ome": {"version": "0.5", **parts}}
        for key, value in parts.items():
            first = value[0] if isinstance(value, list) else value
            dated = {"version": "0.4", **first}
            parts[key] = [dated] if isinstance(value, list) else dated
        return parts

    def _multiscale(self, levels: int) -> dict[str, Any]:
        return {
            "name": self.name,
            "axes": [self._axis(a) for a in self.axes],
            "datasets": [self._dataset(level) for level in range(levels)],
            "type": "nearest",
        }

    def _axis(self, letter: str) -> dict[str, str]:
        kind = {"T": "time", "C": "channel"}.get(letter, "space")
        axis = {"name": letter.lower(), "type": kind}
        if kind == "space" and self.unit in LENGTHS:
            axis["unit"] = self.unit
        return axis

    def _dataset(self, level: int) -> dict[str, Any]:
        letters = [a for a in "ZYX" if a in self.axes][-len(self.voxel_size) :]
        known = tuple(self.voxel_size)[-len(letters) :]
        size = dict(zip(letters, known, strict=True))
        step = [2**level if a in "YX" else 1 for a in self.axes]
        pairs = zip(self.axes, step, strict=True)
        scale = [float(size.get(a, 1.0) * s) for a, s in pairs]
        return {
            "path": str(level),
            "coordinateTransformations": [{"type": "scale", "scale": scale}],
        }

    def _image_label(self) -> dict[str, Any]:
        shown = [c for c in self.classes if c.result_value]
        label: dict[str, Any] = {
            "colors": [
                {
                    "label-value": c.result_value,
                    "rgba": [*bytes.fromhex(c.color.removeprefix("#")), 255],
                }
                for c in shown
            ],
            "properties": [
                {"label-value": c.result_value, "name": c.name} for c in shown
            ],
        }
        if self.image is not None:
            label["source"] = {"image": self.image}
        return {key: value for key, value in label.items() if value}


def _channel(name: str) -> dict[str, Any]:
    window = {"min": 0.0, "max": 1.0, "start": 0.0, "end": 1.0}
    return {"label": name, "color": "FFFFFF", "window": window, "active": True}
