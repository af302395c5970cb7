"""Options of ``napari-unet convert-labels``."""

from __future__ import annotations

from pathlib import Path

from napari_unet.cli.options.choices import MEANINGS, RULES
from napari_unet.cli.options.command import Commands, make_command
from napari_unet.cli.options.shared import add_axes, add_overwrite


def add_command(commands: Commands) -> None:
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
        module="convert",
    )
    parser.add_argument("input", type=Path, metavar="INPUT")
    parser.add_argument("output", type=Path, metavar="OUTPUT")
    parser.add_argument(
        "--image",
        type=Path,
        help="what the outlines were drawn on; it gives size, axes and voxel size",
    )
    add_axes(parser, "of the image, if the file tells them wrong")
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
    add_overwrite(parser, "a file that is there")
