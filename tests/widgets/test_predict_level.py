"""Which resolution of a multiscale layer *Predict U-Net* takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_unet.widgets.predict import PredictWidget
from napari_unet.widgets.session import Session

pytestmark = pytest.mark.viewer

Write = Callable[..., Any]
PLACE = {
    "scale": (0.25, 0.25),
    "translate": (3, 4),
    "rotate": 30,
    "units": ("um", "um"),
}


@pytest.fixture
def widget(viewer: Any, host: Any) -> PredictWidget:
    made = PredictWidget(viewer, host, Session())
    viewer.window.add_dock_widget(made, name="Predict U-Net")
    return made


def pyramid(*shape: int, levels: int = 3) -> list[NDArray[np.uint8]]:
    """Resolutions whose last two axes are halved."""
    whole = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    return [whole[..., :: 2**k, :: 2**k] for k in range(levels)]


def known(write: Write, name: str, size: float, **more: Any) -> Path:
    """A model of pixels of that size."""
    n = len(more.get("spatial", "YX"))
    path: Path = write(name, voxel_size=[size] * n, unit="micrometer", **more)
    return path


def corners(layer: Any) -> NDArray[np.float64]:
    """Where the outermost edges of a layer's pixels lie in the world."""
    first = layer.data[0] if layer.multiscale else layer.data
    ends = np.array(first.shape[: layer.ndim], float) - 0.5
    return np.array(
        [layer.data_to_world([-0.5] * layer.ndim), layer.data_to_world(ends)]
    )


def test_the_resolution_of_the_model_is_segmented_and_lies_over_the_image(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    levels = pyramid(400, 300)
    image = widget.viewer.add_image(levels, multiscale=True, name="slide", **PLACE)
    widget.model.choose(known(write_model, "net", 0.45))
    widget.check()
    assert not widget.level.resolution.native.isHidden()
    assert "Of 3 resolutions" in widget.level.said.text()
    assert "0.5 micrometer" in widget.level.said.text()
    assert "0.45 micrometer" in widget.level.said.text()
    widget.predict()
    np.testing.assert_array_equal(engine.job.inputs["image0"], levels[1])
    assert engine.job.params["voxel_size"] == [0.5, 0.5]
    assert engine.job.outputs["labels"].shape == (200, 150)
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    layer = widget.viewer.layers["slide net"]
    assert layer.editable
    np.testing.assert_allclose(corners(layer), corners(image))


def test_the_full_resolution_can_be_chosen(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    levels = pyramid(400, 300)
    image = widget.viewer.add_image(levels, multiscale=True, name="slide", **PLACE)
    widget.model.choose(known(write_model, "net", 1.1))
    assert widget.request().shape == (100, 75)
    widget.level.resolution.value = "full"
    assert not widget.level.said.text()
    widget.predict()
    assert engine.job.outputs["labels"].shape == (400, 300)
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    layer = widget.viewer.layers["slide net"]
    np.testing.assert_allclose(corners(layer), corners(image))


def test_without_known_sizes_it_is_the_full_resolution(
    widget: PredictWidget, write_model: Write
) -> None:
    widget.viewer.add_image(pyramid(400, 300), multiscale=True, name="slide")
    widget.model.choose(known(write_model, "net", 4.0))
    assert widget.request().shape == (400, 300)
    assert not widget.level.said.text()
    widget.viewer.layers.clear()
    widget.viewer.add_image(np.zeros((40, 30)), **PLACE)
    assert widget.request().shape == (40, 30)
    assert widget.level.resolution.native.isHidden()


def test_resampling_starts_from_the_nearest_resolution(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(pyramid(400, 300), multiscale=True, **PLACE)
    widget.model.choose(known(write_model, "net", 0.8))
    widget.resample.value = True
    widget.predict()
    assert engine.job.params["resample"]
    assert engine.job.inputs["image0"].shape == (100, 75)


def test_view_and_box_are_those_of_the_full_resolution(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    image = widget.viewer.add_image(pyramid(400, 300), multiscale=True, scale=(2, 2))
    image.units = ("nm", "nm")
    widget.model.choose(known(write_model, "net", 0.004))
    widget.region.value = "view"
    # What a canvas does when it has zoomed in.
    image.data_level = 0
    image.corner_pixels = np.array([[101, 40], [180, 120]])
    request = widget.request()
    # Pixels 101 to 180 of the full resolution lie in pixels 50 to 90.
    assert request.box == ((50, 91), (20, 61))
    widget.predict()
    assert engine.job.params["region"] == [[50, 91], [20, 61]]
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    layer = widget.viewer.layers[-1]
    start = image.data_to_world((99.5, 39.5))
    np.testing.assert_allclose(layer.data_to_world((-0.5, -0.5)), start)
    widget.viewer.layers.remove(layer)
    widget.region.value = "box"
    widget.limit.mark(((100, 200), (60, 121)))
    assert widget.request().box == ((50, 100), (30, 61))


@pytest.mark.parametrize("kind", ["dask", "zarr"])
def test_lazy_resolutions_stay_lazy(
    widget: PredictWidget, engine: Any, write_model: Write, tmp_path: Path, kind: str
) -> None:
    levels: list[Any] = pyramid(400, 300)
    if kind == "dask":
        levels = [da.from_array(level, chunks=100) for level in levels]
    else:
        levels = [
            zarr.create_array(str(tmp_path / str(k)), data=level)
            for k, level in enumerate(levels)
        ]
    widget.viewer.add_image(levels, multiscale=True, **PLACE)
    widget.model.choose(known(write_model, "net", 1.0))
    widget.predict()
    assert engine.job.inputs["image0"] is levels[2]


def test_channels_colours_and_planes(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    viewer = widget.viewer
    # Channels first: the result lacks that axis.
    levels = pyramid(2, 64, 48)
    place = {"scale": (1, 0.25, 0.25), "units": ("pixel", "um", "um")}
    viewer.add_image(levels, multiscale=True, axis_labels=("c", "y", "x"), **place)
    widget.model.choose(known(write_model, "two", 0.5, n_channels=2))
    widget.predict()
    assert engine.job.outputs["labels"].shape == (32, 24)
    engine.job.end("done", result={"objects": 0, "seconds": 1.0})
    np.testing.assert_allclose(viewer.layers[-1].scale, (0.5, 0.5))
    np.testing.assert_allclose(viewer.layers[-1].translate, (0.125, 0.125))
    # RGB.
    viewer.layers.clear()
    colours = [level[..., None].repeat(3, axis=-1) for level in pyramid(64, 48)]
    viewer.add_image(colours, multiscale=True, rgb=True, **PLACE)
    widget.model.choose(known(write_model, "rgb", 0.5, n_channels=3))
    assert widget.request().shape == (32, 24)
    # Planes of a stack are images of their own, none of which may be left out …
    viewer.layers.clear()
    whole = pyramid(6, 64, 48)[0]
    halved = [whole, whole[::2, ::2, ::2]]
    place = {"scale": (0.25,) * 3, "units": ("um",) * 3}
    viewer.add_image(
        halved, multiscale=True, axis_labels=("z", "y", "x"), name="stack", **place
    )
    widget.model.choose(known(write_model, "flat", 0.5))
    assert widget.request().shape == (6, 64, 48)
    # … but a 3D model sees larger voxels.
    widget.model.choose(known(write_model, "deep", 0.5, spatial="ZYX"))
    assert widget.request().shape == (3, 32, 24)


def test_masks_of_the_image_fit_each_of_its_resolutions(
    widget: PredictWidget, engine: Any, write_model: Write
) -> None:
    widget.viewer.add_image(pyramid(400, 300), multiscale=True, **PLACE)
    mask = np.zeros((400, 300), np.uint8)
    mask[100:200, 60:160] = 1
    layer = widget.viewer.add_labels(mask, name="mask", **PLACE)
    widget.model.choose(known(write_model, "net", 0.5))
    widget.outside.layer.value = layer
    widget.predict()
    seen = np.asarray(engine.job.inputs["mask"][:, :])
    np.testing.assert_array_equal(np.argwhere(seen).min(axis=0), (50, 30))
    np.testing.assert_array_equal(np.argwhere(seen).max(axis=0), (99, 79))
    assert seen.sum() == 50 * 50
