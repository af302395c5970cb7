"""Make the pictures of the documentation by running the demo: `make screenshots`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import evaluate_picture
import large_picture
import less_painting
import live_picture
import measure_picture
import models_picture
import track_picture
import tune_picture
import volume_picture
from PIL import Image

from napari_unet import demo

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLORS = 256
"""Enough for a dark window and some nuclei, at half the size."""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        demo.run(Path(folder), show=False, minutes=1.0)
        less_painting.picture(Path(folder) / "4-less-painting.png")
        evaluate_picture.picture(Path(folder) / "6-evaluate.png")
        # The demo learns in one go: its first picture gives way to that of a live run.
        live_picture.pictures(
            Path(folder) / "1-annotation.png", Path(folder) / "5-live.png"
        )
        measure_picture.picture(Path(folder) / "8-measure.png")
        track_picture.pictures(
            Path(folder) / "9-track-widget.png", Path(folder) / "9-tracks.png"
        )
        large_picture.pictures(
            Path(folder),
            Path(folder) / "10-streaming.png",
            Path(folder) / "10-batch.png",
            0.5,
        )
        models_picture.picture(Path(folder) / "11-models.png")
        volume_picture.picture(Path(folder) / "12-volume.png")
        tune_picture.pictures(
            Path(folder) / "13-tune-objects.png", Path(folder) / "13-why.png"
        )
        for picture in sorted(Path(folder).glob("*.png")):
            name = picture.name.partition("-")[2]
            small = (
                Image.open(picture)
                .convert("RGB")
                .quantize(
                    COLORS,
                    Image.Quantize.MAXCOVERAGE,  # no specks within a nucleus
                    kmeans=3,
                    dither=Image.Dither.NONE,
                )
            )
            small.save(IMAGES / name, optimize=True)
            sys.stdout.write(f"{IMAGES / name}\n")


if __name__ == "__main__":
    main()
