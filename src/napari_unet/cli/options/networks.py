"""Options of ``napari-unet networks``."""

from __future__ import annotations

from napari_unet.cli.options.command import Commands, make_command


def add_command(commands: Commands) -> None:
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
