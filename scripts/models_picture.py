"""The picture of the library of models, filled with models that were trained now."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from live_picture import SIZE

MODELS = {
    "nuclei first try": ("objects", 20, ""),
    "nuclei and background": ("classes", 150, ""),
    "nuclei": ("objects", 300, "Good on dense fields; for Anna."),
}
"""Task, steps and note by name."""
WIDTH = 360


def picture(path: Path) -> None:
    """Train small models, show them in the library, and write a screenshot."""
    import napari
    from less_painting import rest

    from napari_unet import train
    from napari_unet.models.library import FOLDER_VARIABLE, free_path
    from napari_unet.models.library_entries import write_note
    from napari_unet.sample_data import nuclei_2d

    # Not into the library of whoever makes the pictures.
    os.environ[FOLDER_VARIABLE] = str(path.parent / "library")
    sample = nuclei_2d()
    for name, (task, steps, note) in MODELS.items():
        labels = sample.labels if task == "objects" else (sample.labels > 0).astype(int)
        model = train(
            sample.image,
            labels,
            annotation="complete",
            task=task,
            name=name,
            voxel_size=sample.voxel_size,
            max_steps=steps,
            base_channels=8,
        )
        saved = model.save(free_path(name))
        write_note(saved, note)
    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    image = viewer.add_image(sample.image, name=sample.name, scale=sample.voxel_size)
    image.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
    _, widget = viewer.window.add_plugin_dock_widget("napari-unet-live", "Models")
    widget.setMinimumWidth(WIDTH)
    rest()
    widget.table.selectRow(0)
    widget.where.say("Models are kept in /home/anna/models")  # of no one in particular
    rest()
    viewer.window.screenshot(path=str(path), flash=False, canvas_only=False)
    viewer.close()


if __name__ == "__main__":
    picture(Path("models.png"))
