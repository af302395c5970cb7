"""Commands and options, and the help that explains them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from napari_unet import __version__

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]

# Spelled out, so that --help need not load the configuration; a test compares them.
TASKS = ("classes", "objects", "regression")
COMPARED_TASKS = ("classes", "objects")
RULES = ("complete", "sparse")
PRESETS = ("fast", "balanced", "thorough")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
LOSSES = (
    "auto",
    "cross-entropy+dice",
    "cross-entropy",
    "focal",
    "weighted-cross-entropy",
    "tversky",
    "boundary",
    "mse",
    "huber",
)
AUGMENTATIONS = ("none", "gentle", "standard", "strong")

RULE_HELP = """what the values in the labels mean
  complete  0 is background, 1, 2, … are classes or objects
  sparse    0 is not annotated, 1 is background,
            2, 3, … are classes, or one number per complete object"""

TASK_HELP = """what to learn
  classes   the kind of every pixel (semantic segmentation)
  objects   one object after another, also where they touch
            (instance segmentation)"""

TRAIN_TASK_HELP = f"""{TASK_HELP}
  regression  a value for every pixel, such as a distance or a density;
            --labels then holds images, NaN where nothing is known"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser of ``napari-unet``; sets `module` to the command's module."""
    parser = Parser(
        prog="napari-unet",
        description="Train a U-Net from annotated images and segment new ones.",
        epilog=(
            "The first steps:\n"
            "  napari-unet doctor      what is installed, and what to do for a GPU\n"
            "  napari-unet demo        the whole way on a sample image\n"
            "  napari-unet train --help\n"
        ),
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    from napari_unet.cli.parser_library import add_convert, add_models
    from napari_unet.cli.parser_networks import add_compare, add_networks

    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_train(commands)
    _add_predict(commands)
    _add_evaluate(commands)
    _add_measure(commands)
    _add_track(commands)
    _add_info(commands)
    add_models(commands)
    add_convert(commands)
    add_networks(commands)
    add_compare(commands)
    _add_doctor(commands)
    _add_demo(commands)
    return parser


def make_command(
    commands: Commands,
    name: str,
    summary: str,
    examples: str = "",
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=f"{summary[:1].upper()}{summary[1:]}.",
        epilog=f"Examples:\n{examples}" if examples else None,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.set_defaults(module=name)
    parser.add_argument(
        "--debug", action="store_true", help="show where in the program an error arose"
    )
    return parser


def _add_train(
    commands: Commands,
) -> None:
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
    needed = parser.add_argument_group("what to learn from")
    needed.add_argument(
        "--images",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of images (TIFF, PNG, JPEG, BMP, NPY, OME-Zarr), or one image",
    )
    needed.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of labels: whole numbers, files named like the images; or one\n"
        "file",
    )
    needed.add_argument("--task", choices=TASKS, help=TRAIN_TASK_HELP)
    needed.add_argument("--annotation", choices=RULES, help=RULE_HELP)
    needed.add_argument(
        "--no-background",
        action="store_true",
        help="no class is background: every label is a class, 0 is not annotated",
    )
    needed.add_argument(
        "--class-names",
        nargs="+",
        metavar="VALUE=NAME",
        default=[],
        help="names of classes, such as 1=root 2=soil",
    )
    needed.add_argument(
        "--val-images",
        type=Path,
        metavar="DIR",
        help="images that only measure; without them a part is held out",
    )
    needed.add_argument("--val-labels", type=Path, metavar="DIR", help="their labels")
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
    _add_training_options(parser)
    before = parser.add_argument_group("look before you train (nothing is trained)")
    before.add_argument(
        "--explain",
        action="store_true",
        help="print what would be chosen from the data, and why",
    )
    before.add_argument(
        "--preview-augmentation",
        type=Path,
        metavar="FILE",
        help="draw some patches as the network would see them, into a PNG",
    )
    output = parser.add_argument_group("where to")
    output.add_argument(
        "--output",
        type=Path,
        metavar="MODEL",
        help="the model file (needed, but for --explain and --preview-augmentation)",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace a model that is there"
    )
    output.add_argument(
        "--resume",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="CHECKPOINT",
        help="go on from where a run of the same command was ended",
    )


def _add_training_options(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group(
        "how to train (chosen from the data if left out)"
    )
    training.add_argument(
        "--preset",
        choices=PRESETS,
        help="longest time: fast 2, balanced 10 (default), thorough 45 minutes",
    )
    training.add_argument(
        "--like",
        metavar="MODEL",
        help="repeat the training of a model: its settings, but those given here",
    )
    training.add_argument(
        "--start",
        metavar="MODEL",
        help="begin with what a model has learnt; its classes, channels or dimensions\n"
        "may be others",
    )
    training.add_argument(
        "--freeze-encoder",
        action="store_true",
        default=None,
        help="with --start: what finds features stays as it is, the rest learns",
    )
    training.add_argument(
        "--deterministic",
        action="store_true",
        default=None,
        help="the same result every time, where the device allows; use it with --steps",
    )
    training.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="any setting of the reference, such as patience=20 loss.focal_gamma=1",
    )
    training.add_argument("--minutes", type=float, metavar="M", help="longest time")
    training.add_argument(
        "--steps",
        type=int,
        dest="max_steps",
        metavar="N",
        help="number of training steps, whatever time they take",
    )
    training.add_argument(
        "--seed", type=int, metavar="N", help="start of all random numbers"
    )
    training.add_argument(
        "--patch-size",
        type=int,
        nargs="+",
        metavar="N",
        help="size of a training sample along (Z) Y X",
    )
    training.add_argument("--batch-size", type=int, metavar="N")
    training.add_argument(
        "--network",
        metavar="NAME",
        help="what learns (default unet); `napari-unet networks` lists them",
    )
    training.add_argument(
        "--base-channels", type=int, metavar="N", help="width of the first level"
    )
    training.add_argument(
        "--levels", type=int, metavar="N", help="resolutions in the network"
    )
    training.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="size of the steps; lower it where the loss becomes infinite",
    )
    _add_recipe_options(training)
    add_device_options(training)


def _add_recipe_options(training: argparse._ArgumentGroup) -> None:
    training.add_argument(
        "--anisotropy",
        type=float,
        metavar="N",
        help="how many times longer voxels are along Z than along Y and X",
    )
    training.add_argument(
        "--percentiles",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="percentiles of each image that become 0 and 1 (default 1 and 99.8)",
    )
    training.add_argument(
        "--loss", choices=LOSSES, help="what training makes small (default auto)"
    )
    training.add_argument(
        "--class-weights",
        nargs="+",
        metavar="WEIGHT",
        help="equal (default), balanced, or a number for each class",
    )
    training.add_argument(
        "--label-smoothing",
        type=float,
        metavar="SHARE",
        help="share of each label that is given to all classes",
    )
    training.add_argument(
        "--dropout", type=float, metavar="SHARE", help="of the coarsest features"
    )
    training.add_argument(
        "--weight-decay", type=float, metavar="RATE", help="default 0.01"
    )
    training.add_argument(
        "--augmentation",
        choices=AUGMENTATIONS,
        help="how much patches are varied (default standard)",
    )


def add_device_options(group: argparse._ArgumentGroup) -> None:
    """Where to compute."""
    group.add_argument("--device", choices=DEVICES)
    group.add_argument("--precision", choices=PRECISIONS)


def add_image_options(group: argparse._ArgumentGroup) -> None:
    """What the files may not tell."""
    group.add_argument(
        "--axes",
        metavar="LETTERS",
        help="axes of the images, such as ZYX or TCYX, if the files tell them wrong",
    )


def _add_predict(
    commands: Commands,
) -> None:
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
    parser.add_argument(
        "model", metavar="MODEL", help="a model file, or the name of one of your models"
    )
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="images, folders of images, or patterns such as 'day*/*.tif'",
    )
    parser.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the labels"
    )
    parser.add_argument(
        "--store",
        action="store_true",
        help="write every result as OME-Zarr, block by block, also small ones",
    )
    parser.add_argument(
        "--separate",
        action="store_true",
        help="write labels of OME-Zarr images into DIR, too, not into the images",
    )
    parser.add_argument(
        "--probabilities",
        action="store_true",
        help="write the network's maps, too, into DIR/probabilities",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results that are there"
    )
    group = parser.add_argument_group("how")
    add_image_options(group)
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
    add_device_options(group)
    _add_object_options(parser)
    many = parser.add_argument_group("several workers (needs the extra 'distributed')")
    many.add_argument(
        "--workers", type=int, metavar="N", help="processes on this computer"
    )
    many.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of a Dask cluster that runs already, such as tls://10.0.0.1:8786",
    )


def _add_object_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "objects (what is left out is as the model has it)"
    )
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


def _add_evaluate(
    commands: Commands,
) -> None:
    parser = make_command(
        commands,
        "evaluate",
        "compare predicted labels with true ones",
        """\
  napari-unet evaluate --predictions labels --labels test/labels \\
      --task objects --json scores.json --report report.html

  # With a model, which segments the images first, and images made worse:
  napari-unet evaluate --model nuclei.bioimage.io.zip --images test/images \\
      --labels test/labels --robustness --report report.html

Task classes: Dice, IoU, precision and recall of each class, and pixel error.
Task objects: precision, recall, F1 and AP = TP / (TP + FP + FN), with objects pooled
over all images, at IoU 0.50, 0.55, … 0.95, and panoptic quality.
Both: distances between boundaries, and 95 % intervals by bootstrap over images.
Means leave background out. Pixels that are not annotated never count.""",
    )
    _add_compared(parser)
    how = parser.add_argument_group("how to compare")
    how.add_argument(
        "--task",
        choices=COMPARED_TASKS,
        help=TASK_HELP + "\n(needed with --predictions; a model knows its own)",
    )
    how.add_argument(
        "--annotation",
        choices=RULES,
        default="complete",
        help=RULE_HELP.replace(
            "the labels mean", "--labels mean (complete by default)"
        ),
    )
    how.add_argument(
        "--no-background",
        action="store_true",
        help="no class is background: 0 in the labels is not annotated",
    )
    how.add_argument(
        "--thresholds",
        type=float,
        nargs="+",
        metavar="IOU",
        help="IoU at which objects match (default: 0.5 0.55 … 0.95)",
    )
    how.add_argument(
        "--tolerance",
        type=float,
        metavar="D",
        help="how far apart boundaries may be, in the unit of the voxel size\n"
        "(default: twice the finest voxel)",
    )
    how.add_argument(
        "--voxel-size",
        type=float,
        nargs="+",
        metavar="SIZE",
        help="size of a voxel along (Z) Y X, if the files do not tell it",
    )
    how.add_argument(
        "--pieces",
        action="store_true",
        help="task classes: also V_Rand and V_Info of connected pieces,\n"
        "for membranes that part an image",
    )
    how.add_argument(
        "--planes",
        action="store_true",
        help="compare the planes of volumes one by one",
    )
    how.add_argument(
        "--resamples",
        type=int,
        metavar="N",
        help="draws for the intervals (default: 2000)",
    )
    output = parser.add_argument_group("where to")
    output.add_argument(
        "--json", type=Path, metavar="FILE", help="write all scores to this file"
    )
    output.add_argument(
        "--csv", type=Path, metavar="FILE", help="write all scores as a table"
    )
    output.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a page (HTML) with pictures, curves and tables",
    )


def _add_compared(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to compare (folders, or single files)")
    what.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="the truth: files named like the predictions or images",
    )
    what.add_argument("--predictions", type=Path, metavar="DIR")
    what.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="their images: shown in the report, or segmented by --model",
    )
    what.add_argument(
        "--probabilities",
        type=Path,
        metavar="DIR",
        help="maps of `napari-unet predict --probabilities`, for calibration",
    )
    what.add_argument(
        "--model", metavar="MODEL", help="segment --images with this model first"
    )
    what.add_argument(
        "--robustness",
        action="store_true",
        help="with --model: score again under noise, blur, weaker contrast,\n"
        "another brightness and half the resolution",
    )
    what.add_argument("--device", choices=DEVICES)


def _add_measure(
    commands: Commands,
) -> None:
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
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a table that is there"
    )
    group = parser.add_argument_group("how")
    group.add_argument(
        "--axes", metavar="AXES", help="such as TYX, if the labels tell them wrong"
    )
    group.add_argument(
        "--planes",
        action="store_true",
        help="measure each plane of a volume by itself",
    )
    group.add_argument(
        "--voxel-size",
        type=float,
        nargs="+",
        metavar="SIZE",
        help="along (Z) Y X, instead of what the files tell",
    )
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


def _add_track(
    commands: Commands,
) -> None:
    parser = make_command(
        commands,
        "track",
        "give the objects of a time-lapse numbers that last",
        """\
  napari-unet track labels/movie.tif --output tracked/movie.tif --csv tracks.csv
  napari-unet track movie.ome.zarr --axes TZYX --voxel-size 2 0.3 0.3 --output out.tif

LABELS are numbered in each frame by themselves, as predict writes them. In the output
an object has one number in all frames, and the daughters of a division have numbers of
their own. The table has a row for each object and frame. Needs the package laptrack:
pip install "napari-unet-live[tracking]"
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
    parser.add_argument(
        "--axes",
        metavar="LETTERS",
        help="axes of the labels, such as TYX or TZYX, if the file tells them wrong",
    )
    parser.add_argument(
        "--voxel-size",
        type=float,
        nargs="+",
        metavar="SIZE",
        help="size of a voxel along (Z) Y X, if the file does not tell it",
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
    parser.add_argument(
        "--overwrite", action="store_true", help="replace files that are there"
    )


def _add_info(
    commands: Commands,
) -> None:
    parser = make_command(
        commands,
        "info",
        "say what a model was trained for, on what, and how well it does",
        "  napari-unet info nuclei.bioimage.io.zip\n",
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a model file, or the name of one of your models"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the whole description as JSON"
    )


def _add_doctor(
    commands: Commands,
) -> None:
    parser = make_command(
        commands,
        "doctor",
        "look at versions, device and memory, and say what to mend",
        "  napari-unet doctor --benchmark",
    )
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="measure the speed of training and prediction, too",
    )
    parser.add_argument(
        "--seconds", type=float, default=10, help="how long to measure (%(default)s)"
    )


def _add_demo(
    commands: Commands,
) -> None:
    parser = make_command(
        commands,
        "demo",
        "open napari on a sample image, train a U-Net and show its segmentation",
        "  napari-unet demo\n  napari-unet demo --no-show --output pictures\n",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder of screenshots, labels and the model",
    )
    parser.add_argument(
        "--minutes", type=float, metavar="M", help="longest training time"
    )
    parser.add_argument(
        "--show",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="keep the window open at the end (default: where there is a display)",
    )
