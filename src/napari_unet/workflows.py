"""Train and predict: the one path for the viewer, the command line and Python."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_unet.config import DeviceName, PrecisionName, TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo, make_classes
from napari_unet.data.normalization import (
    IntensityRange,
    NormalizationInfo,
    measure_range,
)
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.source import Box, ImageSource, sample_index
from napari_unet.data.split import Part, Split, split_annotations, whole_parts
from napari_unet.device import describe, pick_device, pick_precision, versions
from napari_unet.errors import AnnotationError, ConfigError, DataError
from napari_unet.models.info import ModelInfo, TrainingSummary
from napari_unet.models.model import Model
from napari_unet.prediction.predictor import MemoryNote, Predictor
from napari_unet.segmentation.objects import decode_objects
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.training.checkpoint import Checkpoint
from napari_unet.training.events import (
    Finished,
    Notice,
    Saved,
    Started,
    TrainingEvent,
    Validated,
)
from napari_unet.training.plan import TrainingPlan, make_plan
from napari_unet.training.trainer import Trainer
from napari_unet.training.validation import SCORE_NAMES, Validation

SECONDS_BETWEEN_SAVES = 30.0
"""Best weights and checkpoint reach the disk this often."""


def never() -> bool:
    """A stop signal that is never given."""
    return False


def train(
    pairs: Sequence[Annotation],
    config: TrainingConfig,
    *,
    validation: Sequence[Annotation] = (),
    classes: Sequence[ClassInfo] | None = None,
    name: str = "model",
    autosave: Path | None = None,
    checkpoint: Path | None = None,
    resume: Path | None = None,
    stop: Callable[[], bool] = never,
) -> Generator[TrainingEvent, None, Model]:
    """Train a model; a generator of events whose return value is the model.

    Parameters
    ----------
    pairs : sequence of Annotation
        Annotated images.
    config : TrainingConfig
    validation : sequence of Annotation
        Annotated images that only measure; without any, a part of `pairs` is held out.
    classes : sequence of ClassInfo, optional
        Names and colours; made from the annotation otherwise.
    name : str
        Name of the model.
    autosave : Path, optional
        Where the best weights so far are kept as a model file, every 30 s.
    checkpoint : Path, optional
        Where the state of the run is kept, every 30 s and at the end.
    resume : Path, optional
        A checkpoint to go on from: same images, annotation and settings.
    stop : callable
        Asked after every step; when it returns True the run ends and the best weights
        are returned.

    Raises
    ------
    AnnotationError, DataError, ConfigError
        If the images, the annotation or the settings cannot be used.
    """
    run = _Run.prepare(pairs, config, validation, classes, name)
    trainer = run.trainer
    if resume is not None:
        _resume(trainer, Checkpoint.load(resume))
    yield Started(describe(run.device, run.precision), run.plan.as_dict(), run.notes)
    saved_at, unsaved = time.monotonic(), False
    for event in trainer.run(stop):
        if isinstance(event, Finished):
            model = run.finish(event)
            if checkpoint is not None:
                trainer.checkpoint().save(checkpoint)
                yield Saved(event.step, str(checkpoint))
            yield Finished(
                event.step, event.reason, model.info.training.score, event.seconds
            )
            return model
        yield event
        unsaved |= trainer.best is None or (isinstance(event, Validated) and event.best)
        if time.monotonic() - saved_at >= SECONDS_BETWEEN_SAVES:
            saved_at = time.monotonic()
            if autosave is not None and unsaved:
                unsaved = False
                run.model(None).save(autosave)
                yield Saved(trainer.progress.step, str(autosave))
            if checkpoint is not None:
                trainer.checkpoint().save(checkpoint)
                yield Saved(trainer.progress.step, str(checkpoint))
    raise RuntimeError("the training loop ended without saying so")


def _resume(trainer: Trainer, checkpoint: Checkpoint) -> None:
    # Through JSON, as the checkpoint went: tuples become lists.
    plan = json.loads(json.dumps(trainer.plan.as_dict()))
    if checkpoint.plain["plan"]["network"] != plan["network"]:
        raise ConfigError(
            "The checkpoint belongs to a training with other settings or images: "
            "choose the same ones again, or start afresh."
        )
    trainer.resume(checkpoint)


@dataclass
class _Run:
    """A training run with what its model file has to tell."""

    trainer: Trainer
    plan: TrainingPlan
    config: TrainingConfig
    classes: list[ClassInfo]
    split: Split
    name: str
    device: torch.device
    precision: torch.dtype
    notes: list[str]
    annotated: dict[str, int]

    @classmethod
    def prepare(
        cls,
        pairs: Sequence[Annotation],
        config: TrainingConfig,
        validation: Sequence[Annotation],
        classes: Sequence[ClassInfo] | None,
        name: str,
    ) -> _Run:
        _check_alike([*pairs, *validation])
        counts = _count(pairs, config)
        known = list(classes) if classes else _classes(counts, pairs[0], config)
        if validation:
            split = Split(whole_parts(pairs), whole_parts(validation))
        else:
            split = split_annotations(
                pairs, config.task, config.validation_fraction, config.seed
            )
        notes = [split.note] if split.note else []
        device = pick_device(config.device)
        n_outputs = 2 if config.task == "objects" else len(known)
        plan = make_plan(config, split.training, n_outputs, device)
        precision = pick_precision(device, config.precision)
        ranges: dict[int, IntensityRange] = {}
        training = _regions(split.training, ranges)
        held_out = _regions(split.validation, ranges)
        margin = _margin(config, plan)
        sampler = PatchSampler(training, config.task, known, plan.patch_size, margin)
        measured = Validation(held_out, config.task, known) if held_out else None
        trainer = Trainer(plan, config, sampler, measured, device, precision)
        annotated = _annotated(counts, known, pairs[0], config)
        return cls(
            trainer, plan, config, known, split, name, device, precision, notes,
            annotated,
        )  # fmt: skip

    def finish(self, event: Finished) -> Model:
        """The model at the end of the run, its decoder fitted to the held-out part."""
        return self.model(event)

    def model(self, finished: Finished | None) -> Model:
        """The best weights so far as a model."""
        trainer = self.trainer
        network = trainer.best_network()
        decoder, score = None, trainer.progress.best_score
        if self.config.task == "objects":
            decoder = DecoderInfo()
            if finished is not None:
                decoder, score = trainer.fit_decoder(network)
        source = self.split.training[0].annotation.source
        names = sorted({p.annotation.source.name for p in self.split.training})
        summary = TrainingSummary(
            images=names[:200],
            n_images=len(names),
            annotated_voxels=self.annotated,
            steps=trainer.progress.step,
            seconds=round(trainer.progress.seconds, 1),
            score=score,
            score_name=SCORE_NAMES[self.config.task] if score is not None else "",
            device=describe(self.device, self.precision),
            config=self.config.model_dump(mode="json"),
            versions={
                "napari-unet-live": version("napari-unet-live"),
                "numpy": np.__version__,
                **versions(),
            },
        )
        info = ModelInfo(
            name=self.name,
            task=self.config.task,
            spatial="ZYX" if source.ndim == 3 else "YX",
            n_channels=source.n_channels,
            classes=self.classes,
            network=self.plan.network,
            normalization=NormalizationInfo(),
            decoder=decoder,
            voxel_size=list(self.plan.voxel_size),
            unit=source.unit,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            training=summary,
        )
        return Model(network, info)


def _check_alike(annotations: Sequence[Annotation]) -> None:
    if not annotations:
        raise DataError("No annotated image was given: choose at least one.")
    first = annotations[0].source
    for annotation in annotations[1:]:
        other = annotation.source
        if other.n_channels != first.n_channels or other.spatial != first.spatial:
            raise DataError(
                f"The images {first.name!r} ({first.n_channels} channels, "
                f"{first.spatial}) and {other.name!r} ({other.n_channels} channels, "
                f"{other.spatial}) differ: train on images of one kind."
            )


def _count(pairs: Sequence[Annotation], config: TrainingConfig) -> dict[int, int]:
    counts: dict[int, int] = {}
    for annotation in pairs:
        for value, number in annotation.count_values().items():
            counts[value] = counts.get(value, 0) + number
    if not counts:
        raise AnnotationError(
            "Nothing is annotated: paint some pixels of each class first."
        )
    background = pairs[0].background_value
    if config.task == "objects":
        if not set(counts) - {background}:
            raise AnnotationError(
                "Only background is annotated: paint some complete objects, "
                "each with a number of its own."
            )
        if background is not None and background not in counts:
            raise AnnotationError(
                "No background is annotated: paint some of it with label "
                f"{background}, between and around the objects."
            )
    elif len(counts) < 2:
        only = next(iter(counts))
        raise AnnotationError(
            f"Only label {only} is annotated: paint at least two classes, "
            "such as background and one kind of structure."
        )
    return dict(sorted(counts.items()))


def _classes(
    counts: dict[int, int], first: Annotation, config: TrainingConfig
) -> list[ClassInfo]:
    background = first.background_value
    if config.task == "classes":
        # Background that nobody painted is no class: the network could not learn it.
        return make_classes(list(counts), background if background in counts else None)
    made = make_classes([2], 1 if background is None else background)
    return [made[0], made[1].model_copy(update={"name": "object"})]


def _annotated(
    counts: dict[int, int],
    classes: Sequence[ClassInfo],
    first: Annotation,
    config: TrainingConfig,
) -> dict[str, int]:
    if config.task == "objects":
        background = first.background_value
        inside = [v for v in counts if v != background]
        return {
            "objects": len(inside),
            "object voxels": sum(counts[v] for v in inside),
            "background voxels": counts.get(
                -1 if background is None else background, 0
            ),
        }
    return {c.name: counts.get(c.value, 0) for c in classes}


def _regions(parts: Sequence[Part], ranges: dict[int, IntensityRange]) -> list[Region]:
    regions = []
    for part in parts:
        source = part.annotation.source
        if id(source) not in ranges:
            ranges[id(source)] = measure_range(source, NormalizationInfo())
        regions.append(
            Region(part.annotation, ranges[id(source)], part.sample, part.box)
        )
    return regions


def _margin(config: TrainingConfig, plan: TrainingPlan) -> tuple[int, ...]:
    """How much larger patches are cut, so that turned ones seldom run empty."""
    if not config.augmentation.affine:
        return (0,) * len(plan.patch_size)
    return tuple(
        round(0.22 * size) if turn or axis > 0 else 0
        for axis, (size, turn) in enumerate(
            zip(plan.patch_size, plan.turnable, strict=True)
        )
    )


@dataclass(frozen=True, slots=True)
class TileDone:
    """One more tile of a prediction is written."""

    done: int
    total: int


@dataclass(frozen=True)
class Prediction:
    """What a model says about an image."""

    labels: NDArray[np.int32]
    """Labels along `axes`; background is 0, objects count from 1 in every sample."""
    probabilities: NDArray[np.float16] | None
    """``K`` maps along `axes`, in the order of :attr:`ModelInfo.maps`."""
    axes: str
    """Letters of the labels' axes; "S" stands first where samples were chosen."""
    complete: bool = True
    """False if it was stopped: what is missing is 0."""


def predict(
    model: Model,
    source: ImageSource,
    *,
    samples: Sequence[int] | None = None,
    region: Box | None = None,
    labels_out: NDArray[np.int32] | None = None,
    probabilities: bool = False,
    probabilities_out: NDArray[np.float16] | None = None,
    device: DeviceName = "auto",
    precision: PrecisionName = "auto",
    stop: Callable[[], bool] = never,
) -> Generator[TileDone | Notice, None, Prediction]:
    """Segment an image; a generator of progress whose return value is the result.

    Parameters
    ----------
    model : Model
    source : ImageSource
    samples : sequence of int, optional
        Positions along S; all by default.
    region : Box, optional
        Part of the image, (Z) Y X; the whole of it by default.
    labels_out : ndarray of int32, optional
        Where labels are written: the image's labels shape, or, where `samples` or
        `region` is given, ``S (Z) Y X``.
    probabilities : bool
        Whether the network's maps are wanted, too.
    probabilities_out : ndarray of float16, optional
        Where they are written: `labels_out`'s shape after a first axis of maps.
    stop : callable
        Asked after every tile; when it returns True the prediction ends and keeps what
        is there.

    Raises
    ------
    DataError
        If the image does not fit the model.
    """
    _check_fits(model.info, source)
    chosen = list(samples) if samples is not None else list(range(source.n_samples))
    partial = samples is not None or region is not None
    box = region or tuple((0, n) for n in source.spatial_shape)
    flat_shape = (len(chosen), *(b - a for a, b in box))
    shape = flat_shape if partial else source.labels_shape
    # Samples come first inside; the image's own order of axes is a view of that.
    order = _sample_first(source) if not partial else None
    labels = np.zeros(shape, np.int32) if labels_out is None else labels_out
    flat_labels = _as_samples(labels, order)
    n_maps = len(model.info.maps)
    maps: NDArray[np.float16] | None = None
    if probabilities or probabilities_out is not None:
        maps = (
            np.zeros((n_maps, *shape), np.float16)
            if probabilities_out is None
            else probabilities_out
        )
    dev = pick_device(device)
    prec = pick_precision(dev, precision)
    predictor = Predictor(model.network, model.info.task, dev, prec)
    intensity = measure_range(source, model.info.normalization)
    total = len(chosen) * len(predictor.tiles(source.spatial_shape, box))
    values = np.array([c.result_value for c in model.info.classes], np.int32)
    done, complete = 0, True
    for position, sample in enumerate(chosen):
        held = np.zeros((n_maps, *flat_shape[1:]), np.float32)
        index = position if order is None else sample_index(source.sample_shape, sample)
        out = flat_labels[index]
        for part in predictor.run(source, intensity, sample, box):
            if isinstance(part, MemoryNote):
                yield Notice(part.text)
                continue
            where = part.tile.target
            if model.info.task == "classes":
                out[where] = values[part.maps.argmax(axis=0)]
            if model.info.task == "objects" or maps is not None:
                held[(slice(None), *where)] = part.maps
            done += 1
            yield TileDone(min(done, total), total)
            if stop():
                complete = False
                break
        if model.info.task == "objects":
            out[...] = decode_objects(
                held[0], held[1], model.info.decoder or DecoderInfo()
            )
        if maps is not None:
            for k in range(n_maps):
                _as_samples(maps[k], order)[index] = held[k]
        if not complete:
            break
    axes = "S" + source.spatial if partial else source.labels_axes
    return Prediction(labels, maps, axes, complete)


def _sample_first(source: ImageSource) -> list[int]:
    letters = source.sample_axes + source.spatial
    return [source.labels_axes.index(a) for a in letters]


def _as_samples(array: NDArray[Any], order: list[int] | None) -> NDArray[Any]:
    """A view with sample axes first and (Z) Y X last."""
    return array if order is None else array.transpose(order)


def _check_fits(info: ModelInfo, source: ImageSource) -> None:
    if source.n_channels != info.n_channels:
        raise DataError(
            f"The model {info.name!r} wants {info.n_channels} channels, but the image "
            f"{source.name!r} has {source.n_channels}: choose as many channels."
        )
    if source.ndim != info.ndim:
        raise DataError(
            f"The model {info.name!r} works on {info.spatial}, but the image "
            f"{source.name!r} is read as {source.spatial}: choose a fitting model."
        )
