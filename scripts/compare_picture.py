"""The picture of comparing networks: the real window, after a short comparison.

Run it as scripts/with_display.sh python scripts/compare_picture.py FILE.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from less_painting import rest, wait_for
from live_picture import SIZE
from qtpy.QtCore import Qt

NETWORKS = ("unet", "light_unet", "hrnet")
MINUTES = 0.5


def picture(path: Path) -> None:
    """Compare networks on the sample, and write a screenshot of the window."""
    import napari

    from napari_unet.models.library import FOLDER_VARIABLE
    from napari_unet.sample_data import nuclei_2d

    sample = nuclei_2d()
    viewer = napari.Viewer(title="U-Net Live")
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER_VARIABLE] = folder
        viewer.window.resize(*SIZE)
        layer = viewer.add_image(sample.image, name=sample.name)
        layer.contrast_limits = np.percentile(sample.image, (0.5, 99.8))
        truth = viewer.add_labels(sample.labels, name="nuclei, by hand")
        _, widget = viewer.window.add_plugin_dock_widget(
            "napari-unet-live", "Train U-Net"
        )
        widget.annotation.task.value = "objects"
        widget.annotation.choose(truth)
        widget.annotation.rule.value = "complete"
        widget.check()
        widget.folded.expand(animate=False)
        rest()
        widget.compare_button.click()
        window = widget.compare
        for n in range(window.networks.count()):
            item = window.networks.item(n)
            wanted = item.data(Qt.ItemDataRole.UserRole) in NETWORKS
            item.setCheckState(
                Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked
            )
        window.minutes.setValue(MINUTES)
        rest()
        window.panel.button.click()
        wait_for(lambda: not window.run.active)
        rest(1.0)
        window.grab().save(str(path))
        window.hide()
        rest()
        viewer.window.screenshot(
            path=str(path.with_name("compare-button.png")),
            flash=False,
            canvas_only=False,
        )
    viewer.close()


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
