"""``napari-unet measure``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_unet.cli.common import check_free, note, say
from napari_unet.cli.progress import Progress
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError, UserError
from napari_unet.generators import exhaust
from napari_unet.image_io import (
    display_name,
    find_images,
    is_zarr,
    pair_folders,
    read_image,
    read_labels,
)
from napari_unet.measure import BlockDone, ObjectTable, measure_blocks
from napari_unet.measure.table import write_csv
from napari_unet.units import unit_name


@dataclass(frozen=True)
class _Job:
    """A file of labels, and what belongs to it."""

    labels: Path
    image: Path | None = None
    classes: Path | None = None


def run(options: argparse.Namespace) -> int:
    """Measure every file and write one table; 1 if one of them failed."""
    jobs = _jobs(options)
    _protect(jobs, options)
    tables: dict[str, ObjectTable] = {}
    failed = 0
    for number, job in enumerate(jobs, start=1):
        title = f"[{number}/{len(jobs)}] {job.labels.name}"
        try:
            tables[display_name(job.labels)] = _measure(job, title, options)
        except UserError as error:
            if len(jobs) == 1:
                raise
            failed += 1
            note(f"{job.labels.name}: {error}")
    if not tables:
        return 1
    _write(options.csv, tables, named=_is_folder(options.labels))
    rows = sum(len(table) for table in tables.values())
    say(f"{rows:,} rows from {len(tables)} of {len(jobs)} files: {options.csv}")
    return 1 if failed else 0


def _jobs(options: argparse.Namespace) -> list[_Job]:
    """Files of labels with their images and classes, by name in folders."""
    if not _is_folder(options.labels):
        for other in (options.image, options.classes):
            if other is not None and _is_folder(other):
                raise DataError(
                    f"{other} is a folder, but {options.labels} is a file: "
                    "give two files, or two folders."
                )
        return [_Job(options.labels, options.image, options.classes)]
    images = _partners(options.labels, options.image)
    classes = _partners(options.labels, options.classes)
    return [
        _Job(path, images.get(path), classes.get(path))
        for path in find_images(options.labels)
    ]


def _partners(labels: Path, folder: Path | None) -> Mapping[Path, Path]:
    if folder is None:
        return {}
    return dict(pair_folders(labels, folder, noun="labels file"))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not is_zarr(path)


def _protect(jobs: Sequence[_Job], options: argparse.Namespace) -> None:
    """Refuse to replace an input, or a table without leave."""
    target = options.csv.resolve()
    for job in jobs:
        for path in (job.labels, job.image, job.classes):
            if path is not None and path.resolve() == target:
                raise DataError(
                    f"The table {options.csv} would replace an image: choose another "
                    "name for --csv."
                )
    check_free("--csv", options.csv, options)


def _measure(job: _Job, title: str, options: argparse.Namespace) -> ObjectTable:
    labels, image = _sources(job, options)
    classes = None
    if job.classes is not None:
        classes = read_labels(job.classes, labels)
    events = measure_blocks(
        labels,
        [] if image is None else [image],
        classes=classes,
        channels=options.channels,
        solidity=options.solidity,
    )
    with Progress(title) as bar:

        def show(event: BlockDone) -> None:
            words = f"{event.done:,} of {event.total:,} blocks"
            bar.show(event.done / event.total, words)

        return exhaust(events, show)


def _sources(
    job: _Job, options: argparse.Namespace
) -> tuple[ImageSource, ImageSource | None]:
    """Labels and image with their axes, and the voxel size of whoever knows it."""
    ndim = 2 if options.planes else 0
    own = read_image(job.labels, options.axes)
    image = None
    if job.image is not None:
        image = read_image(job.image, ndim=ndim)
        if options.axes and image.arrays[0].shape == own.arrays[0].shape:
            image = read_image(job.image, options.axes, ndim)
    axes = (image or own).labels_axes
    array = read_labels(job.labels, image or own)
    told = image if image is not None and own.unit == "pixel" else own
    given = tuple(options.voxel_size or ())
    size = given or told.voxel_size
    unit = unit_name(options.unit) if options.unit else told.unit
    labels = ImageSource((array,), axes, size, unit, own.name, ndim)
    return labels, image


def _write(path: Path, tables: Mapping[str, ObjectTable], *, named: bool) -> None:
    """One table of all files; what one of them lacks is left empty."""
    names = list(dict.fromkeys(n for t in tables.values() for n in t.columns))

    def rows() -> Iterator[list[Any]]:
        for image, table in tables.items():
            places = [names.index(name) for name in table.columns]
            for row in table.rows():
                full: list[Any] = [None] * len(names)
                for place, value in zip(places, row, strict=True):
                    full[place] = value
                yield [image, *full] if named else full

    write_csv(path, ["image", *names] if named else names, rows())
