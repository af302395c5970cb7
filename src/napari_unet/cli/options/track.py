"""Options of ``napari-unet track``."""

from __future__ import annotations

from pathlib import Path

from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import add_axes, add_overwrite, add_voxel_size


def add_command(commands: Commands) -> None:
    parser = make_command(
        commands,
        "track",
        "give the objects of a time-lapse numbers that last",
        """\
  napari-unet track labels/movie.tif --output tracked/movie.tif --csv tracks.csv
  napari-unet track movie.ome.zarr --axes TZYX --voxel-size 2 0.3 0.3 --output out.tif

LABELS are numbered in each frame by themselves, as predict writes them. In the output
an object has one number in all frames, and the daughters of a division have numbers of
their own. The table has a row for each object and frame.
""",
    )
    parser.add_argument(
        "labels", type=Path, metavar="LABELS", help="labels with a time axis"
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="a TIFF of labels"
    )
    parser.add_argument(
        "--csv", type=Path, metavar="FILE", help="write the tracks as a table, too"
    )
    add_axes(
        parser,
        "axes of the labels, such as TYX or TZYX, if the file tells them wrong",
    )
    add_voxel_size(
        parser, "size of a voxel along (Z) Y X, if the file does not tell it"
    )
    parser.add_argument(
        "--max-distance",
        type=float,
        metavar="D",
        help="how far an object may move from one frame to the next, in the unit of\n"
        "the voxel size (1.25 times the median diameter of the objects)",
    )
    parser.add_argument(
        "--max-gap",
        type=int,
        metavar="N",
        help="frames that an object may be missing (0)",
    )
    parser.add_argument(
        "--no-divisions",
        action="store_true",
        help="objects do not divide",
    )
    add_overwrite(parser, "files that are there")
