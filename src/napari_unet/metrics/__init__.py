"""How good a segmentation is, in the numbers that the field reports."""

from napari_unet.metrics.classes import ClassScores, class_scores, confusion
from napari_unet.metrics.objects import (
    THRESHOLDS,
    ObjectCounts,
    iou_table,
    match_objects,
    pool,
)

__all__ = [
    "THRESHOLDS",
    "ClassScores",
    "ObjectCounts",
    "class_scores",
    "confusion",
    "iou_table",
    "match_objects",
    "pool",
]
