"""Options of ``networks`` and ``compare``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.cli.parser import (
    RULE_HELP,
    RULES,
    TASKS,
    TRAIN_TASK_HELP,
    add_device_options,
    add_image_options,
    make_command,
)

if TYPE_CHECKING:
    from napari_unet.cli.parser import Commands


def add_networks(
    commands: Commands,
) -> None:
    """What can be trained."""
    parser = make_command(
        commands,
        "networks",
        "list the networks that can be trained",
        "  napari-unet networks\n  napari-unet networks --costs\n",
    )
    parser.add_argument(
        "--costs",
        action="store_true",
        help="also parameters, what sizes are rounded up to, how far an output pixel\n"
        "sees, operations and memory (float32) per pixel",
    )
    parser.add_argument(
        "--json", action="store_true", help="print all of it as JSON instead"
    )


def add_compare(
    commands: Commands,
) -> None:
    """Several networks on the same images."""
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
    add_device_options(parser.add_argument_group("device"))
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of results"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results that are there"
    )


def _add_images(needed: argparse._ArgumentGroup) -> None:
    needed.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder with train/images and train/labels, and val/ if there is one",
    )
    needed.add_argument("--images", type=Path, metavar="DIR", help="folder of images")
    needed.add_argument(
        "--labels", type=Path, metavar="DIR", help="folder of labels of the same names"
    )
    needed.add_argument(
        "--val-images",
        type=Path,
        metavar="DIR",
        help="images that only measure; without them a part is held out",
    )
    needed.add_argument("--val-labels", type=Path, metavar="DIR", help="their labels")
    needed.add_argument("--task", choices=TASKS, required=True, help=TRAIN_TASK_HELP)
    needed.add_argument("--annotation", choices=RULES, help=RULE_HELP)
    needed.add_argument(
        "--no-background",
        action="store_true",
        help="no class is background: every label is a class, 0 is not annotated",
    )
    add_image_options(needed)
    needed.add_argument(
        "--ndim",
        type=int,
        choices=(2, 3),
        help="2 learns from the planes of volumes one by one",
    )
    needed.add_argument(
        "--voxel-size",
        type=float,
        nargs="+",
        metavar="SIZE",
        help="size of a voxel along (Z) Y X, if the files do not tell it",
    )
