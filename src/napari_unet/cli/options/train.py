"""Options of ``napari-unet train``."""

from __future__ import annotations

from pathlib import Path

from napari_unet.cli.options.choices import AUGMENTATIONS, LOSSES, PRESETS
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
        "train",
        "train a model on a folder of images and one of labels of the same names",
        """\
  # Touching nuclei, every image annotated completely, 10 minutes:
  napari-unet train --images train/images --labels train/labels \\
      --task objects --annotation complete --output nuclei.bioimage.io.zip

  # A few strokes per image, three classes with names:
  napari-unet train --images images --labels strokes --task classes \\
      --annotation sparse --class-names 1=background 2=root 3=soil \\
      --minutes 5 --output roots.bioimage.io.zip

Press Ctrl-C to end early: the best model so far is saved. Go on later with the same
command and --resume.""",
    )
    _add_data(parser.add_argument_group("what to learn from"))
    training = parser.add_argument_group(
        "how to train (chosen from the data if left out)"
    )
    _add_course(training)
    _add_network(training)
    _add_recipe(training)
    add_devices(training)
    _add_looking(
        parser.add_argument_group("look before you train (nothing is trained)")
    )
    _add_output(parser.add_argument_group("where to"))


def _add_data(group: Group) -> None:
    """Images, and what is known about them."""
    group.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of images (TIFF, PNG, JPEG, BMP, NPY, OME-Zarr), or one image",
    )
    group.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of labels: whole numbers, files named like the images; or one\n"
        "file",
    )
    add_meaning(group, required=False)
    group.add_argument(
        "--class-names",
        nargs="+",
        metavar="VALUE=NAME",
        default=[],
        help="names of classes, such as 1=root 2=soil",
    )
    add_validation(group)
    add_space(group)


def _add_course(group: Group) -> None:
    """Where training begins, and when it ends."""
    group.add_argument(
        "--preset",
        choices=PRESETS,
        help="longest time: fast 2, balanced 10 (default), thorough 45 minutes",
    )
    group.add_argument(
        "--like",
        metavar="MODEL",
        help="repeat the training of a model: its settings, but those given here",
    )
    group.add_argument(
        "--start",
        metavar="MODEL",
        help="begin with what a model has learnt; its classes, channels or dimensions\n"
        "may be others",
    )
    group.add_argument(
        "--freeze-encoder",
        action="store_true",
        default=None,
        help="with --start: what finds features stays as it is, the rest learns",
    )
    group.add_argument(
        "--deterministic",
        action="store_true",
        default=None,
        help="the same result every time, where the device allows; use it with --steps",
    )
    group.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the reference, such as patience=20 loss.focal_gamma=1",
    )
    group.add_argument("--minutes", type=float, metavar="M", help="longest time")
    group.add_argument(
        "--steps",
        type=int,
        dest="max_steps",
        metavar="N",
        help="number of training steps, whatever time they take",
    )
    group.add_argument(
        "--seed", type=int, metavar="N", help="start of all random numbers"
    )


def _add_network(group: Group) -> None:
    """What is trained, on samples of which size."""
    group.add_argument(
        "--patch-size",
        type=int,
        nargs="+",
        metavar="N",
        help="size of a training sample along (Z) Y X",
    )
    group.add_argument("--batch-size", type=int, metavar="N")
    group.add_argument(
        "--network",
        metavar="NAME",
        help="what learns (default unet); `napari-unet networks` lists them",
    )
    group.add_argument(
        "--base-channels", type=int, metavar="N", help="width of the first level"
    )
    group.add_argument(
        "--levels", type=int, metavar="N", help="resolutions in the network"
    )
    group.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="size of the steps; lower it where the loss becomes infinite",
    )


def _add_recipe(group: Group) -> None:
    """How samples, loss and steps are made."""
    group.add_argument(
        "--anisotropy",
        type=float,
        metavar="N",
        help="how many times longer voxels are along Z than along Y and X",
    )
    group.add_argument(
        "--percentiles",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="percentiles of each image that become 0 and 1 (default 1 and 99.8)",
    )
    group.add_argument(
        "--loss", choices=LOSSES, help="what training makes small (default auto)"
    )
    group.add_argument(
        "--class-weights",
        nargs="+",
        metavar="WEIGHT",
        help="equal (default), balanced, or a number for each class",
    )
    group.add_argument(
        "--label-smoothing",
        type=float,
        metavar="SHARE",
        help="share of each label that is given to all classes",
    )
    group.add_argument(
        "--dropout", type=float, metavar="SHARE", help="of the coarsest features"
    )
    group.add_argument(
        "--weight-decay", type=float, metavar="RATE", help="default 0.01"
    )
    group.add_argument(
        "--augmentation",
        choices=AUGMENTATIONS,
        help="how much patches are varied (default standard)",
    )


def _add_looking(group: Group) -> None:
    """What shows a training before it is done."""
    group.add_argument(
        "--explain",
        action="store_true",
        help="print what would be chosen from the data, and why",
    )
    group.add_argument(
        "--preview-augmentation",
        type=Path,
        metavar="FILE",
        help="draw some patches as the network would see them, into a PNG",
    )


def _add_output(group: Group) -> None:
    """Where the model goes."""
    group.add_argument(
        "--output",
        type=Path,
        metavar="MODEL",
        help="the model file (needed, but for --explain and --preview-augmentation)",
    )
    add_overwrite(group, "a model that is there")
    group.add_argument(
        "--resume",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="CHECKPOINT",
        help="go on from where a run of the same command was ended",
    )
