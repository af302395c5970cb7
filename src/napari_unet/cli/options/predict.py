"""Options of ``napari-unet predict``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import (
    Group,
    add_axes,
    add_devices,
    add_model,
    add_overwrite,
)


def add_command(commands: Commands) -> None:
    parser = make_command(
        commands,
        "predict",
        "segment images with a model",
        """\
  napari-unet predict nuclei.bioimage.io.zip new_images --output labels
  napari-unet predict nuclei.bioimage.io.zip a.tif --output labels --probabilities
  napari-unet predict nuclei.bioimage.io.zip 'day*/*.tif' --output labels
  napari-unet predict nuclei.bioimage.io.zip brain.ome.zarr --output labels --workers 4

Each image gives a TIFF of its name with labels, very large ones an OME-Zarr; images
that are OME-Zarr themselves get labels into their own group "labels". Background is 0.
An image that cannot be segmented is named, and the others go on. DIR/report.csv says
what became of each. The same command goes on where it was ended.""",
    )
    add_model(parser)
    _add_files(parser)
    _add_manner(parser.add_argument_group("how"))
    _add_objects(
        parser.add_argument_group("objects (what is left out is as the model has it)")
    )
    _add_workers(
        parser.add_argument_group("several workers (needs the extra 'distributed')")
    )


def _add_files(group: Group) -> None:
    """What is read, and what is written."""
    group.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="images, folders of images, or patterns such as 'day*/*.tif'",
    )
    group.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the labels"
    )
    group.add_argument(
        "--store",
        action="store_true",
        help="write every result as OME-Zarr, block by block, also small ones",
    )
    group.add_argument(
        "--separate",
        action="store_true",
        help="write labels of OME-Zarr images into DIR, too, not into the images",
    )
    group.add_argument(
        "--probabilities",
        action="store_true",
        help="write the network's maps, too, into DIR/probabilities",
    )
    add_overwrite(group, "results that are there")


def _add_manner(group: Group) -> None:
    """How the images are read and predicted."""
    add_axes(group)
    group.add_argument(
        "--views",
        action="store_true",
        help="average over flips and quarter turns: eight times the work",
    )
    group.add_argument(
        "--allow-model-code",
        action="store_true",
        help="run Python code that comes with a model of another program; only if\n"
        "you trust whoever made it",
    )
    group.add_argument(
        "--resample",
        action="store_true",
        help="predict at the model's pixel size and bring labels back to the image's",
    )
    group.add_argument(
        "--mask",
        type=Path,
        metavar="PATH",
        help="nothing is found where this is 0: a file, or a folder of files named\n"
        "like the images",
    )
    add_devices(group)


def _add_objects(group: Group) -> None:
    """How objects are cut."""
    group.add_argument(
        "--foreground",
        type=float,
        metavar="P",
        help="probability above which a pixel belongs to an object",
    )
    group.add_argument(
        "--prominence",
        type=float,
        metavar="H",
        help="how much an object stands out from its neighbour, 0 to 1: lower parts\n"
        "more, higher merges more",
    )
    for name, which in (("min", "smallest"), ("max", "largest")):
        group.add_argument(
            f"--{name}-size",
            metavar="SIZE",
            help=f"{which} object: 30 (pixels), '12 um2', '400 um3'",
        )
    for name, text in (
        ("fill-holes", "background that one object encloses joins it"),
        ("one-piece", "of an object in several pieces only the largest is kept"),
        ("clear-border", "leave out objects that the border of the image cuts"),
    ):
        group.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, help=text
        )


def _add_workers(group: Group) -> None:
    """Who computes."""
    group.add_argument(
        "--workers", type=int, metavar="N", help="processes on this computer"
    )
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster that runs already, such as tls://10.0.0.1:8786",
    )
