"""Options of ``napari-unet info``."""

from __future__ import annotations

from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import add_model


def add_command(commands: Commands) -> None:
    parser = make_command(
        commands,
        "info",
        "say what a model was trained for, on what, and how well it does",
        "  napari-unet info nuclei.bioimage.io.zip\n",
    )
    add_model(parser)
    parser.add_argument(
        "--json", action="store_true", help="print the whole description as JSON"
    )
