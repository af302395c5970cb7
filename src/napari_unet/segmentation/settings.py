"""Settings of the object decoder, stored in the model; readable without torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator


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

    @model_validator(mode="before")
    @classmethod
    def _without_seed_threshold(cls, values: Any) -> Any:
        # Models of the first format have a height for seeds, which nothing uses now.
        if isinstance(values, dict):
            return {k: v for k, v in values.items() if k != "seed_threshold"}
        return values
