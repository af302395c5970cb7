"""What comes of a comparison: scores, errors and pictures of every image."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_unet.evaluation.kinds import Kind
from napari_unet.evaluation.mistakes import Mistake
from napari_unet.evaluation.pictures import Picture
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.evaluation.tallies import Key, Tallies
from napari_unet.metrics import ObjectCounts, Reliability, ratio


@dataclass(frozen=True)
class Score:
    """A number, and how sure it is."""

    name: str
    of: str
    value: float
    low: float
    high: float
    over: str
    """What was drawn anew for the interval: images, frames, objects or blocks."""
    units: int
    """How many of them there are."""
    image_mean: float
    """Mean of the score over images."""

    @property
    def key(self) -> Key:
        return Key(self.name, self.of)


@dataclass
class ImageResult:
    """One image."""

    name: str
    tallies: Tallies
    """Of the image as a whole: one unit."""
    mistakes: list[Mistake]
    """The largest errors of each frame."""
    errors: Counter[Kind] = field(default_factory=Counter)
    """All errors by kind."""
    n_true: int = 0
    """True objects."""
    n_found: int = 0
    """Predicted objects."""
    pixels: int = 0
    """Annotated pixels."""
    picture: Picture | None = None
    counts: ObjectCounts | None = None
    """Task ``objects``."""
    confusion: NDArray[np.int64] | None = None
    """Task ``classes``, shape (K, K + 1)."""

    def score(self, key: Key) -> float:
        """NaN where the image has no such score."""
        tally = self.tallies.get(key)
        if tally is None:
            return math.nan
        return ratio(tally.parts, tally.wholes, tally.empty)


@dataclass(frozen=True)
class Perturbed:
    """The main score on images that were made worse."""

    name: str
    score: Score


@dataclass(frozen=True)
class Evaluation:
    """Everything that came of a comparison."""

    settings: EvaluationSettings
    images: list[ImageResult]
    scores: list[Score]
    unit: str = "pixel"
    """Of distances and of the tolerance."""
    tolerance: float = math.nan
    values: tuple[int, ...] = ()
    """Label values of the classes."""
    reliability: Reliability | None = None
    robustness: list[Perturbed] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def get(self, key: Key) -> Score | None:
        """A score by what it is about."""
        return next((s for s in self.scores if s.key == key), None)

    @property
    def main(self) -> Key:
        """The score by which images are compared."""
        if self.settings.task == "objects":
            return Key("AP", f"IoU {min(self.settings.thresholds):.2f}")
        return Key("mean Dice")

    @property
    def mistakes(self) -> list[Mistake]:
        """Errors of all images, the largest first."""
        found = [m for image in self.images for m in image.mistakes]
        return sorted(found, key=lambda m: -m.size)

    @property
    def errors(self) -> Counter[Kind]:
        """Errors of all images by kind."""
        return sum((image.errors for image in self.images), Counter[Kind]())
