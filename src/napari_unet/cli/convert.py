"""``napari-unet convert-labels``."""

from __future__ import annotations

import argparse

from napari_unet.cli.common import note, say
from napari_unet.data.source import ImageSource
from napari_unet.errors import DataError
from napari_unet.exchange import as_annotation, export_labels, import_labels
from napari_unet.image_io import read_image

DEFAULT_COLORS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")


def run(options: argparse.Namespace) -> int:
    """Read labels of one tool and write them for another."""
    if options.output.exists() and not options.overwrite:
        raise DataError(
            f"There is already a file {options.output}: choose another name, or add "
            "--overwrite."
        )
    image = None
    if options.image is not None:
        image = read_image(options.image, options.axes)
    found = import_labels(options.input, image, options.meaning)
    for sentence in found.notes:
        note(sentence)
    shift = int(options.annotation == "sparse")
    classes = {
        value + shift: (
            name,
            found.colors.get(value, DEFAULT_COLORS[value % len(DEFAULT_COLORS)]),
        )
        for value, name in found.names.items()
    }
    for value, (name, _) in sorted(classes.items()):
        note(f"label {value}: {name}")
    size = image if image is not None else _calibrated(options.input)
    said = export_labels(
        options.output,
        as_annotation(found.labels, options.annotation),
        found.axes,
        voxel_size=size.voxel_size if size is not None else (),
        unit=size.unit if size is not None else "pixel",
        classes=classes or None,
    )
    say(f"{said} {options.output}")
    return 0


def _calibrated(path: object) -> ImageSource | None:
    """A label image as one with a pixel size; outlines have none."""
    try:
        return read_image(str(path))
    except DataError:
        return None
