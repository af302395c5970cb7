"""What the axes of an image layer may mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.errors import DataError

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

AXIS_WORDS = {
    "t": "T",
    "time": "T",
    "frame": "T",
    "frames": "T",
    "c": "C",
    "ch": "C",
    "channel": "C",
    "channels": "C",
    "z": "Z",
    "depth": "Z",
    "plane": "Z",
    "slice": "Z",
    "y": "Y",
    "row": "Y",
    "height": "Y",
    "x": "X",
    "col": "X",
    "column": "X",
    "width": "X",
}
"""Names that people give to axes, and the letters they mean."""

_AXIS_TEXT = {"T": "time", "C": "channels", "Z": "depth"}


@dataclass(frozen=True)
class Reading:
    """One way to understand the axes of a layer.

    ``axes`` has a letter for every axis of the array, with a last ``C`` for RGB;
    ``ndim`` is the number of axes along which the network sees, 2 or 3.
    """

    axes: str
    ndim: int

    @property
    def text(self) -> str:
        """What to show in a chooser, such as "depth (Z), 3D network"."""
        outer = [a for a in self.axes if a not in "YX"]
        if outer and self.axes[-1] == "C":
            outer.pop()
        names = ", ".join(f"{_AXIS_TEXT[a]} ({a})" for a in outer)
        network = f"{self.ndim}D network"
        if self.ndim == 2 and "Z" in outer:
            network += ", plane by plane"
        return f"{names}: {network}" if names else network


def readings(layer: Image | Labels) -> list[Reading]:
    """Ways to understand the axes of a layer, the most likely one first.

    Axis labels that say what an axis is are believed.

    Raises
    ------
    DataError
        If the layer has fewer than two or more than five axes.
    """
    count = layer.ndim
    by_count = {
        2: ["YX"],
        3: ["ZYX", "TYX", "CYX"],
        4: ["TZYX", "CZYX", "CTYX"],
        5: ["TCZYX", "CTZYX"],
    }
    if count not in by_count:
        raise DataError(
            f"{layer.name!r} has {count} axes: 2 to 5 can be used. Right-click the "
            "layer and choose Split Stack to take it apart."
        )
    said = _said_axes(layer)
    if said is not None and len(set(said)) == count and set("YX") <= set(said):
        candidates = ["".join(a for a in said if a)]
    else:
        candidates = by_count[count]
        if said is not None:
            fitting = [
                axes
                for axes in candidates
                if all(s is None or s == a for s, a in zip(said, axes, strict=True))
            ]
            candidates = fitting or candidates
    rgb = bool(getattr(layer, "rgb", False))  # Labels layers know no colours
    if rgb:
        candidates = [axes for axes in candidates if "C" not in axes]
    found = []
    for axes in candidates:
        deep = "Z" in axes and layer_shape(layer)[axes.index("Z")] > 1
        full = axes + "C" * rgb
        if "Z" in axes:
            found.append(Reading(full, 3 if deep else 2))
        found.append(Reading(full, 2))
    return list(dict.fromkeys(found))


def _said_axes(layer: Layer) -> tuple[str | None, ...] | None:
    labels = tuple(getattr(layer, "axis_labels", ()))
    if len(labels) != layer.ndim:
        return None
    said = tuple(AXIS_WORDS.get(str(word).strip().lower()) for word in labels)
    return said if any(said) else None


def level_zero(layer: Layer) -> Any:
    """The layer's pixels in full resolution."""
    return layer.data[0] if getattr(layer, "multiscale", False) else layer.data


def layer_shape(layer: Layer) -> tuple[int, ...]:
    """Shape of the pixels in full resolution, without the last axis of RGB."""
    return tuple(int(n) for n in level_zero(layer).shape[: layer.ndim])
