"""Scoring a network on the held-out part, and fitting the decoder on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_unet.config import Task
from napari_unet.data.classes import ClassInfo
from napari_unet.data.sampling import Region
from napari_unet.data.targets import make_target
from napari_unet.losses.objectives import Objective, ObjectiveSettings, make_objective
from napari_unet.metrics.calibration import (
    both,
    fit_temperature,
    reliability,
    tempered,
    tempered_one,
)
from napari_unet.metrics.classes import class_scores, confusion
from napari_unet.metrics.objects import match_objects, pool
from napari_unet.metrics.values import ValueErrors, pool_values, value_errors
from napari_unet.models.info import CalibrationInfo
from napari_unet.prediction.predictor import Predictor, TileMaps
from napari_unet.segmentation.objects import (
    compact_labels,
    decode_objects,
    find_basins,
)
from napari_unet.segmentation.settings import DecoderInfo

AP_THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
FOREGROUND_THRESHOLDS = (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65)
PROMINENCES = (0.03, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3)

SCORE_NAMES: dict[Task, str] = {
    "classes": "mean Dice",
    "objects": "mean AP@0.5:0.9",
    "regression": "R²",
}


LEAST_REGIONS = 5
"""Held-out regions from which on an interval says something."""
RESAMPLES = 300
"""Draws for an interval of the score."""


@dataclass(frozen=True)
class _Truth:
    region: Region
    index: NDArray[np.int16]
    """(Z) Y X of the region's box; -1 not annotated."""
    distance: NDArray[np.float32] | None
    instances: NDArray[np.int32] | None
    """Ids; 0 background, -1 not annotated."""
    values: NDArray[np.float32] | None
    """V (Z) Y X of task ``regression``."""


@dataclass(frozen=True)
class _Compared:
    """What a loss compares the maps of one region with, as a batch of one."""

    index: Tensor
    distance: Tensor | None
    values: Tensor | None
    weight: Tensor | None = None


class Validation:
    """The held-out part, ready to be compared with.

    Parameters
    ----------
    regions : sequence of Region
    task, classes
        As in the model.
    objective : Objective, optional
        The loss that is told; the default one of the task otherwise.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        task: Task,
        classes: Sequence[ClassInfo],
        objective: Objective | None = None,
    ) -> None:
        self.task = task
        self.objective = objective or make_objective(task, ObjectiveSettings())
        self.classes = list(classes)
        self._truths = [_truth(r, task, classes) for r in regions]
        sizes = [
            int(
                (t.instances if t.instances is not None else t.index).max(initial=0) > 0
            )
            for t in self._truths
        ]
        self._has_objects = any(sizes)

    def maps(
        self,
        network: nn.Module,
        device: torch.device,
        precision: torch.dtype,
    ) -> list[NDArray[np.float32]]:
        """Probability maps ``K (Z) Y X`` of every held-out region."""
        predictor = Predictor(network, self.task, device, precision)
        found = []
        for truth in self._truths:
            region = truth.region
            out: NDArray[np.float32] | None = None
            for part in predictor.run(
                region.annotation.source, region.intensity, region.sample, region.box
            ):
                if isinstance(part, TileMaps):
                    if out is None:
                        shape = (len(part.maps), *truth.index.shape)
                        out = np.empty(shape, np.float32)
                    out[(slice(None), *part.tile.target)] = part.maps
            if out is not None:
                found.append(out)
        return found

    def loss(self, maps: Sequence[NDArray[np.float32]]) -> float:
        """The training loss on the held-out part, mean over regions."""
        losses = []
        for truth, m in zip(self._truths, maps, strict=True):
            found = torch.from_numpy(m).unsqueeze(0)
            losses.append(self.objective(_logits(found, self.task), _compared(truth)))
        return float(torch.stack(losses).mean())

    def score(
        self, maps: Sequence[NDArray[np.float32]], decoder: DecoderInfo | None
    ) -> float:
        """Mean Dice, mean AP at IoU 0.5 … 0.9 (``objects``) or R² (``regression``)."""
        if self.task == "regression":
            return float(np.nan_to_num(self.value_errors(maps).r2))
        if self.task == "objects":
            return self._object_score(maps, decoder or DecoderInfo())
        return self._mean_dice(self._tables(maps))

    def _tables(self, maps: Sequence[NDArray[np.float32]]) -> list[NDArray[np.int64]]:
        values = list(range(len(self.classes)))
        return [
            confusion(t.index, m.argmax(axis=0), values)
            for t, m in zip(self._truths, maps, strict=True)
        ]

    def _mean_dice(self, tables: Sequence[NDArray[np.int64]]) -> float:
        values = list(range(len(self.classes)))
        background = 0 if self.classes[0].background else None
        scores = class_scores(tables, values, background)
        return float(np.nan_to_num(scores.mean_dice))

    def interval(
        self, maps: Sequence[NDArray[np.float32]], decoder: DecoderInfo | None
    ) -> tuple[float, float] | None:
        """95 % interval of the score: held-out regions drawn with replacement.

        ``None`` where there are too few regions to tell, and for values.
        """
        if self.task == "regression":
            return None
        score: Callable[[list[Any]], float]
        units: list[Any]
        if self.task == "objects":
            units = self._matches(maps, decoder or DecoderInfo())
            score = _mean_ap
        else:
            units, score = self._tables(maps), self._mean_dice
        if len(units) < LEAST_REGIONS:
            return None
        draws = np.random.default_rng(0).integers(
            len(units), size=(RESAMPLES, len(units))
        )
        found = [score([units[i] for i in draw]) for draw in draws]
        low, high = np.nanpercentile(found, [2.5, 97.5])
        return float(low), float(high)

    def value_errors(self, maps: Sequence[NDArray[np.float32]]) -> ValueErrors:
        """Errors over all held-out regions (``regression``)."""
        return pool_values(
            value_errors(np.where(t.index >= 0, t.values[0], np.nan), m[0])
            for t, m in zip(self._truths, maps, strict=True)
            if t.values is not None
        )

    def _object_score(
        self, maps: Sequence[NDArray[np.float32]], decoder: DecoderInfo
    ) -> float:
        return _mean_ap(self._matches(maps, decoder))

    def _matches(
        self, maps: Sequence[NDArray[np.float32]], decoder: DecoderInfo
    ) -> list[Any]:
        return [
            match_objects(
                t.instances, decode_objects(m[0], m[1], decoder), AP_THRESHOLDS
            )
            for t, m in zip(self._truths, maps, strict=True)
            if t.instances is not None
        ]

    def calibrate(self, maps: Sequence[NDArray[np.float32]]) -> CalibrationInfo:
        """Fit the temperature, and change the maps accordingly.

        The centre distance of objects and values are no probabilities and stay.
        """
        if self.task == "regression":
            return CalibrationInfo()
        pairs = [
            (both(m[0]) if self.task == "objects" else m, t.index)
            for t, m in zip(self._truths, maps, strict=True)
        ]
        temperature = round(fit_temperature(pairs), 4)
        if temperature == 1:
            return CalibrationInfo()
        before = _ece(pairs)
        after = _ece([(tempered(m, temperature), index) for m, index in pairs])
        for m in maps:
            if self.task == "objects":
                m[0] = tempered_one(m[0], temperature)
            else:
                m[:] = tempered(m, temperature)
        return CalibrationInfo(
            temperature=temperature, ece_before=before, ece_after=after
        )

    def fit_decoder(self, maps: Sequence[NDArray[np.float32]]) -> DecoderInfo:
        """Thresholds with the best score on the held-out part.

        The smallest object follows from the held-out objects: half of the first
        percentile of their sizes.
        """
        sizes = np.concatenate(
            [
                np.bincount(np.maximum(t.instances, 0).ravel())[1:]
                for t in self._truths
                if t.instances is not None
            ]
        )
        sizes = sizes[sizes > 0]
        min_size = int(np.percentile(sizes, 1) / 2) if sizes.size else 10
        default = DecoderInfo(min_size=min_size)
        best, best_key = default, (-1.0, 0.0)
        pairs = [
            (t.instances, m)
            for t, m in zip(self._truths, maps, strict=True)
            if t.instances is not None
        ]
        for foreground in FOREGROUND_THRESHOLDS:
            # The watershed is the same for every prominence.
            cut = [(true, find_basins(m[0] > foreground, m[1])) for true, m in pairs]
            for prominence in PROMINENCES:
                score = pool(
                    match_objects(
                        true,
                        compact_labels(basins.joined(prominence), min_size),
                        AP_THRESHOLDS,
                    )
                    for true, basins in cut
                ).mean_ap()
                # Among equal scores those nearest to the defaults: a few held-out
                # objects say nothing about the many places that nobody annotated.
                away = abs(foreground - default.foreground_threshold)
                away += abs(prominence - default.prominence)
                if (score, -away) > best_key:
                    best_key = score, -away
                    best = DecoderInfo(
                        foreground_threshold=foreground,
                        prominence=prominence,
                        min_size=min_size,
                    )
        return best


def _ece(pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.int16]]]) -> float:
    found = [reliability(m, index, tuple(range(len(m)))) for m, index in pairs]
    return sum(found[1:], found[0]).ece


def _mean_ap(counts: Sequence[Any]) -> float:
    return pool(counts).mean_ap()


def _truth(region: Region, task: Task, classes: Sequence[ClassInfo]) -> _Truth:
    target = make_target(region.annotation, region.sample, task, classes)
    target = target.cut(region.box)
    instances = None
    if target.distance is not None:
        instances = region.annotation.read(region.sample, region.box)
        instances = np.where(target.index == 0, 0, instances)
    return _Truth(region, target.index, target.distance, instances, target.values)


def _compared(truth: _Truth) -> _Compared:
    def one(array: NDArray[np.float32] | None) -> Tensor | None:
        return None if array is None else torch.from_numpy(array).unsqueeze(0)

    index = torch.from_numpy(truth.index.astype(np.int64)).unsqueeze(0)
    return _Compared(index, one(truth.distance), one(truth.values))


def _logits(maps: Tensor, task: Task) -> Tensor:
    """What the network said, from what the predictor made of it."""
    if task == "regression":
        return maps
    probability = maps.clamp(1e-6, 1 - 1e-6)
    return probability.log() if task == "classes" else probability.logit()
