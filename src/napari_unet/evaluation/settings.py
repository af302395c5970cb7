"""What can be chosen about an evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_unet.config import AnnotationRule, checked
from napari_unet.metrics import THRESHOLDS
from napari_unet.metrics.bootstrap import LEVEL, RESAMPLES

ComparedTask = Literal["classes", "objects"]
"""Continuous values are no labels; `metrics.values` is for them."""
Threshold = Annotated[float, Field(gt=0.0, le=1.0)]


class EvaluationSettings(BaseModel):
    """How a prediction is compared with the truth."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: ComparedTask = Field("objects", title="Task")
    annotation: AnnotationRule = Field("complete", title="Annotation")
    background: bool = Field(
        True,
        title="One class is background",
        description="Off: every label is a class of its own and 0 is not annotated",
    )
    renumber: dict[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict,
        title="Renumber",
        description="Classes only: {2: 1} reads 2 in the prediction as 1",
    )
    thresholds: tuple[Threshold, ...] = Field(
        THRESHOLDS, min_length=1, title="IoU at which objects match"
    )
    error_iou: Threshold = Field(
        0.5, title="IoU below which an object is listed as an error"
    )
    tolerance: float | None = Field(
        None,
        gt=0,
        title="Tolerance of the boundary score",
        description="In the unit of the voxel size; twice the finest voxel by default",
    )
    pieces: bool = Field(
        False,
        title="Compare connected pieces",
        description="V_Rand and V_Info of what membranes part",
    )
    ndim: Literal[0, 2, 3] = Field(
        0, title="Dimensions", description="2 compares volumes plane by plane"
    )
    level: float = Field(LEVEL, gt=0, lt=1, title="Level of the intervals")
    resamples: int = Field(RESAMPLES, ge=0, title="Draws for the intervals")
    seed: int = Field(0, ge=0, title="Seed")


def evaluation_settings(**wishes: Any) -> EvaluationSettings:
    """Build :class:`EvaluationSettings`; a wrong value becomes one sentence.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of its range.
    """
    return checked(EvaluationSettings, wishes)
