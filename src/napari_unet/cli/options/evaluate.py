"""Options of ``napari-unet evaluate``."""

from __future__ import annotations

from pathlib import Path

from napari_unet.cli.options.choices import (
    COMPARED_TASKS,
    DEVICES,
    RULE_HELP,
    RULES,
    TASK_HELP,
)
from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import Group, add_overwrite, add_voxel_size


def add_command(commands: Commands) -> None:
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
    _add_compared(
        parser.add_argument_group("what to compare (folders, or single files)")
    )
    _add_rules(parser.add_argument_group("how to compare"))
    _add_output(parser.add_argument_group("where to"))


def _add_compared(group: Group) -> None:
    """What is compared with what."""
    group.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="DIR",
        help="the truth: files named like the predictions or images",
    )
    group.add_argument("--predictions", type=Path, metavar="DIR")
    group.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="their images: shown in the report, or segmented by --model",
    )
    group.add_argument(
        "--probabilities",
        type=Path,
        metavar="DIR",
        help="maps of `napari-unet predict --probabilities`, for calibration",
    )
    group.add_argument(
        "--model", metavar="MODEL", help="segment --images with this model first"
    )
    group.add_argument(
        "--robustness",
        action="store_true",
        help="with --model: score again under noise, blur, weaker contrast,\n"
        "another brightness and half the resolution",
    )
    group.add_argument("--device", choices=DEVICES)


def _add_rules(group: Group) -> None:
    """What counts, and when it is right."""
    group.add_argument(
        "--task",
        choices=COMPARED_TASKS,
        help=TASK_HELP + "\n(needed with --predictions; a model knows its own)",
    )
    group.add_argument(
        "--annotation",
        choices=RULES,
        default="complete",
        help=RULE_HELP.replace(
            "the labels mean", "--labels mean (complete by default)"
        ),
    )
    group.add_argument(
        "--no-background",
        action="store_true",
        help="no class is background: 0 in the labels is not annotated",
    )
    group.add_argument(
        "--renumber",
        nargs="+",
        metavar="P=T",
        help="task classes: 2=1 says that 2 in the prediction is 1 in the reference\n"
        "(done by itself where there is only one class)",
    )
    group.add_argument(
        "--thresholds",
        type=float,
        nargs="+",
        metavar="IOU",
        help="IoU at which objects match (default: 0.5 0.55 … 0.95)",
    )
    group.add_argument(
        "--tolerance",
        type=float,
        metavar="D",
        help="how far apart boundaries may be, in the unit of the voxel size\n"
        "(default: twice the finest voxel)",
    )
    add_voxel_size(group)
    group.add_argument(
        "--pieces",
        action="store_true",
        help="task classes: also V_Rand and V_Info of connected pieces,\n"
        "for membranes that part an image",
    )
    group.add_argument(
        "--planes",
        action="store_true",
        help="compare the planes of volumes one by one",
    )
    group.add_argument(
        "--resamples",
        type=int,
        metavar="N",
        help="draws for the intervals (default: 2000)",
    )


def _add_output(group: Group) -> None:
    """Where the scores go."""
    group.add_argument(
        "--json", type=Path, metavar="FILE", help="write all scores to this file"
    )
    group.add_argument(
        "--csv", type=Path, metavar="FILE", help="write all scores as a table"
    )
    group.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write a page (HTML) with pictures, curves and tables",
    )
    add_overwrite(group, "files that are there")
