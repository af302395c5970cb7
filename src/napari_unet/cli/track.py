"""``napari-unet track``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_unet.cli.common import check_free, count, given, say
from napari_unet.cli.progress import Progress
from napari_unet.config import TrackingConfig, checked
from napari_unet.errors import DataError
from napari_unet.generators import exhaust
from napari_unet.image_io import read_image, read_labels, write_labels
from napari_unet.tracking import Film, FrameDone, follow, relabel

TIFF = (".tif", ".tiff")


def run(options: argparse.Namespace) -> int:
    """Link the objects of one time-lapse, and write labels and table."""
    _protect(options)
    config = checked(
        TrackingConfig,
        given(max_distance=options.max_distance, max_gap=options.max_gap)
        | {"divisions": not options.no_divisions},
    )
    source = read_image(
        options.labels,
        options.axes,
        voxel_size=tuple(options.voxel_size) if options.voxel_size else None,
    )
    array = read_labels(options.labels, source)
    film = Film(array, source.labels_axes, source.voxel_size)
    with Progress(options.labels.name) as bar:

        def show(event: FrameDone) -> None:
            words = f"{event.doing} frame {event.done:,} of {event.total:,}"
            bar.show(event.done / event.total, words)

        tracks = exhaust(follow(film, config), show)
        out = np.zeros(array.shape, np.int32)
        exhaust(relabel(film, tracks, out), show)
    write_labels(
        options.output, out, source.labels_axes, source.voxel_size, source.unit
    )
    if options.csv is not None:
        tracks.write_csv(options.csv)
    say(
        f"{count(tracks.count, 'track')} and {count(tracks.divisions, 'division')} "
        f"in {tracks.frames:,} frames: {options.output}"
    )
    return 0


def _protect(options: argparse.Namespace) -> None:
    """Refuse to replace the input, or a file without leave."""
    if options.output.suffix.lower() not in TIFF:
        raise DataError(
            f"The output {options.output} is no TIFF: give it a name that ends in .tif."
        )
    outputs: list[tuple[str, Path]] = [("--output", options.output)]
    if options.csv is not None:
        outputs.append(("--csv", options.csv))
    for option, path in outputs:
        if path.resolve() == options.labels.resolve():
            raise DataError(
                f"{path} would replace the labels: choose another {option}."
            )
        check_free(option, path, options)
    if options.csv is not None and options.csv.resolve() == options.output.resolve():
        raise DataError("The labels and the table need files of their own.")
