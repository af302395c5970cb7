"""What opening the widgets brings into the napari process, and where they are found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from napari.layers import Image, Labels

from napari_unet.widgets import engine_host, make_predict_widget, make_train_widget
from napari_unet.widgets.annotation_layer import rule_of
from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.train import TrainWidget

pytestmark = pytest.mark.viewer

PLUGIN = "napari-unet-live"

OPEN = """
import json, sys
import napari
viewer = napari.Viewer(show=False)
viewer.add_image(__import__("numpy").zeros((32, 32)))
before = set(sys.modules)
train = viewer.window.add_plugin_dock_widget("napari-unet-live", "Train U-Net")
predict = viewer.window.add_plugin_dock_widget("napari-unet-live", "Predict U-Net")
after = set(sys.modules)
viewer.close()
from napari_unet.widgets.engine_host import close_engine_host
close_engine_host()
sys.__stdout__.write(json.dumps(sorted(after - before)))
"""

HEAVY = (
    "torch",
    "skimage",
    "sklearn",
    "scipy.ndimage",
    "zarr",
    "tifffile",
    "dask.array",
    "safetensors",
    "pandas",
    "matplotlib",
    "pyqtgraph",
    "napari_unet.networks.blocks",
    "napari_unet.training.trainer",
    "napari_unet.workflows",
)


def test_nothing_heavy_is_imported_when_the_widgets_open() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    new = json.loads(done.stdout)
    assert "napari_unet.widgets.train" in new
    found = [m for m in new for h in HEAVY if m == h or m.startswith(f"{h}.")]
    assert not found


@pytest.fixture
def own_host(monkeypatch: pytest.MonkeyPatch, host: Any) -> Any:
    """The played engine in the place of the real one."""
    monkeypatch.setattr(engine_host, "_host", host)
    return host


def test_widgets_are_found_by_name(viewer: Any, own_host: Any) -> None:
    _, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train U-Net")
    _, predict = viewer.window.add_plugin_dock_widget(PLUGIN, "Predict U-Net")
    assert isinstance(train, TrainWidget)
    assert isinstance(predict, PredictWidget)
    assert train.host is predict.host is own_host
    assert type(train.viewer).__name__ == "Viewer"  # not napari's proxy


def test_widgets_can_be_made_from_python(viewer: Any, own_host: Any) -> None:
    train, predict = make_train_widget(viewer), make_predict_widget()
    assert train.viewer is viewer
    assert predict.viewer is viewer
    for widget in (train, predict):
        viewer.window.add_dock_widget(widget)


def test_widgets_are_in_the_segment_menu() -> None:
    import npe2

    menus = npe2.PluginManager.instance().iter_menu("napari/layers/segment")
    commands = {getattr(item, "command", "") for item in menus}
    assert {f"{PLUGIN}.train", f"{PLUGIN}.predict"} <= commands


def test_the_sample_is_ready_to_train_on(viewer: Any, host: Any) -> None:
    from napari_unet.widgets.session import Session

    viewer.open_sample(PLUGIN, "nuclei_2d")
    image, annotation = viewer.layers
    assert isinstance(image, Image)
    assert isinstance(annotation, Labels)
    assert rule_of(annotation) == "sparse"
    assert annotation.extent.world[1] == pytest.approx(image.extent.world[1])
    widget = TrainWidget(viewer, host, Session())
    viewer.window.add_dock_widget(widget)
    assert widget.image.layers() == [image]
    assert widget.panel.button.isEnabled(), widget.panel.problem.text()


def test_the_engine_ends_with_the_application(engine: Any, qapp: Any) -> None:
    engine_host.close_engine_host()
    made = engine_host.engine_host(lambda: engine)
    assert engine_host.engine_host() is made
    qapp.aboutToQuit.emit()
    assert engine.closed == 1
    engine_host.close_engine_host()  # a second time does no harm
    assert engine.closed == 1
