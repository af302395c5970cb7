"""Options of ``napari-unet demo``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.options.command import Commands, make_command


def add_command(commands: Commands) -> None:
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
