"""How good a segmentation is, in the numbers that the field reports."""

from napari_unet.metrics.bootstrap import interval, intervals, ratio
from napari_unet.metrics.boundaries import BoundaryDistances, boundary_distances
from napari_unet.metrics.calibration import Reliability, reliability
from napari_unet.metrics.classes import ClassScores, class_scores, confusion
from napari_unet.metrics.objects import (
    THRESHOLDS,
    MatchUnits,
    ObjectCounts,
    iou_table,
    match,
    match_objects,
    match_units,
    pool,
)
from napari_unet.metrics.overlaps import Overlaps, overlaps
from napari_unet.metrics.partition import (
    PartitionScores,
    partition_scores,
    pieces,
    thin_borders,
)

__all__ = [
    "THRESHOLDS",
    "BoundaryDistances",
    "ClassScores",
    "MatchUnits",
    "ObjectCounts",
    "Overlaps",
    "PartitionScores",
    "Reliability",
    "boundary_distances",
    "class_scores",
    "confusion",
    "interval",
    "intervals",
    "iou_table",
    "match",
    "match_objects",
    "match_units",
    "overlaps",
    "partition_scores",
    "pieces",
    "pool",
    "ratio",
    "reliability",
    "thin_borders",
]
