"""Train a model from annotated images."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path

import torch

from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.borders import BorderWeights
from napari_unet.data.checks import training_problems
from napari_unet.data.classes import ClassInfo, make_classes, object_classes
from napari_unet.data.held_out import validation_notes
from napari_unet.data.normalization import (
    IntensityRange,
    NormalizationInfo,
    measure_range,
)
from napari_unet.data.sampling import PatchSampler, Region
from napari_unet.data.split import Part, Split, split_annotations, whole_parts
from napari_unet.device import (
    describe,
    device_for,
    free_memory,
    pick_precision,
    versions,
)
from napari_unet.errors import AnnotationError, ConfigError, DataError
from napari_unet.losses.objectives import make_objective
from napari_unet.models.example import Example, example_from
from napari_unet.models.info import CalibrationInfo, ModelInfo, TrainingSummary
from napari_unet.models.model import Model
from napari_unet.models.provenance import data_fingerprint
from napari_unet.networks.catalogue import operations_of
from napari_unet.segmentation.settings import DecoderInfo
from napari_unet.stopping import Stop, never
from napari_unet.training.checkpoint import Checkpoint
from napari_unet.training.events import (
    Finished,
    Saved,
    Started,
    TrainingEvent,
    Validated,
)
from napari_unet.training.plan import TrainingPlan, make_plan
from napari_unet.training.recipe import Choice, explain
from napari_unet.training.team import ALONE, Team
from napari_unet.training.trainer import Trainer, objective_settings
from napari_unet.training.transfer import check_start, in_words, transfer_model
from napari_unet.training.validation import SCORE_NAMES, Validation

SECONDS_BETWEEN_SAVES = 30.0
"""Best weights and checkpoint reach the disk this often."""


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
    start: Model | None = None,
    stop: Stop = never,
    team: Team = ALONE,
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
        Where the state of the run is kept, every 30 s and at the end, unless the run
        failed.
    resume : Path, optional
        A checkpoint to go on from: same images, annotation and settings.
    start : Model, optional
        Its network and weights are taken as far as they fit; classes, channels and
        dimensions may be others.
    stop : callable
        Asked after every step; when it returns True the run ends and the best weights
        are returned.

    team : Team
        Processes that train together: only the first one writes, and has a score.

    Raises
    ------
    AnnotationError, DataError, ConfigError
        If the images, the annotation or the settings cannot be used.
    """
    if not team.leads:
        autosave = checkpoint = None
    run = TrainingSetup.prepare(pairs, config, validation, classes, name, start, team)
    trainer = run.trainer
    if resume is not None:
        _resume(trainer, Checkpoint.load(resume))
    recipe = [asdict(choice) for choice in run.recipe()]
    yield Started(
        describe(run.device, run.precision), run.plan.as_dict(), run.notes, recipe
    )
    saved_at, unsaved = time.monotonic(), False
    for event in trainer.run(stop):
        if isinstance(event, Finished):
            model = run.finish(event) if team.leads else run.model(None)
            # From where the loss broke down nothing could go on.
            if checkpoint is not None and not event.failed:
                trainer.checkpoint().save(checkpoint)
                yield Saved(event.step, str(checkpoint))
            yield replace(event, score=model.info.training.score)
            return model
        yield event
        unsaved |= trainer.best is None or (isinstance(event, Validated) and event.best)
        if time.monotonic() - saved_at >= SECONDS_BETWEEN_SAVES:
            saved_at = time.monotonic()
            if autosave is not None and unsaved:
                unsaved = False
                run.model(None).save(autosave, quick=True)
                yield Saved(trainer.progress.step, str(autosave))
            if checkpoint is not None:
                trainer.checkpoint().save(checkpoint)
                yield Saved(trainer.progress.step, str(checkpoint))
    raise RuntimeError("the training loop ended without saying so")


def _resume(trainer: Trainer, checkpoint: Checkpoint) -> None:
    # Through JSON, as the checkpoint went: tuples become lists.
    plan = json.loads(json.dumps(trainer.plan.as_dict()))
    saved = {"auxiliary": 0} | checkpoint.plain["plan"]
    if any(saved[key] != plan[key] for key in ("network", "auxiliary")):
        raise ConfigError(
            "The checkpoint belongs to a training with other settings or images: "
            "choose the same ones again, or start afresh."
        )
    trainer.resume(checkpoint)


@dataclass
class TrainingSetup:
    """A training run before its first step, with what its model file has to tell."""

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
    percentiles: NormalizationInfo
    start: str = ""
    """Name of the model that it began with."""

    @classmethod
    def prepare(
        cls,
        pairs: Sequence[Annotation],
        config: TrainingConfig,
        validation: Sequence[Annotation],
        classes: Sequence[ClassInfo] | None,
        name: str,
        start: Model | None = None,
        team: Team = ALONE,
    ) -> TrainingSetup:
        """Choose everything; nothing is trained yet.

        Raises
        ------
        AnnotationError, DataError, ConfigError
            If the images, the annotation or the settings cannot be used.
        """
        _check_alike([*pairs, *validation])
        _check(pairs, config)
        if start is not None:
            check_start(start.info)
        counts = [p.count_values() for p in pairs]
        background = pairs[0].background_value
        known = list(classes) if classes else _classes(counts, background, config)
        if validation:
            split = Split(whole_parts(pairs), whole_parts(validation))
        else:
            split = split_annotations(
                pairs, config.task, config.validation_fraction, config.seed
            )
        notes = [split.note] if split.note else []
        if validation and config.task != "regression":
            notes += validation_notes(validation, known, config)
        device, note = device_for(
            config.device, pairs[0].source.ndim, _operations(config, start)
        )
        notes += [note] if note else []
        n_outputs = {"objects": 2, "regression": 1}.get(config.task, len(known))
        annotated = _annotated(counts, known, background, config)
        plan = make_plan(
            config,
            split.training,
            n_outputs,
            device,
            _class_counts(annotated, config),
            None if start is None else start.info,
        )
        precision = pick_precision(device, config.precision)
        ranges: dict[int, IntensityRange] = {}
        percentiles = NormalizationInfo(
            low=config.low_percentile, high=config.high_percentile
        )
        training = _regions(split.training, ranges, percentiles)
        held_out = _regions(split.validation, ranges, percentiles)
        margin = _margin(config, plan)
        borders = _border_weights(config, known)
        sampler = PatchSampler(
            training, config.task, known, plan.patch_size, margin, borders
        )
        sampler.keep_on(
            device, free_memory(device) // (team.size if device.type == "cpu" else 1)
        )
        objective = make_objective(config.task, objective_settings(plan, config))
        measured = None
        if held_out:
            measured = Validation(held_out, config.task, known, objective)
        begin = None
        if start is not None:
            begin = partial(
                transfer_model,
                start=start,
                task=config.task,
                class_names=[c.name for c in known],
                n_channels=pairs[0].source.n_channels,
                extra=plan.auxiliary,
            )
        trainer = Trainer(
            plan, config, sampler, measured, device, precision, begin, team
        )
        if team.size > 1:
            notes.append(
                f"{team.size} processes learn together, {plan.batch_size} patches each "
                "in a step."
            )
        if start is not None and trainer.transfer is not None:
            source = pairs[0].source
            words = in_words(
                trainer.transfer, start.info, source.ndim, source.n_channels
            )
            notes.append(words)
        return cls(
            trainer, plan, config, known, split, name, device, precision, notes,
            annotated, percentiles, "" if start is None else start.info.name,
        )  # fmt: skip

    def recipe(self) -> list[Choice]:
        """What was chosen, and why."""
        return explain(
            self.config,
            self.plan,
            self.split,
            self.annotated,
            self.device.type,
            self.start,
        )

    def finish(self, event: Finished) -> Model:
        """The model at the end of the run, its decoder fitted to the held-out part."""
        return self.model(event)

    def model(self, finished: Finished | None) -> Model:
        """The best weights so far as a model."""
        trainer = self.trainer
        network = trainer.best_network()
        calibration, score = CalibrationInfo(), trainer.progress.best_score
        decoder = DecoderInfo() if self.config.task == "objects" else None
        if finished is not None and self.config.task != "regression":
            calibration, decoder, score = trainer.fit_outputs(network)
        source = self.split.training[0].annotation.source
        names = sorted({p.annotation.source.name for p in self.split.training})
        summary = TrainingSummary(
            images=names[:200],
            n_images=len(names),
            fingerprint=self.fingerprint,
            annotated_voxels=self.annotated,
            annotated_objects=self._objects(),
            steps=trainer.progress.step,
            seconds=round(trainer.progress.seconds, 1),
            score=score,
            score_name=SCORE_NAMES[self.config.task] if score is not None else "",
            scores=self._value_scores(finished),
            intervals=self._intervals(),
            seed=self.config.seed,
            start=self.start,
            device=describe(self.device, self.precision),
            config=self.config.model_dump(mode="json"),
            versions=versions(),
        )
        info = ModelInfo(
            name=self.name,
            task=self.config.task,
            spatial="ZYX" if source.ndim == 3 else "YX",
            n_channels=source.n_channels,
            classes=self.classes,
            network=self.plan.network,
            normalization=self.percentiles,
            decoder=decoder,
            calibration=calibration,
            voxel_size=list(self.plan.voxel_size),
            unit=source.unit,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            training=summary,
        )
        return Model(network, info, self.example)

    @cached_property
    def fingerprint(self) -> str:
        """Of the images and annotations that teach."""
        return data_fingerprint(self._annotations())

    @cached_property
    def example(self) -> Example:
        """A piece of a training image."""
        return example_from(self._annotations()[0])

    def _annotations(self) -> list[Annotation]:
        parts = self.split.training
        return list({id(p.annotation): p.annotation for p in parts}.values())

    def _intervals(self) -> dict[str, tuple[float, float]]:
        found = self.trainer.score_interval
        return {} if found is None else {SCORE_NAMES[self.config.task]: found}

    def _objects(self) -> dict[str, int]:
        """Annotated objects, by the name of what they are."""
        if self.config.task != "objects":
            return {}
        return {self.classes[-1].name: self.annotated["objects"]}

    def _value_scores(self, finished: Finished | None) -> dict[str, float]:
        """Errors on the held-out part at the end of a regression."""
        trainer = self.trainer
        if self.config.task != "regression" or finished is None:
            return {}
        errors = trainer.value_errors(trainer.best_network())
        if errors is None or not errors.pixels:
            return {}
        return {"MAE": errors.mae, "RMSE": errors.rmse}


def _operations(config: TrainingConfig, start: Model | None) -> frozenset[str]:
    """What the device has to be able to compute."""
    names = [config.network, *([] if start is None else [start.info.network.name])]
    return frozenset().union(*(operations_of(n, training=True) for n in names))


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


def _check(pairs: Sequence[Annotation], config: TrainingConfig) -> None:
    problems = training_problems(pairs, config)
    if problems:
        raise AnnotationError(problems[0])


def _classes(
    counts: Sequence[dict[int, int]], background: int | None, config: TrainingConfig
) -> list[ClassInfo]:
    if config.task == "objects":
        return object_classes(background)
    if config.task == "regression":
        return []
    values = sorted(set().union(*counts))
    # Background that nobody painted is no class: the network could not learn it.
    return make_classes(values, background if background in values else None)


def _annotated(
    counts: Sequence[dict[int, int]],
    classes: Sequence[ClassInfo],
    background: int | None,
    config: TrainingConfig,
) -> dict[str, int]:
    """What was annotated, for the model's description; one `counts` per image."""
    total = sum((Counter(c) for c in counts), Counter())
    if config.task == "classes":
        return {c.name: total[c.value] for c in classes}
    if config.task == "regression":
        return {"values": total.total()}
    behind = 0 if background is None else total[background]
    return {
        # Ids start again in every image.
        "objects": sum(len(set(c) - {background}) for c in counts),
        "object voxels": total.total() - behind,
        "background voxels": behind,
    }


def _class_counts(annotated: dict[str, int], config: TrainingConfig) -> list[int]:
    """Annotated voxels of each class in the order of the loss."""
    if config.task == "objects":
        return [annotated["background voxels"], annotated["object voxels"]]
    return list(annotated.values())


def _regions(
    parts: Sequence[Part],
    ranges: dict[int, IntensityRange],
    percentiles: NormalizationInfo,
) -> list[Region]:
    regions = []
    for part in parts:
        source = part.annotation.source
        if id(source) not in ranges:
            ranges[id(source)] = measure_range(source, percentiles)
        regions.append(
            Region(part.annotation, ranges[id(source)], part.sample, part.box)
        )
    return regions


def _border_weights(
    config: TrainingConfig, classes: Sequence[ClassInfo]
) -> BorderWeights | None:
    """What the weighted cross-entropy needs to know; None for other losses."""
    loss = config.loss
    if loss.kind != "weighted-cross-entropy":
        return None
    if not any(c.background for c in classes):
        raise ConfigError(
            "The weighted cross-entropy weighs background between objects, but no "
            "class is background: choose another loss."
        )
    return BorderWeights(loss.border_weight, loss.border_sigma)


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
