"""Pieces that membranes part: cut from a probability, as chosen on validation images.

A threshold joins two cells through the smallest gap in a membrane. Cut as objects are
(:mod:`napari_unet.segmentation.objects`), with the probability of the interior as the
landscape, a gap joins only what it hardly parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.api import exhaust
from napari_unet.data.annotation import Annotation
from napari_unet.metrics.partition import (
    PartitionScores,
    partition_scores,
    pieces,
    thin_borders,
)
from napari_unet.models.model import Model
from napari_unet.segmentation.objects import find_basins
from napari_unet.workflows import predict

THRESHOLDS = 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8
PROMINENCES = 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5
INTERIOR = 1
"""Class of what membranes part."""


@dataclass(frozen=True)
class Cut:
    """How pieces are cut."""

    threshold: float
    prominence: float | None
    """``None``: connected pieces above the threshold."""


def score_pieces(
    model: Model, val: Sequence[Annotation], test: Sequence[Annotation]
) -> dict[str, Any]:
    """V_Rand and V_Info of `test`, borders thinned, each way chosen on `val`."""
    known = [(_truth(a), _interior(model, a)) for a in val]
    asked = [(_truth(a), _interior(model, a)) for a in test]
    plain = [Cut(t, None) for t in THRESHOLDS]
    parted = [Cut(t, p) for t, p in product(THRESHOLDS, PROMINENCES)]
    found: dict[str, Any] = {}
    for name, cuts in (("threshold", plain), ("prominence", parted)):
        scores = {cut: _score(known, cut) for cut in cuts}
        best = max(cuts, key=lambda cut: scores[cut]["rand"])
        found[name] = {
            "cut": asdict(best),
            "val": scores[best],
            "test": _score(asked, best),
        }
    return found


def _truth(annotation: Annotation) -> NDArray[np.int32]:
    return pieces(np.asarray(annotation.labels) == INTERIOR)


def _interior(model: Model, annotation: Annotation) -> NDArray[np.float32]:
    made = exhaust(predict(model, annotation.source, probabilities=True))
    if made.probabilities is None:
        raise RuntimeError("no probabilities")
    return np.asarray(made.probabilities[INTERIOR], np.float32)


def _score(
    pairs: Sequence[tuple[NDArray[np.int32], NDArray[np.float32]]], cut: Cut
) -> dict[str, float]:
    scores = []
    for truth, interior in pairs:
        mask = interior > cut.threshold
        if cut.prominence is None:
            labels = pieces(mask)
        else:
            labels = find_basins(mask, interior).joined(cut.prominence)
        scores.append(partition_scores(truth, thin_borders(labels, truth)))
    return {
        f.name: round(float(np.mean([getattr(s, f.name) for s in scores])), 4)
        for f in fields(PartitionScores)
    }
