"""The pictures of adjusting objects, and of what a model looked at.

Run it as scripts/with_display.sh python scripts/tune_picture.py OBJECTS WHY [MODEL].
The model is one of bright nuclei: the one that comes with the program, by default.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from live_picture import SIZE

MODEL = "Fluorescent nuclei"
"""Comes with the program."""


def pictures(objects: Path, why: Path, model: Path | None = None) -> None:
    """Open the sample, move a slider, ask about a nucleus, and write screenshots."""
    import napari
    from less_painting import rest, wait_for

    from napari_unet.models.library import list_models, model_name
    from napari_unet.sample_data import nuclei_2d
    from napari_unet.widgets.navigation import camera_of

    built_in = next(path for path in list_models() if model_name(path) == MODEL)
    sample = nuclei_2d()
    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    size = {"scale": sample.voxel_size, "units": (sample.unit,) * 2}
    layer = viewer.add_image(sample.image, name=sample.name, **size)
    layer.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-unet-live", "Predict U-Net"
    )
    widget.model.choose(model or built_in)
    widget.tuning.folded.expand(animate=False)
    rest()
    widget.tuning.controls.prominence.value = 0.15
    widget.tuning.controls.unit.value = "micrometer"
    widget.tuning.controls.smallest.value = 15
    widget.tuning.controls.border.value = True
    wait_for(lambda: widget.tuning.run.view is not None)
    rest(1.0)
    viewer.window.screenshot(path=str(objects), flash=False, canvas_only=False)
    labels = widget.tuning.run.view.labels
    middle = np.array(labels.shape) / 2
    away = np.abs(np.argwhere(labels > 0) - middle).sum(1)
    point = np.argwhere(labels > 0)[away.argmin()]
    offset = [start for start, _ in widget.tuning.run.request.box]
    widget.tuning.preview.setChecked(False)
    widget.tuning.folded.collapse(animate=False)
    widget.why.ask((point + offset) * np.array(sample.voxel_size))
    wait_for(lambda: not widget.why.run.active)
    camera_of(viewer).zoom *= 2.5
    rest(1.0)
    viewer.window.screenshot(path=str(why), flash=False, canvas_only=False)
    viewer.close()


if __name__ == "__main__":
    pictures(*(Path(argument) for argument in sys.argv[1:4]))
