"""``napari-unet train``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.cli import train_like
from napari_unet.cli.common import UsageError, count, find_model, given, note, say
from napari_unet.cli.progress import Progress, TrainingProgress
from napari_unet.cli.soft_stop import SoftStop
from napari_unet.cli.training_data import check_data_options, open_data
from napari_unet.config import TrainingConfig, training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.classes import ClassInfo, name_classes
from napari_unet.errors import DataError, TrainingDivergedError, UserError
from napari_unet.models.library import SUFFIX, model_name
from napari_unet.training.events import Finished, Started, TrainingEvent

if TYPE_CHECKING:
    from napari_unet.models.model import Model

FOLLOWS = int(os.environ.get("RANK", "0")) > 0 and "WORLD_SIZE" in os.environ
"""Whether this is one of several processes, and not the first."""
WISHES = (
    "task",
    "annotation",
    "preset",
    "minutes",
    "max_steps",
    "seed",
    "batch_size",
    "network",
    "base_channels",
    "levels",
    "learning_rate",
    "anisotropy",
    "dropout",
    "weight_decay",
    "augmentation",
    "freeze_encoder",
    "deterministic",
    "device",
    "precision",
)
"""Options that are called like the setting they fill."""


def run(options: argparse.Namespace) -> int:
    """Train, save the model, and say where it is."""
    if not FOLLOWS:
        return _run(options)
    # The first of several processes says everything.
    with open(os.devnull, "w") as null, redirect_stdout(null), redirect_stderr(null):
        try:
            return _run(options)
        except UserError:
            return 1


def _run(options: argparse.Namespace) -> int:
    like = train_like.take_over(options)
    _check_options(options)
    looking = options.explain or options.preview_augmentation is not None
    output = Path("model") if looking else _model_path(options)
    config = _config(options, train_like.recorded(like))
    pairs, validation = open_data(options, config)
    names = options.class_names
    if like is not None and not names and config.task == "classes":
        found = {value for pair in pairs for value in pair.count_values()}
        names = train_like.class_names(like, sorted(found))
    classes = _named_classes(names, pairs, config)
    if looking:
        return _look_ahead(options, config, pairs, validation, classes)
    model, end, code = _train(options, output, config, pairs, validation, classes)
    if FOLLOWS:
        return code
    model.save(output)
    train_like.compare_data(like, model.info)
    if end.failed:
        raise TrainingDivergedError(
            f"The loss became infinite or not a number after {count(end.step, 'step')}:"
            f" the last good weights are saved in {output}; try again with a lower "
            "--learning-rate."
        )
    summary = model.info.training
    if summary.score is not None:
        say(f"Held-out {summary.score_name}: {summary.score:.3f}")
    for name, value in summary.scores.items():
        say(f"Held-out {name}: {value:.4g}")
    say(f"Model: {output}")
    return code


def _look_ahead(
    options: argparse.Namespace,
    config: TrainingConfig,
    pairs: Sequence[Annotation],
    validation: Sequence[Annotation],
    classes: list[ClassInfo] | None,
) -> int:
    """Say what would be done, or draw what the network would see; train nothing."""
    from napari_unet.training.recipe import recipe_text
    from napari_unet.workflows.augmentation import preview_patches, write_preview
    from napari_unet.workflows.training import TrainingSetup

    setup = TrainingSetup.prepare(
        pairs, config, validation, classes, "model", start_model(options)
    )
    if options.explain:
        say(recipe_text(setup.recipe()))
    path = options.preview_augmentation
    if path is not None:
        write_preview(path, preview_patches(setup))
        say(f"Augmented patches: {path}")
    return 0


def start_model(options: argparse.Namespace) -> Model | None:
    """The model of ``--start``."""
    if options.start is None:
        return None
    from napari_unet.models.model import Model

    return Model.load(find_model(options.start))


def _check_options(options: argparse.Namespace) -> None:
    looking = options.explain or options.preview_augmentation is not None
    if options.output is None and not looking:
        raise UsageError("Say with --output where the model goes.")
    if options.task is None:
        raise UsageError(
            "Say with --task what to learn: classes, objects or regression."
        )
    check_data_options(options)


def _model_path(options: argparse.Namespace) -> Path:
    output: Path = options.output
    if not output.suffix:
        output = output.with_name(output.name + SUFFIX)
    if output.is_dir():
        raise DataError(f"{output} is a folder: give --output the name of a file.")
    if output.exists() and not options.overwrite and options.resume is None:
        raise DataError(
            f"There is already a model {output}: choose another --output, or add "
            "--overwrite."
        )
    return output


def _config(
    options: argparse.Namespace, recorded: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """The settings that were given, over those of another training."""
    wishes: dict[str, Any] = dict(recorded or {})
    wishes |= given(**{name: getattr(options, name) for name in WISHES})
    if options.minutes is not None or options.preset is not None:
        # A time was asked for: steps of the other training would overrule it.
        wishes["max_steps"] = options.max_steps
    if options.patch_size is not None:
        wishes["patch_size"] = tuple(options.patch_size)
    if options.percentiles is not None:
        wishes["low_percentile"], wishes["high_percentile"] = options.percentiles
    wishes["loss"] = dict(wishes.get("loss", {})) | given(
        kind=options.loss,
        class_weights=options.class_weights,
        label_smoothing=options.label_smoothing,
    )
    train_like.set_wishes(wishes, options.set)
    wishes.setdefault("background", not options.no_background)
    return training_config(**wishes)


def _named_classes(
    texts: Sequence[str], pairs: Sequence[Annotation], config: TrainingConfig
) -> list[ClassInfo] | None:
    if not texts:
        return None
    if config.task != "classes":
        raise UsageError("--class-names are for --task classes: leave them out.")
    names: dict[int, str] = {}
    for text in texts:
        value, found, name = text.partition("=")
        if not (found and name.strip() and value.strip().isdecimal()):
            raise UsageError(
                f"{text!r} is no class name: write VALUE=NAME, such as 2=nucleus."
            )
        names[int(value)] = name.strip()
    values = sorted({value for pair in pairs for value in pair.count_values()})
    missing = sorted(set(names) - set(values))
    if missing:
        raise UsageError(
            f"No pixel has the label {missing[0]} ({names[missing[0]]}); the labels "
            f"are {', '.join(str(v) for v in values)}."
        )
    return name_classes(values, pairs[0].background_value, names)


def _train(
    options: argparse.Namespace,
    output: Path,
    config: TrainingConfig,
    pairs: Sequence[Annotation],
    validation: Sequence[Annotation],
    classes: list[ClassInfo] | None,
) -> tuple[Model, Finished, int]:
    """The model, how training ended, and the exit code.

    The code is 0, or that of the signal that ended training.
    """
    from napari_unet.workflows import exhaust, train

    begin = start_model(options)
    from napari_unet.training.team import team

    checkpoint = output.with_name(f"{model_name(output)}.checkpoint")
    resume = options.resume
    if resume == Path():
        resume = checkpoint
    stop = SoftStop()
    ends: list[Finished] = []

    def listen(event: TrainingEvent) -> None:
        progress.show(event)
        if isinstance(event, Started):
            # Before the first step there is nothing worth keeping.
            stop.listen()
        elif isinstance(event, Finished):
            ends.append(event)

    with (
        team(options.device or "auto") as members,
        Progress("Training") as bar,
        stop.released(),
    ):
        progress = TrainingProgress(bar)
        events = train(
            pairs,
            config,
            validation=validation,
            classes=classes,
            name=model_name(output),
            autosave=output,
            checkpoint=checkpoint,
            resume=resume,
            start=begin,
            stop=stop.wanted,
            team=members,
        )
        model = exhaust(events, listen)
    end = ends[-1]
    if FOLLOWS:
        pass
    elif stop.code and not end.failed:
        note("Go on with the same command and --resume.")
    else:
        checkpoint.unlink(missing_ok=True)
    return model, end, stop.code
