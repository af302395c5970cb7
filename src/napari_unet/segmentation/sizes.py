"""Sizes of objects: in pixels, or as an area or volume in a unit of length."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from napari_unet.errors import ConfigError
from napari_unet.units import METRES, unit_name

EXPONENTS = {"": 0, "2": 2, "²": 2, "^2": 2, "3": 3, "³": 3, "^3": 3}
SHORT = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm"}


class Size(BaseModel):
    """How large an object is.

    Parameters
    ----------
    value : float
    unit : str
        ``"pixel"``, or the name of a unit of length.
    power : {0, 2, 3}
        2 for an area, 3 for a volume, 0 for pixels or voxels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float = Field(ge=0, allow_inf_nan=False)
    unit: str = "pixel"
    power: int = 0

    @classmethod
    def parse(cls, text: Any) -> Size:
        """Read ``30``, ``"30 px"``, ``"12.5 um2"`` or ``"400 µm³"``.

        Raises
        ------
        ValueError
            If it is no size; the message says what sizes look like.
        """
        problem = "give a size such as 30 (pixels), '12 um2' or '400 um3'"
        found = re.fullmatch(
            r"\s*(\d+\.?\d*(?:e[+-]?\d+)?|\.\d+)\s*([a-zåµμ]*)\s*(\^?[23²³]?)\s*",
            str(text).lower(),
        )
        if isinstance(text, bool) or found is None:
            raise ValueError(problem)
        value, name, exponent = found.groups()
        power = EXPONENTS[exponent]
        unit = unit_name(name)
        if unit == "pixel":
            return cls(value=float(value))
        if unit not in METRES or not power:
            raise ValueError(problem)
        return cls(value=float(value), unit=unit, power=power)

    def in_voxels(self, voxel_size: Sequence[float], unit: str) -> int:
        """The same in voxels of an image.

        Parameters
        ----------
        voxel_size : sequence of float
            Along (Z) Y X, in `unit`.

        Raises
        ------
        ConfigError
            If the image does not tell how large its pixels are, or is of another
            number of dimensions.
        """
        if not self.power:
            return round(self.value)
        ndim, one = len(voxel_size), voxel_measure(voxel_size, unit)
        if one is None:
            raise ConfigError(
                f"The size {self} cannot be used, as the image does not tell how large "
                "its pixels are: give the size in pixels."
            )
        if ndim != self.power:
            kind, right = ("area", "volume") if ndim == 3 else ("volume", "area")
            raise ConfigError(
                f"The size {self} is {'an' if kind == 'area' else 'a'} {kind}, but "
                f"objects here have {'an' if right == 'area' else 'a'} {right}: give "
                f"it in µm{'³' if ndim == 3 else '²'}, or in pixels."
            )
        return round(self.value * METRES[self.unit] ** self.power / one)

    def __str__(self) -> str:
        if not self.power:
            return f"{self.value:g} pixels"
        exponent = "²" if self.power == 2 else "³"
        return f"{self.value:g} {SHORT.get(self.unit, self.unit)}{exponent}"


def voxel_measure(voxel_size: Sequence[float], unit: str) -> float | None:
    """Area or volume of a voxel in powers of a metre; None where it is not known."""
    name = unit_name(unit)
    if name not in METRES:
        return None
    return float(math.prod(voxel_size)) * METRES[name] ** len(voxel_size)
