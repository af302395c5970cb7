"""Pieces that membranes part: cut from a probability, as chosen on validation images.

A threshold joins two cells through the smallest gap in a membrane. Cut as objects are
(:mod:`napari_unet.segmentation.objects`), with the probability of the interior as the
landscape, a gap joins only what it hardly parts. Averaged over flips and right angles,
a probability has fewer gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
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
    views: bool
    """Whether the probability is averaged over flips and turns."""


Pair = tuple[NDArray[np.int32], dict[bool, NDArray[np.float32]]]
"""True pieces, and the interior's probability without and with views."""


def score_pieces(
    model: Model, val: Sequence[Annotation], test: Sequence[Annotation]
) -> dict[str, Any]:
    """V_Rand and V_Info of `test`, borders thinned, each way chosen on `val`."""
    known, asked = [_pair(model, a) for a in val], [_pair(model, a) for a in test]
    ways = {
        "threshold": [Cut(t, None, views=False) for t in THRESHOLDS],
        "prominence": [
            Cut(t, p, views=False) for t, p in product(THRESHOLDS, PROMINENCES)
        ],
    }
    ways["views and prominence"] = [
        replace(cut, views=True) for cut in ways["prominence"]
    ]
    found: dict[str, Any] = {}
    for name, cuts in ways.items():
        scores = {cut: _score(known, cut) for cut in cuts}
        best = max(cuts, key=lambda cut: scores[cut]["rand"])
        found[name] = {
            "cut": asdict(best),
            "val": scores[best],
            "test": _score(asked, best),
        }
    return found


def _pair(model: Model, annotation: Annotation) -> Pair:
    truth = pieces(np.asarray(annotation.labels) == INTERIOR)
    return truth, {v: _interior(model, annotation, v) for v in (False, True)}


def _interior(model: Model, annotation: Annotation, views: bool) -> NDArray[np.float32]:
    made = exhaust(predict(model, annotation.source, probabilities=True, views=views))
    if made.probabilities is None:
        raise RuntimeError("no probabilities")
    return np.asarray(made.probabilities[INTERIOR], np.float32)


def _score(pairs: Sequence[Pair], cut: Cut) -> dict[str, float]:
    scores = []
    for truth, maps in pairs:
        interior = maps[cut.views]
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
