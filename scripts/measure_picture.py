"""The picture of measuring: the table, one of its objects, and boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from live_picture import SIZE

LARGE = 30
"""One of so many of the largest nuclei is gone to: the one nearest to the middle."""
WIDTH = 430
"""Of the dock, in pixels, so that some columns can be seen."""


def picture(path: Path) -> None:
    """Measure the sample nuclei, go to one of them, and write a screenshot."""
    import napari
    from less_painting import rest, wait_for
    from qtpy.QtCore import Qt

    from napari_unet.sample_data import nuclei_2d

    sample = nuclei_2d()
    viewer = napari.Viewer(title="U-Net Live")
    viewer.window.resize(*SIZE)
    size = {"scale": sample.voxel_size, "units": (sample.unit,) * 2}
    image = viewer.add_image(sample.image, name=sample.name, **size)
    image.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
    labels = viewer.add_labels(sample.labels, name="objects", **size)
    _, widget = viewer.window.add_plugin_dock_widget(
        "napari-unet-live", "Measure objects"
    )
    widget.labels.choose(labels)
    widget.panel.button.click()
    wait_for(lambda: not widget.run.active)
    if widget.run.state != "done":
        raise RuntimeError(widget.run.message)
    widget.boxes.click()
    viewer.layers.selection.active = labels
    names = list(widget.run.table.columns)
    widget.view.sortByColumn(names.index("area_um2"), Qt.SortOrder.DescendingOrder)
    widget.setMinimumWidth(WIDTH)
    rest()
    objects = widget.view.objects
    table = widget.run.table
    place = np.column_stack([table["centroid_y"], table["centroid_x"]])
    away = np.linalg.norm(place - np.array(sample.image.shape) / 2, axis=1)
    row = min(range(LARGE), key=lambda row: away[objects.object_at(row)])
    widget.view.setCurrentIndex(objects.index(row, 0))
    rest(2.0)  # the frame that shows the place has gone
    viewer.window.screenshot(path=str(path), flash=False, canvas_only=False)
    viewer.close()
