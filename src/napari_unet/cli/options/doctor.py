"""Options of ``napari-unet doctor``."""

from __future__ import annotations

from napari_unet.cli.options.command import Commands, make_command


def add_command(commands: Commands) -> None:
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
