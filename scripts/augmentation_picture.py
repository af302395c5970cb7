"""The picture of augmented patches in the documentation."""

from __future__ import annotations

from pathlib import Path

from napari_unet.config import training_config
from napari_unet.data.annotation import Annotation
from napari_unet.data.source import ImageSource
from napari_unet.sample_data import nuclei_2d
from napari_unet.workflows.augmentation import preview_patches, write_preview
from napari_unet.workflows.training import TrainingSetup

TARGET = Path(__file__).parents[1] / "docs" / "images" / "augmentation.png"


def main() -> None:
    """Draw patches of the sample nuclei as objects."""
    sample = nuclei_2d()
    source = ImageSource((sample.image,), sample.axes)
    annotation = Annotation(sample.labels, source, "complete")
    config = training_config(task="objects", annotation="complete", device="cpu")
    setup = TrainingSetup.prepare([annotation], config, (), None, "picture")
    write_preview(TARGET, preview_patches(setup, 6))


if __name__ == "__main__":
    main()
