"""The picture of an evaluation: a threshold's objects against the exact truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from live_picture import SIZE
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_local
from skimage.segmentation import watershed


def picture(path: Path, report: Path | None = None) -> None:
    """Evaluate in the viewer, go to an error, and write a screenshot."""
    import napari
    from less_painting import rest, wait_for

    from napari_unet.sample_data import nuclei_2d

    sample = nuclei_2d()
    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    image = viewer.add_image(sample.image, name=sample.name)
    image.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
    truth = viewer.add_labels(sample.labels, name="reference", visible=False)
    viewer.add_labels(guess(sample.image), name="threshold", visible=False)
    _, widget = viewer.window.add_plugin_dock_widget("napari-unet-live", "Evaluate")
    widget.truth.choose(truth)
    widget.rule.value = "complete"
    widget.panel.button.click()
    wait_for(lambda: not widget.run.active)
    if widget.run.state != "done":
        raise RuntimeError(widget.run.message)
    rest()
    split = [m["kind"] for m in widget.view.errors._mistakes].index("merged")
    widget.view.errors.selectRow(split)
    rest(0.3)
    viewer.window.screenshot(path=str(path), flash=False, canvas_only=False)
    if report is not None:
        widget.run.write_report(report)
        wait_for(lambda: not widget.run.active)
    viewer.close()


def guess(image: NDArray[Any]) -> NDArray[np.int32]:
    """Objects by a local threshold and a watershed, with the errors that those make."""
    smooth = gaussian(image.astype(float), 1)
    inside = smooth > threshold_local(smooth, 101, offset=-0.01 * smooth.max())
    inside = ndimage.binary_opening(inside, iterations=2)
    away = gaussian(ndimage.distance_transform_edt(inside), 1)
    seeds = np.zeros(image.shape, np.int32)
    for number, peak in enumerate(peak_local_max(away, min_distance=6), start=1):
        seeds[tuple(peak)] = number
    found: NDArray[np.int32] = watershed(-away, seeds, mask=inside).astype(np.int32)
    return found
