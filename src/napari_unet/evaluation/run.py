"""Compare predictions with the truth, image by image, and sum up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.evaluation.kinds import Kind
from napari_unet.evaluation.mistakes import (
    Box,
    Mistake,
    Mistakes,
    class_mistakes,
    object_mistakes,
)
from napari_unet.evaluation.pairs import Frame, Pair, PairFiles, true_values
from napari_unet.evaluation.pictures import Picture, picture
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.evaluation.tallies import (
    Key,
    Tallies,
    class_tallies,
    confusions,
    object_tallies,
    stacked,
)
from napari_unet.image_io import read_image, read_labels
from napari_unet.metrics import (
    ObjectCounts,
    Reliability,
    intervals,
    match_units,
    overlaps,
    ratio,
    reliability,
)
from napari_unet.metrics.calibration import both, tempered
from napari_unet.stopping import Stop, Stopped, never

FEW_UNITS = 6
"""Fewer give intervals that are too narrow."""
BEYOND = (
    "Distances between boundaries were left out: the images are too large for them."
)


@dataclass(frozen=True, slots=True)
class ImageScored:
    """One more image is compared."""

    done: int
    total: int


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


def known_values(
    truths: Iterable[ImageSource], settings: EvaluationSettings
) -> list[int]:
    """Label values of the classes, in any of the references.

    Raises
    ------
    DataError
        If nothing is annotated.
    """
    values: set[int] = set()
    for source in truths:
        for sample in range(source.n_samples):
            found = true_values(source.read(sample)[0], settings)
            values |= set(np.unique(found).tolist())
    known = sorted(v for v in values if v >= 0)
    if not known:
        raise DataError(
            "No pixel of the reference is annotated: nothing can be compared. "
            "Check what the value 0 means in it."
        )
    return known


def file_values(files: Sequence[PairFiles], settings: EvaluationSettings) -> list[int]:
    """As :func:`known_values`, of files."""

    def sources() -> Iterable[ImageSource]:
        for one in files:
            source = read_image(one.truth)
            labels = read_labels(one.truth, source)
            yield ImageSource((labels,), source.labels_axes)

    return known_values(sources(), settings)


def evaluate_pairs(
    pairs: Iterable[Pair],
    n_pairs: int,
    settings: EvaluationSettings,
    values: Sequence[int] = (),
    *,
    errors_out: NDArray[np.uint8] | None = None,
    pictures: int = 0,
    stop: Stop = never,
) -> Generator[ImageScored, None, Evaluation]:
    """Compare pairs; a generator of progress whose return value is the result.

    Parameters
    ----------
    pairs : iterable of Pair
        Opened one after the other.
    n_pairs : int
        How many there are.
    settings : EvaluationSettings
    values : sequence of int
        Label values of the classes, from :func:`known_values`; task ``classes`` only.
    errors_out : ndarray of uint8, optional
        Where the error map of a lone pair is written, with the axes of its labels.
    pictures : int
        How many images get a picture: those with the worst scores.
    stop : callable
        Asked between frames.

    Raises
    ------
    Stopped
        If `stop` said so before the end.
    DataError
        If a pair cannot be compared.
    """
    images: list[ImageResult] = []
    lone: list[Tallies] = []
    curve: Reliability | None = None
    tolerance, unit = math.nan, "pixel"
    for number, pair in enumerate(pairs):
        result, tallies, part = _measure(
            pair, settings, values, n_pairs == 1, errors_out, pictures > 0, stop
        )
        images.append(result)
        lone = tallies
        if part is not None:
            curve = part if curve is None else curve + part
        tolerance = settings.tolerance or 2 * min(pair.truth.voxel_size)
        unit = pair.truth.unit
        _keep_worst(images, pictures, settings)
        yield ImageScored(number + 1, n_pairs)
    units, over = _units(images, lone, settings)
    scores = _scores(units, over, images, settings)
    made = Evaluation(settings, images, scores, unit, tolerance, tuple(values), curve)
    made.notices.extend(_notices(made))
    return made


def _measure(
    pair: Pair,
    settings: EvaluationSettings,
    values: Sequence[int],
    alone: bool,
    errors_out: NDArray[np.uint8] | None,
    pictured: bool,
    stop: Stop,
) -> tuple[ImageResult, list[Tallies], Reliability | None]:
    """An image, the tallies of its frames, and its calibration."""
    spacing = pair.truth.voxel_size
    result = ImageResult(pair.name, {}, [])
    tallies: list[Tallies] = []
    curve: Reliability | None = None
    worst = -1
    for frame in pair.frames(settings):
        if stop():
            raise Stopped
        blocks = alone and pair.n_frames == 1
        compare = _objects if settings.task == "objects" else _classes
        some, wrong = compare(frame, result, settings, values, spacing, blocks)
        part = _calibration(frame, settings, values, pair)
        if part is not None:
            curve = part if curve is None else curve + part
        tallies.append(some)
        result.pixels += int((frame.truth >= 0).sum())
        result.mistakes += [_lifted(m, pair, frame.index) for m in wrong.listed]
        result.errors.update(wrong.counts)
        if errors_out is not None:
            _frame_of(errors_out, pair.truth, frame.index)[...] = wrong.map
        if pictured and wrong.counts.total() > worst:
            worst = wrong.counts.total()
            result.picture = picture(frame, wrong.map, settings.task)
    result.tallies = {
        key: tally.total()
        for key, tally in stacked(
            [{k: t.total() for k, t in some.items()} for some in tallies]
        ).items()
    }
    return result, tallies, curve


Compared = tuple[Tallies, Mistakes]


def _objects(
    frame: Frame,
    result: ImageResult,
    settings: EvaluationSettings,
    values: Sequence[int],
    spacing: tuple[float, ...],
    blocks: bool,
) -> Compared:
    found = overlaps(frame.truth, frame.prediction)
    result.n_true += len(found.true_ids)
    result.n_found += int((~found.ignorable).sum())
    units = match_units(found, settings.thresholds)
    counts = units.total(settings.thresholds)
    result.counts = counts if result.counts is None else result.counts + counts
    some = object_tallies(frame, found, units, settings, spacing, blocks=blocks)
    return some, object_mistakes(
        frame.truth, frame.prediction, settings.error_iou, found
    )


def _classes(
    frame: Frame,
    result: ImageResult,
    settings: EvaluationSettings,
    values: Sequence[int],
    spacing: tuple[float, ...],
    blocks: bool,
) -> Compared:
    matrices = confusions(frame.truth, frame.prediction, values, blocks=blocks)
    total = matrices.sum(axis=0)
    result.confusion = total if result.confusion is None else result.confusion + total
    some = class_tallies(frame, matrices, values, settings, spacing)
    background = 0 if settings.background else None
    return some, class_mistakes(frame.truth, frame.prediction, background)


def _calibration(
    frame: Frame,
    settings: EvaluationSettings,
    values: Sequence[int],
    pair: Pair,
) -> Reliability | None:
    maps = frame.probabilities
    if maps is None:
        return None
    if settings.task == "objects":
        # The first map is the probability of foreground.
        return _reliability(both(maps[0]), np.sign(frame.truth), (0, 1), pair)
    known = pair.map_values or tuple(values)
    if len(maps) != len(known):
        raise DataError(
            f"There are {len(maps)} probability maps, but {len(known)} classes in "
            "the reference: give maps of a model that was trained for these classes."
        )
    return _reliability(maps, frame.truth, known, pair)


def _reliability(
    maps: NDArray[Any], truth: NDArray[Any], values: tuple[int, ...], pair: Pair
) -> Reliability:
    """With what it would be, had the probabilities not been cooled."""
    found = reliability(maps, truth, values)
    if pair.temperature == 1:
        return found
    plain = tempered(maps, 1 / pair.temperature)
    return replace(found, before=reliability(plain, truth, values))


def _frame_of(
    array: NDArray[Any], source: ImageSource, index: tuple[int, ...]
) -> NDArray[Any]:
    """The part of `array` that is one frame, (Z) Y X; a view."""
    where = dict(zip(source.sample_axes, index, strict=True))
    view = array[tuple(where.get(a, slice(None)) for a in source.axes)]
    left = [a for a in source.axes if a in source.spatial]
    return view.transpose([left.index(a) for a in source.spatial])


def _lifted(mistake: Mistake, pair: Pair, index: tuple[int, ...]) -> Mistake:
    """A mistake of a frame, with its place along all axes of the labels."""
    source = pair.truth
    place: dict[str, float] = {}
    bounds: dict[str, tuple[int, int]] = {}
    for letter, at in zip(source.sample_axes, index, strict=True):
        place[letter], bounds[letter] = float(at), (at, at + 1)
    for letter, at_, span in zip(
        source.spatial, mistake.centroid, mistake.box, strict=True
    ):
        place[letter], bounds[letter] = at_, span
    box: Box = tuple(bounds[a] for a in source.axes)
    return replace(
        mistake,
        centroid=tuple(place[a] for a in source.axes),
        box=box,
        image=pair.name,
    )


def _keep_worst(
    images: list[ImageResult], most: int, settings: EvaluationSettings
) -> None:
    """Pictures are large: those of the best images are let go."""
    shown = [image for image in images if image.picture is not None]
    if len(shown) > most:
        key = Evaluation(settings, [], []).main
        # An image without the score has nothing to find, and is worth no picture.
        scores = [image.score(key) for image in shown]
        best = max(
            range(len(shown)), key=lambda k: 2 if math.isnan(scores[k]) else scores[k]
        )
        shown[best].picture = None


def _units(
    images: list[ImageResult], lone: list[Tallies], settings: EvaluationSettings
) -> tuple[Tallies, str]:
    """What is drawn anew for intervals."""
    if len(images) > 1:
        return stacked([image.tallies for image in images]), "images"
    if len(lone) > 1:
        frames = [{k: t.total() for k, t in some.items()} for some in lone]
        return stacked(frames), "frames"
    return (lone[0] if lone else {}), ""


def _scores(
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


def _notices(made: Evaluation) -> list[str]:
    over = {s.over: s.units for s in made.scores if s.over}
    notices = [
        f"Intervals from {over[what]} {what} are too narrow: "
        "compare more images before you rely on them."
        for what in ("images", "frames")
        if over.get(what, FEW_UNITS) < FEW_UNITS
    ]
    parts = [what for what in ("frames", "objects", "blocks") if what in over]
    if parts:
        notices.append(
            "There is one image: intervals were estimated over its "
            f"{' and '.join(parts)} and say nothing about other images."
        )
    if made.scores and not any(s.name == "boundary F-score" for s in made.scores):
        notices.append(BEYOND)
    if not any(image.pixels for image in made.images):
        notices.append("No pixel of the reference is annotated.")
    return notices
