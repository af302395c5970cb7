"""Options of ``napari-unet measure``."""

from __future__ import annotations

from pathlib import Path

from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import add_overwrite, add_voxel_size


def add_command(commands: Commands) -> None:
    parser = make_command(
        commands,
        "measure",
        "write a table of the objects in labels",
        """\
  napari-unet measure labels/cell1.tif --image images/cell1.tif --csv cell1.csv
  napari-unet measure labels --image images --csv cells.csv

One row an object, or an object and frame: size, axes, solidity, brightness, place.
Lengths are in the unit that the files tell. Files of folders belong together when they
have the same name, and the table says which image a row is from.""",
    )
    parser.add_argument(
        "labels", type=Path, metavar="LABELS", help="labels, or a folder of them"
    )
    parser.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        help="image, or folder of images, to measure brightness in",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        metavar="FILE",
        help="a class for every pixel: objects get the most frequent one",
    )
    parser.add_argument(
        "--csv", type=Path, required=True, metavar="FILE", help="where the table goes"
    )
    add_overwrite(parser, "a table that is there")
    group = parser.add_argument_group("how")
    group.add_argument(
        "--axes", metavar="AXES", help="such as TYX, if the labels tell them wrong"
    )
    group.add_argument(
        "--planes",
        action="store_true",
        help="measure each plane of a volume by itself",
    )
    add_voxel_size(group, "along (Z) Y X, instead of what the files tell")
    group.add_argument("--unit", metavar="UNIT", help="of the voxel size, such as um")
    group.add_argument(
        "--channels",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names for the channels of the images",
    )
    group.add_argument(
        "--no-solidity",
        dest="solidity",
        action="store_false",
        help="leave out solidity, which takes most of the time in 3D",
    )
