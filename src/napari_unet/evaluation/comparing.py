"""One pair, frame by frame: what is right, what is wrong, and how sure it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.evaluation.mistakes import (
    Box,
    Mistake,
    Mistakes,
    class_mistakes,
    object_mistakes,
)
from napari_unet.evaluation.pairs import Frame, Pair
from napari_unet.evaluation.pictures import picture
from napari_unet.evaluation.results import ImageResult
from napari_unet.evaluation.settings import EvaluationSettings
from napari_unet.evaluation.tallies import (
    Tallies,
    class_tallies,
    confusions,
    object_tallies,
    stacked,
)
from napari_unet.metrics import Reliability, match_units, overlaps, reliability
from napari_unet.metrics.calibration import both, tempered
from napari_unet.stopping import Stop, Stopped


def compare_pair(
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
