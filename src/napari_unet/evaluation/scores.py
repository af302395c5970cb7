"""Pooled scores and their intervals, from what was counted in every image."""

from __future__ import annotations

import math

from napari_unet.evaluation.results import Evaluation, ImageResult, Score
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.evaluation.tallies import Key, Tallies, stacked
from napari_unet.metrics import intervals, ratio

FEW_UNITS = 6
"""Fewer give intervals that are too narrow."""
BEYOND = (
    "Distances between boundaries were left out: the images are too large for them."
)


def resampled_units(
    images: list[ImageResult], lone: list[Tallies], settings: EvaluationSettings
) -> tuple[Tallies, str]:
    """What is drawn anew for intervals."""
    if len(images) > 1:
        return stacked([image.tallies for image in images]), "images"
    if len(lone) > 1:
        frames = [{k: t.total() for k, t in some.items()} for some in lone]
        return stacked(frames), "frames"
    return (lone[0] if lone else {}), ""


def pooled_scores(
    units: Tallies,
    over: str,
    images: list[ImageResult],
    settings: EvaluationSettings,
) -> list[Score]:
    """Pooled scores with intervals; those of equal units share their draws."""
    bounds: dict[Key, tuple[float, float]] = {}
    for count in {len(t.parts) for t in units.values()}:
        keys = [key for key, t in units.items() if len(t.parts) == count]
        tallies = [(units[k].parts, units[k].wholes, units[k].empty) for k in keys]
        found = intervals(
            tallies,
            level=settings.level,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        bounds.update(zip(keys, found, strict=True))
    made = []
    for key, tally in units.items():
        each = [image.score(key) for image in images]
        some = [s for s in each if not math.isnan(s)]
        low, high = bounds[key]
        drawn = over or ("blocks" if _by_pixels(key, settings) else "objects")
        made.append(
            Score(
                key.name,
                key.of,
                ratio(tally.parts, tally.wholes, tally.empty),
                low,
                high,
                "" if math.isnan(low) else drawn,
                len(tally.parts),
                sum(some) / len(some) if some else math.nan,
            )
        )
    return made


def _by_pixels(key: Key, settings: EvaluationSettings) -> bool:
    return settings.task == "classes" or not key.of.startswith("IoU")


def notices(made: Evaluation) -> list[str]:
    over = {s.over: s.units for s in made.scores if s.over}
    said = [
        f"Intervals from {over[what]} {what} are too narrow: "
        "compare more images before you rely on them."
        for what in ("images", "frames")
        if over.get(what, FEW_UNITS) < FEW_UNITS
    ]
    parts = [what for what in ("frames", "objects", "blocks") if what in over]
    if parts:
        said.append(
            "There is one image: intervals were estimated over its "
            f"{' and '.join(parts)} and say nothing about other images."
        )
    if made.scores and not any(s.name == "boundary F-score" for s in made.scores):
        said.append(BEYOND)
    if not any(image.pixels for image in made.images):
        said.append("No pixel of the reference is annotated.")
    return said
