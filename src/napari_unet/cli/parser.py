"""Commands, and the help that explains them; `options` has what each one can do."""

from __future__ import annotations

import argparse

from napari_unet import __version__
from napari_unet.cli.options import (
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    info,
    measure,
    models,
    networks,
    predict,
    track,
    train,
)
from napari_unet.cli.options.command import Parser

COMMANDS = (
    train.add_command,
    predict.add_command,
    evaluate.add_command,
    measure.add_command,
    track.add_command,
    info.add_command,
    models.add_command,
    convert.add_command,
    networks.add_command,
    compare.add_command,
    doctor.add_command,
    demo.add_command,
)
"""What adds the commands, in the order in which help names them."""


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
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add_command in COMMANDS:
        add_command(commands)
    return parser
