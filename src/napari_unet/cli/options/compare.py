"""Options of ``napari-unet compare``."""

from __future__ import annotations

from pathlib import Path

from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import (
    Group,
    add_devices,
    add_meaning,
    add_overwrite,
    add_space,
    add_validation,
)


def add_command(commands: Commands) -> None:
    parser = make_command(
        commands,
        "compare",
        "train several networks for the same time and compare them",
        """\
  napari-unet compare --networks unet,light_unet,hrnet --images train/images \\
      --labels train/labels --task objects --annotation complete \\
      --minutes 5 --output comparison

  # A folder with train/images, train/labels, val/images and val/labels:
  napari-unet compare --networks unet,light_unet --data nuclei --task objects \\
      --annotation complete --minutes 5 --output comparison

Each network is trained in turn and scored on the same held-out part. DIR gets
comparison.json, a plot of score against time (scores.svg), and a model of each network.
Press Ctrl-C to end: what was learnt so far is measured and kept.""",
    )
    parser.add_argument(
        "--networks",
        required=True,
        metavar="NAMES",
        help="names with commas between them; `napari-unet networks` lists them",
    )
    _add_images(parser.add_argument_group("what to learn from"))
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="time for each network (default 10)"
    )
    parser.add_argument(
        "--steps",
        type=int,
        dest="max_steps",
        metavar="N",
        help="training steps for each network, whatever time they take",
    )
    parser.add_argument("--base-channels", type=int, metavar="N", help="width of all")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="start of all random numbers"
    )
    add_devices(parser.add_argument_group("device"))
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of results"
    )
    add_overwrite(parser, "results that are there")


def _add_images(group: Group) -> None:
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with train/images and train/labels, and val/ if there is one",
    )
    group.add_argument("--images", type=Path, metavar="DIR", help="folder of images")
    group.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder of labels of the same names"
    )
    add_validation(group)
    add_meaning(group, required=True)
    add_space(group)
