"""Options of ``models`` and ``convert-labels``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.cli.parser import RULES, make_command

if TYPE_CHECKING:
    from napari_unet.cli.parser import Commands

SORT_KEYS = ("date", "name", "score", "size", "task")
MEANINGS = ("objects", "classes")


def add_models(commands: Commands) -> None:
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
    exporting.add_argument("--overwrite", action="store_true", help="replace a file")
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


def add_convert(commands: Commands) -> None:
    """Labels from and for other tools."""
    parser = make_command(
        commands,
        "convert-labels",
        "turn labels or outlines of another tool into what a third one reads",
        """\
  # Outlines of ImageJ as a complete annotation to train on:
  napari-unet convert-labels RoiSet.zip labels/cell7.tif --image images/cell7.tif

  # Only some cells were outlined: the rest is not annotated.
  napari-unet convert-labels slide.geojson labels/slide.tif --image slide.tif \\
      --annotation sparse

  # A result for the ROI Manager of ImageJ, and for QuPath:
  napari-unet convert-labels labels/cell7.tif cell7.zip
  napari-unet convert-labels labels/cell7.tif cell7.geojson

Reads label images (TIFF, PNG, NPY, OME-Zarr), outlines of ImageJ (.roi, .zip), masks of
Cellpose (_seg.npy, of which nothing is run), and GeoJSON of QuPath and StarDist. Writes
TIFF, PNG, outlines for ImageJ (.zip) and GeoJSON.""",
    )
    parser.set_defaults(module="convert")
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument(
        "--image",
        type=Path,
        help="what the outlines were drawn on; it gives size, axes and voxel size",
    )
    parser.add_argument(
        "--axes", metavar="LETTERS", help="of the image, if the file tells them wrong"
    )
    parser.add_argument(
        "--meaning",
        choices=MEANINGS,
        default="objects",
        help="what outlines are: objects (default), or areas of classes",
    )
    parser.add_argument(
        "--annotation",
        choices=RULES,
        default="complete",
        help="what is not outlined: background (complete, default), or not annotated\n"
        "(sparse: labels then begin at 2)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file that is there"
    )
