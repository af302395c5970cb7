"""Options that several commands have in common."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.options.choices import (
    DEVICES,
    PRECISIONS,
    RULE_HELP,
    RULES,
    TASKS,
    TRAIN_TASK_HELP,
)

Group = argparse._ActionsContainer
"""A parser, or a group of its options."""

AXES_HELP = "axes of the images, such as ZYX or TCYX, if the files tell them wrong"
VOXEL_SIZE_HELP = "size of a voxel along (Z) Y X, if the files do not tell it"


def add_model(group: Group) -> None:
    """The model that is used."""
    group.add_argument(
        "model", metavar="MODEL", help="a model file, or the name of one of your models"
    )


def add_overwrite(group: Group, what: str) -> None:
    """Leave to replace `what`."""
    group.add_argument("--overwrite", action="store_true", help=f"replace {what}")


def add_devices(group: Group) -> None:
    """Where to compute, and how exactly."""
    group.add_argument("--device", choices=DEVICES)
    group.add_argument("--precision", choices=PRECISIONS)


def add_axes(group: Group, text: str = AXES_HELP) -> None:
    """What files may tell wrong."""
    group.add_argument("--axes", metavar="LETTERS", help=text)


def add_voxel_size(group: Group, text: str = VOXEL_SIZE_HELP) -> None:
    """What files may not tell."""
    group.add_argument("--voxel-size", type=float, nargs="+", metavar="SIZE", help=text)


# --- of the commands that train ------------------------------------------------------


def add_meaning(group: Group, *, required: bool) -> None:
    """What to learn, and what the labels mean."""
    group.add_argument("--task", choices=TASKS, required=required, help=TRAIN_TASK_HELP)
    group.add_argument("--annotation", choices=RULES, help=RULE_HELP)
    group.add_argument(
        "--no-background",
        action="store_true",
        help="no class is background: every label is a class, 0 is not annotated",
    )


def add_validation(group: Group) -> None:
    """Images that are held back."""
    group.add_argument(
        "--val-images",
        type=Path,
        metavar="DIR",
        help="images that only measure; without them a part is held out",
    )
    group.add_argument("--val-labels", type=Path, metavar="DIR", help="their labels")


def add_space(group: Group) -> None:
    """How the images lie in space."""
    add_axes(group)
    group.add_argument(
        "--ndim",
        type=int,
        choices=(2, 3),
        help="2 learns from the planes of volumes one by one",
    )
    add_voxel_size(group)
