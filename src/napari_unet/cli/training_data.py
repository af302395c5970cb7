"""What ``train`` and ``compare`` learn from."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.common import UsageError
from napari_unet.config import TrainingConfig
from napari_unet.data.annotation import Annotation
from napari_unet.data.checks import annotation_summary, training_problems
from napari_unet.data.values import annotation_for
from napari_unet.errors import AnnotationError
from napari_unet.image_io import (
    is_zarr,
    pair_folders,
    read_image,
    read_labels,
    read_values,
)


def check_data_options(options: argparse.Namespace) -> None:
    """Complain about what is missing, before anything takes long.

    Raises
    ------
    UsageError
        If half of the validation data is missing, or what the labels mean.
    """
    if (options.val_images is None) != (options.val_labels is None):
        raise UsageError("Give both --val-images and --val-labels, or neither.")
    if options.annotation is None and options.task != "regression":
        raise UsageError(_ask_for_rule(options))


def open_data(
    options: argparse.Namespace, config: TrainingConfig
) -> tuple[list[Annotation], list[Annotation]]:
    """What to learn from, and what only measures, which may be nothing.

    Raises
    ------
    AnnotationError
        If nothing can be learnt from it.
    """
    pairs = _open_pairs(options.images, options.labels, options, config)
    validation = []
    if options.val_images is not None:
        validation = _open_pairs(
            options.val_images, options.val_labels, options, config
        )
    problems = training_problems(pairs, config)
    if problems:
        raise AnnotationError(problems[0])
    return pairs, validation


def _open_pairs(
    images: Path, labels: Path, options: argparse.Namespace, config: TrainingConfig
) -> list[Annotation]:
    """Images of a folder and what is known about them."""
    annotations = []
    size = tuple(options.voxel_size) if options.voxel_size else None
    for image, truth in _pair(images, labels):
        source = read_image(image, options.axes, options.ndim or 0, voxel_size=size)
        opened = read_values if config.task == "regression" else read_labels
        annotations.append(annotation_for(opened(truth, source), source, config))
    return annotations


def _pair(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Files of two folders by their names, or two single files."""
    single = images.is_file() or is_zarr(images)
    if single and (labels.is_file() or is_zarr(labels)):
        return [(images, labels)]
    return pair_folders(images, labels)


def _ask_for_rule(options: argparse.Namespace) -> str:
    """Why the rule is needed, with what the first labels would mean by either."""
    image, labels = _pair(options.images, options.labels)[0]
    source = read_image(image, options.axes, options.ndim or 0)
    array = read_labels(labels, source)
    background = not options.no_background
    lines = [
        "Say with --annotation what the values in the labels mean; "
        f"{labels.name} would be read as"
    ]
    for rule in ("complete", "sparse"):
        annotation = Annotation(array, source, rule, background)
        summary = annotation_summary(annotation, options.task)
        lines.append(f"  --annotation {rule:<8}  {summary}")
    return "\n".join(lines)
