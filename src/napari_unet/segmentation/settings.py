"""Settings of the object decoder, stored in the model; readable without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from napari_unet.config import checked
from napari_unet.segmentation.sizes import Size


class DecoderInfo(BaseModel):
    """How objects are cut from the network's maps (task ``objects``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreground_threshold: float = Field(0.5, gt=0, lt=1)
    """Probability above which a voxel belongs to an object."""
    prominence: float = Field(0.1, ge=0, lt=1)
    """How far a peak of the normalised centre distance must rise above the pass to a
    higher one to be an object of its own."""
    min_size: int = Field(10, ge=0)
    """Smallest object in voxels."""
    max_size: int | None = Field(None, ge=1)
    """Largest object in voxels; ``None`` for any."""
    fill_holes: bool = False
    """Background that one object encloses becomes part of it."""
    one_piece: bool = False
    """Of an object in several pieces only the largest is kept."""
    clear_border: bool = False
    """Objects that touch the border of the image are left out."""

    @model_validator(mode="before")
    @classmethod
    def _without_seed_threshold(cls, values: Any) -> Any:
        # Models of the first format have a height for seeds, which nothing uses now.
        if isinstance(values, dict):
            return {k: v for k, v in values.items() if k != "seed_threshold"}
        return values

    @model_validator(mode="after")
    def _sizes_in_order(self) -> DecoderInfo:
        if self.max_size is not None and self.max_size < self.min_size:
            raise ValueError("the largest object must not be smaller than the smallest")
        return self

    @property
    def needs_pieces(self) -> bool:
        """Whether connected pieces of objects and background have to be known."""
        return self.fill_holes or self.one_piece or self.clear_border

    def unconstrained(self) -> DecoderInfo:
        """The thresholds alone, for objects that are not whole yet."""
        return DecoderInfo(
            foreground_threshold=self.foreground_threshold,
            prominence=self.prominence,
            min_size=0,
        )


class ObjectSettings(BaseModel):
    """What a prediction changes of a model's decoder; ``None`` keeps the model's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreground_threshold: float | None = Field(None, gt=0, lt=1)
    prominence: float | None = Field(None, ge=0, lt=1)
    min_size: Size | None = None
    max_size: Size | None = None
    """A size of 0 is no limit."""
    fill_holes: bool | None = None
    one_piece: bool | None = None
    clear_border: bool | None = None

    @field_validator("min_size", "max_size", mode="before")
    @classmethod
    def _parsed(cls, value: Any) -> Any:
        if value is None or isinstance(value, Size | dict):
            return value
        return Size.parse(value)

    def applied(
        self, info: DecoderInfo, voxel_size: Sequence[float], unit: str
    ) -> DecoderInfo:
        """The decoder for an image.

        Parameters
        ----------
        info : DecoderInfo
            Of the model.
        voxel_size : sequence of float
            Of the image along (Z) Y X, in `unit`.

        Raises
        ------
        ConfigError
            If a size is in a unit that the image does not know, or the largest size
            lies below the smallest.
        """
        changes: dict[str, Any] = {
            name: value for name, value in self if value is not None
        }
        for name in ("min_size", "max_size"):
            if name in changes:
                changes[name] = changes[name].in_voxels(voxel_size, unit)
        if changes.get("max_size") == 0:
            changes["max_size"] = None
        return checked(DecoderInfo, {**info.model_dump(), **changes})


def object_settings(wishes: Mapping[str, Any]) -> ObjectSettings:
    """Settings from plain values; a wrong one becomes one sentence.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of its range.
    """
    return checked(ObjectSettings, wishes)


def as_settings(wishes: ObjectSettings | Mapping[str, Any] | None) -> ObjectSettings:
    """The same as :func:`object_settings`, for what may be settings already."""
    if isinstance(wishes, ObjectSettings):
        return wishes
    return object_settings(wishes or {})
