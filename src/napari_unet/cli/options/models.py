"""Options of ``napari-unet models``."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_unet.cli.options.choices import SORT_KEYS
from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import add_overwrite


def add_command(commands: Commands) -> None:
    """The library of models."""
    parser = make_command(
        commands,
        "models",
        "list, look at, copy, rename and delete the models of your library",
        """\
  napari-unet models list
  napari-unet models list --find nuclei --sort score
  napari-unet models import ~/Downloads/nuclei.bioimage.io.zip
  napari-unet models export nuclei /media/usb --onnx --license MIT --author "Ada L."
  napari-unet models rename "image classes" roots
  napari-unet models delete roots
""",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(name: str, summary: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=summary, description=f"{summary}.")
        made.set_defaults(action=name)
        return made

    def model(made: argparse.ArgumentParser, nargs: str | None = None) -> None:
        made.add_argument(
            "model",
            metavar="MODEL",
            nargs=nargs,
            help="name of a model, or a model file",
        )

    listing = action("list", "list the models of the library")
    listing.add_argument("--find", default="", metavar="WORDS", help="only with these")
    listing.add_argument("--sort", choices=SORT_KEYS, default="date")
    listing.add_argument("--json", action="store_true", help="print all as JSON")
    showing = action("show", "say what a model was trained for, on what, how well")
    model(showing)
    showing.add_argument("--json", action="store_true", help="print all as JSON")
    importing = action("import", "copy model files into the library")
    importing.add_argument("files", type=Path, nargs="+", metavar="FILE")
    exporting = action("export", "copy a model out of the library")
    model(exporting)
    exporting.add_argument("target", type=Path, help="a file, or a folder for it")
    add_overwrite(exporting, "a file")
    exporting.add_argument(
        "--onnx", action="store_true", help="with ONNX, which more programs can run"
    )
    exporting.add_argument(
        "--license",
        metavar="SPDX",
        help="of the copy: an SPDX identifier such as CC-BY-4.0 or MIT",
    )
    exporting.add_argument(
        "--author",
        action="append",
        metavar="NAME",
        help="of the copy; may be given several times",
    )
    renaming = action("rename", "give a model another name")
    model(renaming)
    renaming.add_argument("name", metavar="NAME")
    copying = action("duplicate", "copy a model under another name")
    model(copying)
    copying.add_argument(
        "name", metavar="NAME", nargs="?", help="a free one if left out"
    )
    deleting = action("delete", "move models to the system's trash")
    model(deleting, "+")
    noting = action("note", "keep a note about a model; without a text: show it")
    model(noting)
    noting.add_argument("text", metavar="TEXT", nargs="?", help='"" removes it')
    moving = action("folder", "say where models are kept, or keep them elsewhere")
    moving.add_argument("folder", type=Path, nargs="?", metavar="DIR")
    moving.add_argument("--usual", action="store_true", help="the usual one again")
