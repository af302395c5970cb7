"""``napari-unet predict``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.cli.common import find_model, given, listed, note, say
from napari_unet.cli.progress import Progress
from napari_unet.data.checks import model_problem
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError, UserError
from napari_unet.image_io import (
    display_name,
    find_images,
    is_zarr,
    read_image,
    write_labels,
    write_probabilities,
)
from napari_unet.models.model_file import read_info
from napari_unet.training.events import Notice

if TYPE_CHECKING:
    from napari_unet.models.model import Model
    from napari_unet.workflows import Prediction

PROBABILITIES = "probabilities"
"""Folder of the maps inside the output folder."""


def run(options: argparse.Namespace) -> int:
    """Segment every input; 1 if one of them failed."""
    path = find_model(options.model)
    read_info(path)  # complains about a wrong file before torch is loaded
    jobs = _jobs(options.inputs, options.output)
    _protect(jobs, options)

    from napari_unet.models.model import Model

    model = Model.load(path)
    failed = 0
    for number, (image, target) in enumerate(jobs, start=1):
        title = f"[{number}/{len(jobs)}] {image.name}"
        try:
            _segment(model, image, target, title, options)
        except UserError as error:
            if options.debug and len(jobs) == 1:
                raise
            failed += 1
            note(f"{image.name}: {error}")
    done = len(jobs) - failed
    say(f"{done} of {len(jobs)} images segmented: {options.output}")
    return 1 if failed else 0


def _jobs(inputs: Sequence[Path], output: Path) -> list[tuple[Path, Path]]:
    """Each image with the file of its labels."""
    images: list[Path] = []
    for path in inputs:
        if path.is_dir() and not is_zarr(path):
            images += find_images(path)
        else:
            images.append(path)
    jobs = [(image, output / f"{display_name(image)}.tif") for image in images]
    sources: dict[Path, Path] = {}
    for image, target in jobs:
        if target in sources:
            raise DataError(
                f"{sources[target]} and {image} would both become {target}: segment "
                "them into different folders."
            )
        sources[target] = image
    return jobs


def _protect(jobs: Sequence[tuple[Path, Path]], options: argparse.Namespace) -> None:
    """Refuse to replace an input, or a result without leave."""
    inputs = {image.resolve() for image, _ in jobs}
    for _, target in jobs:
        if target.resolve() in inputs:
            raise DataError(
                f"The labels {target} would replace an image: choose another --output."
            )
    there = [target.name for _, target in jobs if target.exists()]
    if there and not options.overwrite:
        verb = "is" if len(there) == 1 else "are"
        raise DataError(
            f"{listed(there)} {verb} already in {options.output}: choose another "
            "--output, or add --overwrite."
        )


def _segment(
    model: Model, image: Path, target: Path, title: str, options: argparse.Namespace
) -> None:
    whole = read_image(image, options.axes)
    # A 2D model reads volumes plane by plane.
    source = replace(whole, ndim=2) if model.info.ndim == 2 else whole
    problem = model_problem(model.info, source)
    if problem:
        raise DataError(problem)
    result = _predict(model, source, title, options)
    size, unit = whole.voxel_size, whole.unit
    if result.probabilities is not None:
        write_probabilities(
            target.parent / PROBABILITIES / target.name,
            result.probabilities,
            f"C{result.axes}",
            size,
            unit,
            model.info.maps,
        )
    write_labels(target, result.labels, result.axes, size, unit)


def _predict(
    model: Model, source: ImageSource, title: str, options: argparse.Namespace
) -> Prediction:
    from napari_unet.workflows import TileDone, exhaust, predict

    how = given(device=options.device, precision=options.precision)
    events = predict(model, source, probabilities=options.probabilities, **how)

    def show(event: TileDone | Notice) -> None:
        if isinstance(event, TileDone):
            words = f"{event.done:,} of {event.total:,} tiles"
            bar.show(event.done / event.total, words)
        else:
            bar.say(event.text)

    with Progress(title) as bar:
        return exhaust(events, show)
