"""Settings of the object decoder, stored in the model; readable without torch."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class DecoderInfo(BaseModel):
    """How objects are cut from the network's maps (task ``objects``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreground_threshold: float = Field(0.5, gt=0, lt=1)
    """Probability above which a voxel belongs to an object."""
    seed_threshold: float = Field(0.5, gt=0, lt=1)
    """Normalised centre distance above which a seed may stand."""
    min_size: int = Field(10, ge=0)
    """Smallest object in voxels."""
