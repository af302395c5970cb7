"""Compare predictions with the truth, image by image, and sum up."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.evaluation.comparing import compare_pair
from napari_unet.evaluation.pairs import Pair, PairFiles, true_values
from napari_unet.evaluation.results import Evaluation, ImageResult
from napari_unet.evaluation.scores import notices, pooled_scores, resampled_units
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.evaluation.tallies import Tallies
from napari_unet.image_io import read_image, read_labels
from napari_unet.metrics import Reliability
from napari_unet.stopping import Stop, never


@dataclass(frozen=True, slots=True)
class ImageScored:
    """One more image is compared."""

    done: int
    total: int


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
        result, tallies, part = compare_pair(
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
    units, over = resampled_units(images, lone, settings)
    scores = pooled_scores(units, over, images, settings)
    made = Evaluation(settings, images, scores, unit, tolerance, tuple(values), curve)
    made.notices.extend(notices(made))
    return made


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
